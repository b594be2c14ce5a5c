"""The space an object fills, by the trained shape head: what is hidden is completed from what it
learned of things.

The head divides a square window of the photo into rays and each ray into bins of depth (see
`scenelift.training.tasks.shape`). The mask has the last word on the silhouette: nothing sticks
out of it, except behind what hides the object, and where the head sees nothing (thin legs, wires)
the outline is as thick as it is wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.regions import nearest_inside
from scenelift.heads import CELLS, Head, crop
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.types import Image, Instance, PointMap

__all__ = ["Filled", "filled_space"]

# As in training:
PATCHES = (20, 20)
SIDE = 80  # rays along a side of the window
MARGIN = 0.15  # of the box's longer side, around it
BINS, NEAR, FAR = 96, -0.8, 2.0
MOST_RELIEF = 2.0

NODES = 112  # along a side: the silhouette is sharper than the head's rays
SKIN = 1.5  # bins: thinner would slip through the grid
MOST_LOGIT = 3.0  # a bin this sure is as far inside as a bin is deep
UNTOLD = 0.6
"""Added to logits where the head was not told the relief. The best expected IoU fills what is
likelier than IoU / (1 + IoU), and walls that the head hardly dares to draw stay closed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filled:
    """A field over rays and depths, positive inside.

    Attributes:
        field: float32 [D, H, W] at the nodes, about pixels to the surface; negative on the border.
        u, v: float64 [W] and [H], photo coordinates of the nodes.
        w: float64 [D], depth of the nodes as `Solid` measures it, increasing.
        up: float64 [3], unit, the world's up in the camera frame.
    """

    field: NDArray[np.float32]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    w: NDArray[np.float64]
    up: NDArray[np.float64]

    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """First and last depth [H, W] inside along each ray, and where there is any."""
        inside = self.field > 0
        hit = np.any(inside, axis=0)
        first = self._crossing(inside.argmax(0), -1)
        last = self._crossing(len(self.w) - 1 - inside[::-1].argmax(0), 1)
        return first, last, hit

    def _crossing(self, index: NDArray[np.intp], step: int) -> NDArray[np.float64]:
        """Where the field changes its sign between a node inside and the next in a direction."""
        other = np.clip(index + step, 0, len(self.w) - 1)
        a = np.take_along_axis(self.field, index[None], 0)[0].astype(np.float64)
        b = np.take_along_axis(self.field, other[None], 0)[0].astype(np.float64)
        share = np.divide(a, a - b, out=np.zeros_like(a), where=(a > 0) & (b < 0))
        return self.w[index] + share * (self.w[other] - self.w[index])


def filled_space(
    head: Head,
    image: Image,
    instance: Instance,
    others: Sequence[Instance],
    points: PointMap,
    outline: Outline,
    distance: float,
    relief: NDArray[np.float64] | None,
) -> Filled:
    """Ask the head, and make its answer agree with the outline.

    Args:
        distance: depth that w = 0 stands for.
        relief: of the visible surface at the outline's nodes, see `relief_of`; None: unknown.
    """
    x0, y0, x1, y1 = instance.box
    longer = max(x1 - x0, y1 - y0)
    half = longer * (0.5 + MARGIN)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    window = (x - half, y - half, x + half, y + half)
    hints = _hints(window, instance, others, points, distance, longer, known=relief is not None)
    maps, numbers = head.run(crop(image.pixels, window, PATCHES), hints)

    nodes = NODES
    u = window[0] + (np.arange(nodes) + 0.5) / nodes * 2 * half
    v = window[1] + (np.arange(nodes) + 0.5) / nodes * 2 * half
    w = (NEAR + (np.arange(BINS) + 0.5) / BINS * (FAR - NEAR)) * longer
    bin_depth = w[1] - w[0]
    spread = _finer(SIDE, nodes)
    logits = maps[:BINS] + np.float32(UNTOLD if relief is None else 0)
    logits = logits.clip(-MOST_LOGIT, MOST_LOGIT) * np.float32(bin_depth / MOST_LOGIT)
    field = spread @ logits @ spread.T  # [BINS, nodes, nodes]

    uu, vv = np.meshgrid(u, v)
    rim = outline.sample(outline.distance, uu, vv)
    cut = outline.sample(outline.cut.astype(np.float32), uu, vv, order=0) > 0.5
    field = np.where(cut & (rim <= 0), field, np.minimum(field, rim)).astype(np.float32)
    field = np.maximum(field, _bars(field, rim, w, outline, relief, uu, vv))
    if relief is not None:
        field = _with_front(field, rim, w, outline.sample(relief, uu, vv))
    for axis in range(3):
        for side in (0, -1):
            np.moveaxis(field, axis, 0)[side] = np.minimum(
                np.moveaxis(field, axis, 0)[side], -0.05 * bin_depth
            )
    # A node exactly on the surface would give triangles without area.
    least = np.float32(1e-3 * bin_depth)
    field = np.where(np.abs(field) < least, -least, field)
    up = numbers.astype(np.float64)
    return Filled(field=field, u=u, v=v, w=w, up=up / max(float(np.linalg.norm(up)), 1e-9))


def _bars(
    field: NDArray[np.float32],  # [D, H, W]
    rim: NDArray[np.float64],  # [H, W], distance to the outline
    w: NDArray[np.float64],  # [D]
    outline: Outline,
    relief: NDArray[np.float64] | None,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Where the head leaves a ray through the mask empty: as thick as the outline is wide."""
    inside = field > 0
    hit, wanted = np.any(inside, axis=0), rim > 0
    if relief is not None:
        front = outline.sample(relief, u, v)
    elif hit.any():
        front = w[inside.argmax(0)][nearest_inside(hit)]
    else:
        front = np.zeros_like(rim)
    front = np.clip(front, w[2], w[-3])
    thick = np.maximum(rim, 0.6 * (w[1] - w[0]))  # less than a node would slip through the grid
    bars = thick - np.abs(w[:, None, None] - (front + 0.5 * thick))
    bars = np.minimum(bars, rim)
    return np.where(wanted & ~hit, bars, -np.inf).astype(np.float32)


def _with_front(
    field: NDArray[np.float32],  # [D, H, W]
    rim: NDArray[np.float64],  # [H, W], distance to the outline
    w: NDArray[np.float64],  # [D]
    front: NDArray[np.float64],  # [H, W]
) -> NDArray[np.float32]:
    """The field with its front where it was seen: air before it, at least a skin behind it."""
    front = np.clip(front, w[2], w[-3])
    behind = w[:, None, None] - front
    skin = np.minimum(behind, SKIN * (w[1] - w[0]) - behind)
    seen = np.maximum(np.minimum(field, behind), np.minimum(skin, rim))
    return np.where(rim > 0, seen, field).astype(np.float32)


def _finer(side: int, nodes: int) -> NDArray[np.float32]:  # [nodes, side]
    """Matrix of linear interpolation between the centres of `side` pixels at `nodes` places."""
    where = ((np.arange(nodes) + 0.5) * side / nodes - 0.5).clip(0, side - 1)
    low = np.minimum(where.astype(int), side - 2)
    matrix = np.zeros((nodes, side), np.float32)
    rows = np.arange(nodes)
    matrix[rows, low] = 1 - (where - low)
    matrix[rows, low + 1] += where - low
    return matrix


def _hints(
    window: tuple[float, float, float, float],
    instance: Instance,
    others: Sequence[Instance],
    points: PointMap,
    distance: float,
    longer: float,
    *,
    known: bool,
) -> NDArray[np.float32]:  # [6, 160, 160]
    """Mask; others; relief; whether it is known; tangents of the rays across and up."""
    side = PATCHES[0] * CELLS
    height, width = instance.mask.shape
    u = window[0] + (np.arange(side) + 0.5) / side * (window[2] - window[0])
    v = window[1] + (np.arange(side) + 0.5) / side * (window[3] - window[1])
    rows, columns = np.floor(v).astype(int), np.floor(u).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    where = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
    mask = instance.mask[where] & inside
    hints = np.zeros((6, side, side), np.float32)
    hints[0] = mask
    for other in others:
        hints[1] = np.maximum(hints[1], other.mask[where] & inside & ~mask)
    camera = points.camera
    if known:
        depth = -points.points[..., 2][where].astype(np.float64)
        seen = inside & np.isfinite(depth) & (depth > 0)
        relief = (np.where(seen, depth, distance) / distance - 1) * camera.fx / longer
        hints[2] = relief.clip(-MOST_RELIEF, MOST_RELIEF) * seen
        hints[3] = seen
    hints[4] = (u - camera.cx) / camera.fx
    hints[5] = ((camera.cy - v) / camera.fy)[:, None]
    return hints
