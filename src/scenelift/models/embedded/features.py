"""DINOv2's features of a part of a photo: one vector for each patch.

Patches of one object have similar features wherever they lie, which is what masks grow from
(https://arxiv.org/abs/2304.07193, figure 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.models.embedded import MEAN, PATCH, STD
from scenelift.weights.onnx_session import OneNetwork

__all__ = ["PatchFeatures"]

# Thin crops get no finer grid than this along their length.
MOST_PATCHES_A_SIDE = 64


class PatchFeatures(OneNetwork):
    """Patch features of DINOv2 ViT-S/14."""

    artefact = "dinov2"

    def grid(self, pixels: NDArray[np.uint8], patches: int) -> NDArray[np.float32]:
        """Compute features of a picture, resampled to square patches of about its own proportions.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            patches: about how many a side if the picture were square.

        Returns:
            float32 [rows, columns, 384].
        """
        height, width = pixels.shape[:2]
        rows, columns = grid_shape(height, width, patches)
        resized = Pillow.fromarray(pixels).resize(
            (columns * PATCH, rows * PATCH), Pillow.Resampling.BICUBIC
        )
        x = (np.asarray(resized, np.float32) / 255 - MEAN) / STD
        tokens = self._network.run(["feat"], {"image": x.transpose(2, 0, 1)[None]})[0][0]
        return tokens[1:].reshape(rows, columns, -1)  # without the class token


def grid_shape(height: int, width: int, patches: int) -> tuple[int, int]:
    """Choose the rows and columns of about `patches`² square patches over a picture."""
    side = (height * width) ** 0.5 / patches
    rows, columns = (
        min(max(round(length / side), 1), MOST_PATCHES_A_SIDE) for length in (height, width)
    )
    return rows, columns
