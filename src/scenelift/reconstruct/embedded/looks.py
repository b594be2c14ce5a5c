"""Asks the shape head what fills the space along the photo's viewing rays: several looks, one mean.

The head divides a square window of the photo into rays and each ray into bins of depth (see
`scenelift.training.tasks.shape`). What it says differs between windows where it guesses. Where it
is not told how the front runs, it still has an opinion of it, a better one than our own point maps:
told that, it completes the rest more sharply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from scenelift.geometry.regions import nearest_inside
from scenelift.models.embedded import CELLS, Head, crop
from scenelift.types import ObjectView

__all__ = ["BINS", "DEPTHS", "SIDE", "Answer", "Looks", "interpolation"]

# As in training:
PATCHES = (20, 20)
SIDE = 80  # rays along a side of the window
MARGIN = 0.15  # of the box's longer side, around it
BINS, NEAR, FAR = 96, -0.8, 2.0
DEPTHS = NEAR + (np.arange(BINS) + 0.5) / BINS * (FAR - NEAR)
"""Of the bins' middles, from the median of the visible surface, in longer sides of the box."""
MOST_RELIEF = 2.0
ACROSS = 4  # the hint that changes its sign in a mirror

# Windows over the first one's side, and whether mirrored: rays fall elsewhere.
AUGMENTATIONS = ((1.0, False), (1.07, True), (0.94, True))

Window = tuple[float, float, float, float]
Relief = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""At columns u and rows v of the photo, in longer sides of the box; and where it is known."""
Teller = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]], Relief]
"""Columns u, rows v, and the mask at their crossings -> what the head is told of depth there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What the head says of a window, the mean of its looks.

    Attributes:
        filled: float32 [BINS, SIDE, SIDE], logits.
        back: float32 [3, SIDE, SIDE], likewise: the colour of the last surface along each ray.
        up: float64 [3], the world's up in the camera frame, of any length.
    """

    filled: NDArray[np.float32]
    back: NDArray[np.float32]
    up: NDArray[np.float64]

    def mean(self, other: Answer) -> Answer:
        """Return the mean of two answers."""
        half = np.float32(0.5)
        return Answer(
            filled=half * (self.filled + other.filled),
            back=half * (self.back + other.back),
            up=(self.up + other.up) / 2,
        )

    def front(self) -> NDArray[np.float64]:  # [SIDE, SIDE]
        """Compute where each ray is expected to meet the object, in longer sides of its box.

        Rays that more likely miss it take the nearest other's.
        """
        chance = 1 / (1 + np.exp(-self.filled.astype(np.float64).clip(-20, 20)))
        air = np.cumprod(1 - chance, 0)
        first = -np.diff(air, axis=0, prepend=1)
        hit = first.sum(0)
        front = (first * DEPTHS[:, None, None]).sum(0) / np.maximum(hit, 1e-6)
        sure = hit > 0.5
        return front[nearest_inside(sure)] if sure.any() else np.zeros_like(front)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    zoom: float
    mirror: bool
    window: Window
    picture: NDArray[np.uint8]
    tokens: dict[str, NDArray[np.float32]]


class Looks:
    """Windows around an object; the backbone looks at each of them once.

    Args:
        view: of the object in the photo.
        distance: depth of its visible surface.

    Attributes:
        window: the first one, in pixels of the photo; `half` of its side.
        longer: side of the object's box, likewise.
    """

    def __init__(self, head: Head, view: ObjectView, distance: float) -> None:
        self._head, self._view, self._distance = head, view, distance
        x0, y0, x1, y1 = view.instance.box
        self.longer = max(x1 - x0, y1 - y0)
        x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, self.longer * (0.5 + MARGIN)
        self.half, self.window = half, (x - half, y - half, x + half, y + half)
        self._windows: list[_Look] = []
        for number, (zoom, mirror) in enumerate(AUGMENTATIONS):
            last = number + 1 == len(AUGMENTATIONS)
            reach = half * zoom
            window = (x - reach, y - reach, x + reach, y + reach)
            picture = crop(view.image.pixels, window, PATCHES)
            if mirror:
                picture = np.ascontiguousarray(picture[:, ::-1])
            self._windows.append(
                _Look(
                    zoom=zoom,
                    mirror=mirror,
                    window=window,
                    picture=picture,
                    tokens=head.tokens(picture, last=last),
                )
            )

    def without_depth(self) -> Answer:
        """Ask without telling any depth."""
        return self._ask(None)

    def with_points(self) -> Answer:
        """Ask, telling the point map's relief."""
        return self._ask(self._measured)

    def with_front(self, front: NDArray[np.float64]) -> Answer:  # [SIDE, SIDE]
        """Ask, telling how the object's front runs along the rays of the first window."""
        x0, y0, x1, y1 = self.window

        def relief(
            u: NDArray[np.float64], v: NDArray[np.float64], mask: NDArray[np.bool_]
        ) -> Relief:
            rows, columns = (v - y0) / (y1 - y0), (u - x0) / (x1 - x0)
            where = np.meshgrid(rows * SIDE - 0.5, columns * SIDE - 0.5, indexing="ij")
            depth = map_coordinates(front, where, order=1, mode="nearest")
            middle = np.median(depth[mask]) if mask.any() else 0.0
            return (depth - middle).astype(np.float32), mask

        return self._ask(relief)

    def _measured(
        self, u: NDArray[np.float64], v: NDArray[np.float64], _mask: NDArray[np.bool_]
    ) -> Relief:
        """Read the point map's relief."""
        where, inside = self._pixels(u, v)
        depth = -self._view.points.points[..., 2][where].astype(np.float64)
        visible = inside & np.isfinite(depth) & (depth > 0)
        distance = self._distance
        relief = (np.where(visible, depth, distance) / distance - 1) * (
            self._view.camera.fx / self.longer
        )
        return relief.astype(np.float32), visible

    def _ask(self, relief: Teller | None) -> Answer:
        total = np.zeros((BINS + 3, SIDE, SIDE), np.float32)
        up = np.zeros(3)
        for look in self._windows:
            last = look is self._windows[-1]
            hints = self._hints(look.window, relief)
            if look.mirror:
                hints = np.ascontiguousarray(hints[..., ::-1])
                hints[ACROSS] *= -1
            maps, up_part = self._head.answer(look.picture, look.tokens, hints, last=last)
            if look.mirror:
                maps, up_part = maps[..., ::-1], up_part * np.array([-1, 1, 1], np.float32)
            rays = (((np.arange(SIDE) + 0.5) / SIDE - 0.5) / look.zoom + 0.5) * SIDE - 0.5
            onto = interpolation(rays, SIDE)
            total += onto @ maps @ onto.T / np.float32(len(self._windows))
            up += up_part
        return Answer(filled=total[:BINS], back=total[BINS:], up=up)

    def _hints(self, window: Window, relief: Teller | None) -> NDArray[np.float32]:  # [6, 160, 160]
        """Build the hints: mask; others; relief; where it is known; tangents across and up."""
        side = PATCHES[0] * CELLS
        u = window[0] + (np.arange(side) + 0.5) / side * (window[2] - window[0])
        v = window[1] + (np.arange(side) + 0.5) / side * (window[3] - window[1])
        where, inside = self._pixels(u, v)
        mask = self._view.mask[where] & inside
        hints = np.zeros((6, side, side), np.float32)
        hints[0] = mask
        for other in self._view.others:
            hints[1] = np.maximum(hints[1], other.mask[where] & inside & ~mask)
        camera = self._view.camera
        if relief is not None:
            values, valid = relief(u, v, mask)
            hints[2] = values.clip(-MOST_RELIEF, MOST_RELIEF) * valid
            hints[3] = valid
        hints[ACROSS] = (u - camera.cx) / camera.fx
        hints[5] = ((camera.cy - v) / camera.fy)[:, None]
        return hints

    def _pixels(
        self, u: NDArray[np.float64], v: NDArray[np.float64]
    ) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.bool_]]:
        """Find the photo's pixels at the crossings of columns u and rows v; and which exist."""
        height, width = self._view.mask.shape
        rows, columns = np.floor(v).astype(int), np.floor(u).astype(int)
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        return np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1)), inside


def interpolation(where: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """Build a matrix [len(where), count] that interpolates linearly at fractional indices."""
    where = where.clip(0, count - 1)
    low = np.minimum(where.astype(int), count - 2)
    matrix = np.zeros((len(where), count), np.float32)
    rows = np.arange(len(where))
    matrix[rows, low] = 1 - (where - low)
    matrix[rows, low + 1] += where - low
    return matrix
