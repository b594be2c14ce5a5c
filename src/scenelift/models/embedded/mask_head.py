"""Box → mask by the trained mask head, with the boxes of other objects as hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded import CELLS, LEVELS, Head, Window
from scenelift.models.embedded.photo_tokens import PATCHES, PhotoTokens
from scenelift.types import Box

__all__ = ["HeadView", "MaskHead"]

BOX_HINTS = 5
# As in training (`scenelift.training.tasks.mask`):
MARGIN = 0.3  # of the box's longer side, around it
NARROWEST = 0.5  # of the window's sides
MOST_OFF = 2.0  # coordinates in the box are cut there


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadView:
    """What the head says of a box's surroundings.

    Attributes:
        window: of the photo, that was looked at.
        chance: float32 [224, 224] in 0…1, of the object; covers the window.
        features: float32 [28, 28, 384], DINOv2's of the window's patches.
    """

    window: Window
    chance: NDArray[np.float32]
    features: NDArray[np.float32]


class MaskHead:
    """Predicts an object's mask from its box; see the module.

    Args:
        head: the mask head.
    """

    def __init__(self, head: Head) -> None:
        self._head = head

    @property
    def head(self) -> Head:
        """The network, for points."""
        return self._head

    @classmethod
    def load(cls, weights: Path | None, threads: int = 0) -> MaskHead:
        """Load the trained head and its backbone.

        Raises:
            WeightsError: the backbone is missing.
        """
        return cls(Head.load("mask", weights, threads))

    def photo_tokens(self, pixels: NDArray[np.uint8]) -> PhotoTokens:
        """Begin to look at a photo."""
        return PhotoTokens(self._head, pixels)

    def look(self, photo_tokens: PhotoTokens, box: Box, others: Sequence[Box]) -> HeadView:
        """Estimate for each pixel around a box how likely it belongs to the object.

        Args:
            photo_tokens: of the photo; the window around the box is looked at once.
            box: of the object.
            others: boxes of other objects.
        """
        window_tokens = photo_tokens.at(window_of(box))
        hints = hints_of(window_tokens.window, box, others)
        # Zeros where the head takes points: then it answers as if it took none.
        hints = np.pad(hints, ((0, self._head.hints - BOX_HINTS), (0, 0), (0, 0)))
        maps, _ = self._head.answer(window_tokens.picture, window_tokens.tokens, hints)
        return HeadView(
            window=window_tokens.window,
            chance=1 / (1 + np.exp(-maps[0].clip(-30, 30))),
            features=window_tokens.grid(LEVELS[-1]),
        )


def window_of(box: Box) -> Window:
    """Choose a window around the box with its surroundings; not much longer than wide."""
    x0, y0, x1, y1 = box
    longer = max(x1 - x0, y1 - y0)
    half_x, half_y = (x1 - x0) / 2 + MARGIN * longer, (y1 - y0) / 2 + MARGIN * longer
    least = NARROWEST * max(half_x, half_y)
    half_x, half_y = max(half_x, least), max(half_y, least)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - half_x, y - half_y, x + half_x, y + half_y


def hints_of(window: Window, box: Box, others: Sequence[Box]) -> NDArray[np.float32]:
    """Build hints [5, 224, 224]: in the box; across, down in it; in others; in smaller ones."""
    rows, columns = (side * CELLS for side in PATCHES)
    x = window[0] + (np.arange(columns) + 0.5) / columns * (window[2] - window[0])
    y = window[1] + (np.arange(rows) + 0.5) / rows * (window[3] - window[1])

    def inside(b: Box) -> NDArray[np.bool_]:
        return ((y > b[1]) & (y < b[3]))[:, None] & ((x > b[0]) & (x < b[2]))

    def area(b: Box) -> float:
        return (b[2] - b[0]) * (b[3] - b[1])

    across = (2 * x - box[0] - box[2]) / max(box[2] - box[0], 1)
    down = (2 * y - box[1] - box[3]) / max(box[3] - box[1], 1)
    hints = np.zeros((BOX_HINTS, rows, columns), np.float32)
    hints[0] = inside(box)
    hints[1] = across.clip(-MOST_OFF, MOST_OFF)
    hints[2] = down.clip(-MOST_OFF, MOST_OFF)[:, None]
    for other in others:
        hints[3] = np.maximum(hints[3], inside(other))
        if area(other) < area(box):
            hints[4] = np.maximum(hints[4], inside(other))
    return hints
