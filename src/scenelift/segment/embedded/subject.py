"""The photo's main object, whatever it is, by U²-Net-p (https://arxiv.org/abs/2005.09007)."""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.models.embedded import MEAN, STD
from scenelift.progress import Reporter
from scenelift.weights.onnx_session import OneNetwork

__all__ = ["SubjectFinder"]

INPUT_SIDE = 320


class SubjectFinder(OneNetwork):
    """Separates what stands out from its background."""

    artefact = "u2netp"

    def alpha(self, pixels: NDArray[np.uint8], report: Reporter) -> NDArray[np.float32]:
        """Compute a soft mask of the main object.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            report: progress; raises Cancelled.

        Returns:
            float32 [H, W] in 0…1.
        """
        report.check()
        height, width = pixels.shape[:2]
        small = PIL.Image.fromarray(pixels).resize(
            (INPUT_SIDE, INPUT_SIDE), PIL.Image.Resampling.BOX
        )
        x = np.asarray(small, np.float32)
        # As the network was trained: by the picture's own maximum, then ImageNet's statistics.
        x = (x / max(float(x.max()), 1e-6) - MEAN) / STD
        name = self._network.get_inputs()[0].name
        first = self._network.get_outputs()[0].name
        out = self._network.run([first], {name: x.transpose(2, 0, 1)[None]})[0][0, 0]
        alpha = PIL.Image.fromarray(out.astype(np.float32)).resize(
            (width, height), PIL.Image.Resampling.BICUBIC
        )
        return np.asarray(alpha, np.float32).clip(0, 1)
