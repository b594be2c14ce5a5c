"""Tells what a box shows, among ImageNet's thousand categories: EfficientNet-Lite on cut-outs.

The detectors know some ninety classes and draw boxes around much else, with low scores and wrong
names. Asked for a word that they do not have, the classifier looks at those boxes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded import MEAN, STD, crop
from scenelift.progress import Reporter
from scenelift.weights.onnx_session import OneNetwork

__all__ = ["Namer"]

PATCHES = (19, 19)  # 266 pixels a side; the classifier was trained at 260
MARGINS = (0.0, 0.15)
"""Of the box's longer side, around it: with its surroundings a thing is mostly, but not always,
clearer; the better look counts."""


class Namer(OneNetwork):
    """Names what boxes show; see the module."""

    artefact = "efficientnet"

    def chances(
        self,
        pixels: NDArray[np.uint8],
        boxes: NDArray[np.float32],
        words: Sequence[Sequence[int]],
        report: Reporter,
    ) -> NDArray[np.float32]:
        """Estimate how likely each box shows each word.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            boxes: float32 [N, 4], in pixels.
            words: the categories of each of W words.
            report: progress, one step a box; raises Cancelled between boxes.

        Returns:
            float32 [N, W] in 0…1.
        """
        word_chances = np.zeros((len(boxes), len(words)), np.float32)
        for row, box in enumerate(report.track(boxes, len(boxes), "naming what the boxes show")):
            views = np.stack([_view(pixels, box, margin) for margin in MARGINS])
            (logits,) = self._network.run(["logits"], {"image": views})
            chance = np.exp(logits - logits.max(1, keepdims=True))
            chance /= chance.sum(1, keepdims=True)
            for column, numbers in enumerate(words):
                word_chances[row, column] = chance[:, list(numbers)].sum(1).max()
        return word_chances


def _view(
    pixels: NDArray[np.uint8], box: NDArray[np.float32], margin: float
) -> NDArray[np.float32]:  # [3, H, W]
    """Cut out a square around a box; grey where it reaches beyond the photo."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    half = max(x1 - x0, y1 - y0) * (0.5 + margin)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    picture = crop(pixels, (x - half, y - half, x + half, y + half), PATCHES)
    scaled = np.asarray(picture, np.float32) / np.float32(255)
    return ((scaled - MEAN) / STD).transpose(2, 0, 1)
