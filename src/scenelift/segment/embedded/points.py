"""Points that the mask head learned: where the object is, and what is wrong with a mask of it."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.models.embedded.box_fusion import iou
from scenelift.models.embedded.point_head import PointHead, PointWindow
from scenelift.segment.embedded.refine import over, refine
from scenelift.types import Box, Instance, PointPrompt

__all__ = ["PointMasker", "Windows"]

MOST_WINDOWS = 4  # that are kept of a photo; 5 MB each
AROUND = 0.06  # of the photo's longer side: half a box around points that are on nothing
SMALL = 0.15  # of the side of a square of a mask's size: corrections that leave it the same object
STAYS = 0.7  # IoU of boxes below which a later one is another object's
SAME = 0.8  # IoU of an answer with the mask before: above, it changes little anyway
REACH = 3.0  # of a small correction, in distances from the click to the mask's edge

Answers = dict[tuple[int, int, tuple[PointPrompt, ...]], NDArray[np.float32]]
"""By how many points were answered beforehand, how many define the object, and all points."""


@dataclass(slots=True, eq=False)
class Windows:
    """What was looked at of one photo, with the answers of points so far.

    Attributes:
        opened: by box; None is the whole photo.
    """

    opened: OrderedDict[Box | None, tuple[PointWindow, Answers]] = field(
        default_factory=OrderedDict
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def nbytes(self) -> int:
        return sum(
            window.nbytes + sum(x.nbytes for x in answers.values())
            for window, answers in self.opened.values()
        )


class PointMasker:
    """Cuts out what points are on, and corrects masks by points.

    Args:
        head: the mask head, trained for points.
    """

    def __init__(self, head: PointHead) -> None:
        self._head = head

    def box_of(
        self, pixels: NDArray[np.uint8], windows: Windows, points: Sequence[PointPrompt]
    ) -> Box:
        """Find the box of what the points are on, in the whole photo.

        Where further points change it little it stays, and with it what was cut out of it.
        """
        window, answers = self._open(pixels, windows, None, ())
        box = None
        for count in range(1, len(points) + 1):
            some = points[:count]
            if not any(p.positive for p in some):
                continue
            chance = _replayed(window, answers, some, None, 0, 1)
            latest = _box_around(chance, some, pixels.shape)
            if box is None or iou(np.array(box), np.array(latest)) < STAYS:
                box = latest
        assert box is not None
        return box

    def corrected(
        self,
        pixels: NDArray[np.uint8],
        windows: Windows,
        points: Sequence[PointPrompt],
        box: Box,
        rivals: Sequence[Box],
        alpha: NDArray[np.float32],  # [H, W]
        answered: int,
        defining: int,
        *,
        own: bool = True,
    ) -> NDArray[np.float32]:  # [H, W]
        """Correct the mask of a box by points.

        Args:
            windows: of this photo; grows.
            rivals: boxes of other objects.
            alpha: the mask, which the first `answered` points are behind already.
            defining: the first so many points may change the whole mask: they say what the object
                is. Later ones that lie near its edge change what is near them.
            own: whether it is what this photo's box always begins with; else no answer is kept.
        """
        box = _holding(box, [p.point for p in points if p.positive])
        window, answers = self._open(pixels, windows, box, rivals)
        before = _read(alpha, window.window)
        chance = _replayed(window, answers if own else {}, points, before, answered, defining)
        return _drawn(pixels, window, chance)

    def _open(
        self, pixels: NDArray[np.uint8], windows: Windows, box: Box | None, rivals: Sequence[Box]
    ) -> tuple[PointWindow, Answers]:
        with windows.lock:
            if box in windows.opened:
                windows.opened.move_to_end(box)
                return windows.opened[box]
        opened = (
            self._head.of_photo(pixels)
            if box is None
            else self._head.of_box(pixels, box, [b for b in rivals if b != box])
        )
        with windows.lock:
            windows.opened[box] = opened, {}
            while len(windows.opened) > MOST_WINDOWS:
                windows.opened.popitem(last=False)
            return windows.opened[box]


def _replayed(
    window: PointWindow,
    answers: Answers,
    points: Sequence[PointPrompt],
    before: NDArray[np.float32] | None,
    answered: int,
    defining: int,
) -> NDArray[np.float32]:  # [224, 224]
    """Give points one after the other, each of which corrects the answer before."""
    for count in range(answered + 1, len(points) + 1):
        some = tuple(points[:count])
        key = answered, defining, some
        if key not in answers:
            answer = window.answer(some, before)
            if before is not None and count > defining:
                answer = _within_reach(answer, before, window, some[-1])
            answers[key] = answer
        before = answers[key]
    assert before is not None
    return before


def _within_reach(
    answer: NDArray[np.float32],
    before: NDArray[np.float32],
    window: PointWindow,
    point: PointPrompt,
) -> NDArray[np.float32]:  # [224, 224]
    """Keep what a small correction changes far from its point as it was, if it changes much.

    A click is mostly in the middle of what is wrong, which begins at the mask's edge. Where that is
    near, a user who takes away a strip beside a dog's vest does not ask for the vest alone.
    """
    inside, old = answer >= 0.5, before >= 0.5
    if np.count_nonzero(inside & old) >= SAME * np.count_nonzero(inside | old):
        return answer
    x0, y0, x1, y1 = window.window
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
    chance: NDArray[np.float32], points: Sequence[PointPrompt], shape: tuple[int, ...]
) -> Box:
    """Find the box of the parts of a rough mask of the whole photo that hold points."""
    height, width = shape[:2]
    rows, columns = chance.shape
    parts = np.zeros(chance.shape, np.int32)
    ndimage.label(chance >= 0.5, output=parts)
    on_it = [p.point for p in points if p.positive]
    places = [
        (min(int(y / height * rows), rows - 1), min(int(x / width * columns), columns - 1))
        for x, y in on_it
    ]
    hit = {int(parts[place]) for place in places} - {0}
    if hit:
        x0, y0, x1, y1 = Instance.box_of(np.isin(parts, list(hit)))
        box = (
            x0 * width / columns,
            y0 * height / rows,
            x1 * width / columns,
            y1 * height / rows,
        )
        return _holding(box, on_it)
    around = AROUND * max(height, width)
    x0, y0, x1, y1 = _holding((math.inf, math.inf, -math.inf, -math.inf), on_it)
    return (
        max(0.0, x0 - around),
        max(0.0, y0 - around),
        min(float(width), x1 + around),
        min(float(height), y1 + around),
    )


def _holding(box: Box, points: Sequence[tuple[float, float]]) -> Box:
    """Widen a box to hold points."""
    x, y = [p[0] for p in points], [p[1] for p in points]
    return min([box[0], *x]), min([box[1], *y]), max([box[2], *x]), max([box[3], *y])


def _read(alpha: NDArray[np.float32], window: Box) -> NDArray[np.float32]:  # [224, 224]
    """Read a mask of the photo in a window, which may reach beyond it."""
    side = 224
    x = window[0] + (np.arange(side) + 0.5) / side * (window[2] - window[0]) - 0.5
    y = window[1] + (np.arange(side) + 0.5) / side * (window[3] - window[1]) - 0.5
    grid = np.stack(np.meshgrid(y, x, indexing="ij"))
    # Where a pixel of the window covers many of the photo's, thin lines may be missed.
    read = np.zeros((side, side), np.float32)
    ndimage.map_coordinates(np.asarray(alpha, np.float32), grid, output=read, order=1)
    return read


def _drawn(
    pixels: NDArray[np.uint8], window: PointWindow, chance: NDArray[np.float32]
) -> NDArray[np.float32]:  # [H, W]
    """Draw the chances of a window to the photo's edges."""
    height, width = pixels.shape[:2]
    wx0, wy0, wx1, wy1 = window.window
    x0, y0 = max(0, math.floor(wx0)), max(0, math.floor(wy0))
    x1, y1 = min(width, math.ceil(wx1)), min(height, math.ceil(wy1))
    coarse = over(chance, window.window, (x0, y0, x1, y1))
    mask = np.zeros((height, width), np.float32)
    crop = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    mask[y0:y1, x0:x1] = refine(crop, coarse, np.ones(coarse.shape, bool))
    return mask
