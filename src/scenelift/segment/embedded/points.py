"""Points that the mask head learned: where the object is, and what is wrong with a mask of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.models.embedded import Window
from scenelift.models.embedded.mask_head import window_of
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.models.embedded.point_head import PointHead
from scenelift.segment.embedded.refine import over, refine
from scenelift.types import Box, Instance, PointPrompt

__all__ = ["Answer", "PointMasker"]

AROUND = 0.06  # of the photo's longer side: half a box around points that are on nothing
SMALL = 0.15  # of the side of a square of a mask's size: corrections that leave it the same object
SAME = 0.8  # IoU of an answer with the mask before: above, it changes little anyway
REACH = 3.0  # of a small correction, in distances from the click to the mask's edge
EDGE = 0.05  # of a window's sides: what is clicked there goes on beyond it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What points are on.

    Attributes:
        box: of the object.
        window: around the box.
        chance: float32 [224, 224] in 0…1, of the object; covers the window.
    """

    box: Box
    window: Window
    chance: NDArray[np.float32]


class PointMasker:
    """Cuts out what points are on, and corrects masks by points.

    Args:
        head: the mask head, trained for points.
    """

    def __init__(self, head: PointHead) -> None:
        self._head = head

    def photo_tokens(self, pixels: NDArray[np.uint8]) -> PhotoTokens:
        """Begin to look at a photo."""
        return self._head.photo_tokens(pixels)

    def box_of(self, photo_tokens: PhotoTokens, point: PointPrompt) -> Box:
        """Find the box of what a point is on, in the whole photo."""
        window_tokens = photo_tokens.at_photo()
        chance = self._head.open(window_tokens, window_tokens.window, ()).answer([point], None)
        return _box_around(chance, point.point, photo_tokens.pixels.shape)

    def first(
        self, photo_tokens: PhotoTokens, box: Box, rivals: Sequence[Box], point: PointPrompt
    ) -> Answer:
        """Cut out what a point is on from a box that may be rough.

        Args:
            photo_tokens: of the photo.
            rivals: boxes of other objects.
        """
        window_tokens = photo_tokens.at(window_of(box))
        chance = self._head.open(window_tokens, box, rivals).answer([point], None)
        return Answer(box=box, window=window_tokens.window, chance=chance)

    def begin(self, alpha: NDArray[np.float32], box: Box) -> Answer:
        """Begin with a mask [H, W] that is to be corrected."""
        window = window_of(box)
        photo = (0.0, 0.0, float(alpha.shape[1]), float(alpha.shape[0]))
        return Answer(box=box, window=window, chance=_read(alpha, photo, window))

    def corrected(
        self,
        photo_tokens: PhotoTokens,
        answer: Answer,
        points: Sequence[PointPrompt],
        rivals: Sequence[Box],
        *,
        defining: bool = False,
    ) -> Answer:
        """Correct an answer by the last of some points.

        Args:
            photo_tokens: of the photo.
            points: all so far; the answer is behind all but the last.
            rivals: boxes of other objects.
            defining: whether the last point says what the object is, and may change all of the
                mask; else, where it lies near the mask's edge, it changes what is near it.
        """
        last = points[-1]
        box, window, before = answer.box, answer.window, answer.chance
        if last.positive:
            box = _holding(box, [last.point])
            if not _well_inside(last.point, window):
                window = window_of(box)
                before = _read(before, answer.window, window)
        chance = self._head.open(photo_tokens.at(window), box, rivals).answer(points, before)
        if not defining:
            chance = _within_reach(chance, before, window, last)
        return Answer(box=box, window=window, chance=chance)

    def drawn(self, pixels: NDArray[np.uint8], answer: Answer) -> NDArray[np.float32]:  # [H, W]
        """Draw an answer to the photo's edges."""
        height, width = pixels.shape[:2]
        wx0, wy0, wx1, wy1 = answer.window
        x0, y0 = max(0, math.floor(wx0)), max(0, math.floor(wy0))
        x1, y1 = min(width, math.ceil(wx1)), min(height, math.ceil(wy1))
        coarse = over(answer.chance, answer.window, (x0, y0, x1, y1))
        mask = np.zeros((height, width), np.float32)
        crop = np.ascontiguousarray(pixels[y0:y1, x0:x1])
        mask[y0:y1, x0:x1] = refine(crop, coarse, np.ones(coarse.shape, bool))
        return mask


def _well_inside(point: tuple[float, float], window: Window) -> bool:
    x0, y0, x1, y1 = window
    edge_x, edge_y = EDGE * (x1 - x0), EDGE * (y1 - y0)
    return x0 + edge_x <= point[0] <= x1 - edge_x and y0 + edge_y <= point[1] <= y1 - edge_y


def _within_reach(
    answer: NDArray[np.float32],
    before: NDArray[np.float32],
    window: Window,
    point: PointPrompt,
) -> NDArray[np.float32]:  # [224, 224]
    """Keep what a small correction changes far from its point as it was, if it changes much.

    A click is mostly in the middle of what is wrong, which begins at the mask's edge. Where that is
    near, a user who takes away a strip beside a dog's vest does not ask for the vest alone.
    """
    inside, old = answer >= 0.5, before >= 0.5
    if np.count_nonzero(inside & old) >= SAME * np.count_nonzero(inside | old):
        return answer
    x0, y0, x1, y1 = window
    rows, columns = before.shape
    y = np.arange(rows)[:, None] - ((point.point[1] - y0) / (y1 - y0) * rows - 0.5)
    x = np.arange(columns) - ((point.point[0] - x0) / (x1 - x0) * columns - 0.5)
    away = np.hypot(y, x)
    right = old == point.positive
    if not right.any():
        return answer
    radius = max(1.0, float(away[right].min()))
    if radius > SMALL * float(np.count_nonzero(old)) ** 0.5:
        return answer
    return np.where(away <= REACH * radius, answer, before)


def _box_around(
    chance: NDArray[np.float32], point: tuple[float, float], shape: tuple[int, ...]
) -> Box:
    """Find the box of the part of a rough mask of the whole photo that holds a point."""
    height, width = shape[:2]
    rows, columns = chance.shape
    parts = np.zeros(chance.shape, np.int32)
    ndimage.label(chance >= 0.5, output=parts)
    x, y = point
    row, column = min(int(y / height * rows), rows - 1), min(int(x / width * columns), columns - 1)
    if parts[row, column]:
        x0, y0, x1, y1 = Instance.box_of(parts == parts[row, column])
        wide, high = width / columns, height / rows
        return _holding((x0 * wide, y0 * high, x1 * wide, y1 * high), [point])
    around = AROUND * max(height, width)
    return (
        max(0.0, x - around),
        max(0.0, y - around),
        min(float(width), x + around),
        min(float(height), y + around),
    )


def _holding(box: Box, points: Sequence[tuple[float, float]]) -> Box:
    """Widen a box to hold points."""
    x, y = [p[0] for p in points], [p[1] for p in points]
    return min([box[0], *x]), min([box[1], *y]), max([box[2], *x]), max([box[3], *y])


def _read(values: NDArray[np.float32], covered: Window, window: Window) -> NDArray[np.float32]:
    """Read values that cover a part of the photo in a window [224, 224]; 0 beyond them."""
    side = 224
    rows, columns = values.shape
    x0, y0, x1, y1 = covered
    x = window[0] + (np.arange(side) + 0.5) / side * (window[2] - window[0])
    y = window[1] + (np.arange(side) + 0.5) / side * (window[3] - window[1])
    grid = np.meshgrid(
        (y - y0) / (y1 - y0) * rows - 0.5, (x - x0) / (x1 - x0) * columns - 0.5, indexing="ij"
    )
    # Where a pixel of the window covers many of the photo's, thin lines may be missed.
    read = np.zeros((side, side), np.float32)
    ndimage.map_coordinates(np.asarray(values, np.float32), np.stack(grid), output=read, order=1)
    return read
