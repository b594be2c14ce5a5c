"""The photo's main object, whatever it is, by U²-Net-p (https://arxiv.org/abs/2005.09007)."""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.models.embedded import MEAN, STD
from scenelift.progress import Reporter
from scenelift.weights.onnx_session import OneNetwork

__all__ = ["SubjectFinder", "things_apart"]

INPUT_SIDE = 320
# Of the photo's longer side: parts of what stands out that are farther apart are things of their
# own (two dogs, four players); a wire before an object is thinner.
GAP = 0.005
SMALLEST = 0.1  # of the largest thing: smaller ones are left out


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


def things_apart(
    alpha: NDArray[np.float32],  # [H, W]
    threshold: float,
) -> list[NDArray[np.float32]]:  # [H, W] each
    """Part what stands out into things that are apart, the largest first."""
    mask = alpha >= threshold
    if not mask.any():
        return []
    to_mask = np.zeros(mask.shape)
    nearest = np.zeros((2, *mask.shape), np.int32)
    ndimage.distance_transform_edt(~mask, return_indices=True, distances=to_mask, indices=nearest)
    joined = to_mask <= GAP / 2 * max(mask.shape)
    numbers = np.zeros(mask.shape, np.int32)
    ndimage.label(joined, output=numbers)
    # The soft rim around a thing goes with it.
    numbers = numbers[tuple(nearest)]
    areas = np.bincount(numbers[mask])
    order = [
        int(k) for k in np.argsort(-areas, kind="stable") if areas[k] >= SMALLEST * areas.max()
    ]
    return [np.where(numbers == k, alpha, np.float32(0)) for k in order]
