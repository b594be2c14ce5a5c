"""Points → mask by the mask head: it takes clicks, and the mask that they correct, beside boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded import CELLS, Head
from scenelift.models.embedded.mask_head import BOX_HINTS, hints_of
from scenelift.models.embedded.photo_tokens import PATCHES, PhotoTokens, WindowTokens
from scenelift.types import Box, PointPrompt

__all__ = ["POINT_HINTS", "PointHead", "PointWindow", "point_hints", "takes_points"]

POINT_HINTS = 7
# As in training (`scenelift.training.clicks`):
RADIUS = 3.0  # of the disc at a point, in pixels of the hints
ALIKE = ("h8", "feat")

Place = tuple[int, int, bool]
"""Row and column in pixels of the hints, and whether the point is on the object."""


class PointWindow:
    """A window of a photo, in which points correct masks one after the other.

    Args:
        head: the mask head.
        window_tokens: of the window.
        box: of the object.
        others: boxes of other objects.
    """

    def __init__(
        self, head: Head, window_tokens: WindowTokens, box: Box, others: Sequence[Box]
    ) -> None:
        self._head, self._tokens = head, window_tokens
        self._hints = hints_of(window_tokens.window, box, others)

    def answer(
        self, points: Sequence[PointPrompt], before: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:  # [224, 224]
        """Estimate for each pixel of the window how likely it belongs to the object.

        Args:
            points: all so far; those beyond the window are left out.
            before: [224, 224] in 0…1, the mask that the last point corrects; None where there is
                none.
        """
        places = [place for p in points if (place := self._place(p)) is not None]
        window_tokens = self._tokens
        hints = np.concatenate([self._hints, point_hints(window_tokens.tokens, places, before)])
        maps, _ = self._head.answer(window_tokens.picture, window_tokens.tokens, hints)
        return 1 / (1 + np.exp(-maps[0].clip(-30, 30)))

    def _place(self, point: PointPrompt) -> Place | None:
        x0, y0, x1, y1 = self._tokens.window
        row = int((point.point[1] - y0) / (y1 - y0) * PATCHES[0] * CELLS)
        column = int((point.point[0] - x0) / (x1 - x0) * PATCHES[1] * CELLS)
        if 0 <= row < PATCHES[0] * CELLS and 0 <= column < PATCHES[1] * CELLS:
            return row, column, point.positive
        return None


class PointHead:
    """Opens windows of photos for points.

    Args:
        head: the mask head.
    """

    def __init__(self, head: Head) -> None:
        self._head = head

    def photo_tokens(self, pixels: NDArray[np.uint8]) -> PhotoTokens:
        """Begin to look at a photo."""
        return PhotoTokens(self._head, pixels)

    def open(self, window_tokens: WindowTokens, box: Box, others: Sequence[Box]) -> PointWindow:
        """Open a window for points on what is in a box; the window itself where none is known."""
        return PointWindow(self._head, window_tokens, box, others)


def point_hints(
    tokens: Mapping[str, NDArray[np.float32]],  # [1, 1 + h·w, 384] each
    places: Sequence[Place],
    before: NDArray[np.float32] | None,  # [8h, 8w]
) -> NDArray[np.float32]:  # [7, 8h, 8w]
    """Build the hints of points, as `scenelift.training.points` defines them."""
    rows, columns = PATCHES
    hints = np.zeros((POINT_HINTS, rows * CELLS, columns * CELLS), np.float32)
    hints[3:] = -1
    if before is not None:
        hints[2] = 2 * before - 1
    patches = [tokens[name][0, 1:] for name in ALIKE]
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in patches]
    y, x = np.ogrid[: rows * CELLS, : columns * CELLS]
    for row, column, positive in places:
        kind = 0 if positive else 1
        hints[kind][(y - row) ** 2 + (x - column) ** 2 <= RADIUS**2] = 1
        patch = row // CELLS * columns + column // CELLS
        for k, unit in enumerate(units, 3 + 2 * kind):
            alike = (unit @ unit[patch]).reshape(rows, columns)
            hints[k] = np.maximum(hints[k], alike.repeat(CELLS, 0).repeat(CELLS, 1))
    return hints


def takes_points(head: Head) -> bool:
    """Tell whether a mask head was trained for points too."""
    return head.hints == BOX_HINTS + POINT_HINTS
