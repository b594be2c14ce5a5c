"""Predicts the space that an object fills, hidden parts included, by the trained shape head.

The mask has the last word on the silhouette of what the head says (`looks`): nothing sticks
out of it, except behind what hides the object, and where the head sees nothing (thin legs, wires)
the outline is as thick as it is wide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from scenelift.geometry.regions import nearest_inside
from scenelift.models.embedded import Head
from scenelift.reconstruct.embedded.looks import (
    DEPTHS,
    SIDE,
    Answer,
    Looks,
    interpolation,
)
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.reconstruct.embedded.relief import visible_relief
from scenelift.types import ObjectView

__all__ = ["OccupancyField", "filled_space"]

NODES = 112  # along a side: the silhouette is sharper than the head's rays
SKIN = 1.5  # bins: thinner would slip through the grid
THINNEST = 0.6  # bins, of a bar, likewise
MOST_LOGIT = 3.0  # a bin this sure is as far inside as a bin is deep
MOST_BRIDGED = 0.45  # of the box's longer side
UNTOLD = 0.2
"""Added to logits where the head was not told the relief. The best expected IoU fills what is
likelier than IoU / (1 + IoU), and walls that the head hardly dares to draw stay closed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OccupancyField:
    """A field over rays and depths, positive inside.

    Attributes:
        field: float32 [D, H, W] at the nodes, about pixels to the surface; negative on the border.
        u, v: float64 [W] and [H], photo coordinates of the nodes.
        w: float64 [D], depth of the nodes as `Solid` measures it, increasing.
        up: float64 [3], unit, the world's up in the camera frame.
        back: float32 [h, w, 3] in 0…1, over the same square of the photo: the colour of the last
            surface along each ray, as the head guesses it.
    """

    field: NDArray[np.float32]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    w: NDArray[np.float64]
    up: NDArray[np.float64]
    back: NDArray[np.float32]

    @property
    def window(self) -> tuple[float, float, float, float]:
        """Return the square of the photo that it covers: x0, y0, x1, y1."""
        (u0, u1), (v0, v1) = self.u[[0, -1]], self.v[[0, -1]]
        x, y = (u1 - u0) / (len(self.u) - 1) / 2, (v1 - v0) / (len(self.v) - 1) / 2
        return float(u0 - x), float(v0 - y), float(u1 + x), float(v1 + y)

    def extent(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return first and last depth [H, W] inside along each ray, and where there is any."""
        inside = self.field > 0
        hit = np.any(inside, axis=0)
        first = self._crossing(inside.argmax(0), -1)
        last = self._crossing(len(self.w) - 1 - inside[::-1].argmax(0), 1)
        return first, last, hit

    def _crossing(self, index: NDArray[np.intp], step: int) -> NDArray[np.float64]:
        """Find where the field changes sign between a node inside and the next in a direction."""
        other = np.clip(index + step, 0, len(self.w) - 1)
        a = np.take_along_axis(self.field, index[None], 0)[0].astype(np.float64)
        b = np.take_along_axis(self.field, other[None], 0)[0].astype(np.float64)
        share = np.divide(a, a - b, out=np.zeros_like(a), where=(a > 0) & (b < 0))
        return self.w[index] + share * (self.w[other] - self.w[index])


def filled_space(
    head: Head,
    view: ObjectView,
    outline: Outline,
    distance: float,
    *,
    trust_relief: bool,
) -> OccupancyField:
    """Run the head, and make its answer agree with the outline.

    Args:
        view: of the object in the photo.
        distance: depth that w = 0 stands for.
        trust_relief: whether the point map's relief may be believed.
    """
    windows = Looks(head, view, distance)
    answer = _answer(windows, trust_relief=trust_relief)
    (left, top, *_), half, longer = windows.window, windows.half, windows.longer
    nodes = NODES
    u = left + (np.arange(nodes) + 0.5) / nodes * 2 * half
    v = top + (np.arange(nodes) + 0.5) / nodes * 2 * half
    w = DEPTHS * longer
    bin_depth = w[1] - w[0]
    spread = interpolation((np.arange(nodes) + 0.5) * SIDE / nodes - 0.5, SIDE)
    logits = answer.filled.clip(-MOST_LOGIT, MOST_LOGIT) * np.float32(bin_depth / MOST_LOGIT)
    field = spread @ logits @ spread.T  # [BINS, nodes, nodes]

    uu, vv = np.meshgrid(u, v)
    rim = outline.sample(outline.distance, uu, vv)
    at_cut = outline.sample(outline.on_cut.astype(np.float32), uu, vv, order=0) > 0.5
    field = np.where(at_cut & (rim <= 0), field, np.minimum(field, rim)).astype(np.float32)
    inside = field > 0
    hit = np.any(inside, axis=0)
    front = w[inside.argmax(0)][nearest_inside(hit)] if hit.any() else np.zeros_like(rim)
    if trust_relief:
        front = visible_relief(view.mask, view.points, distance, uu, vv)
    front = np.clip(front, w[2], w[-3])
    field = np.where((rim > 0) & ~hit, np.maximum(field, _bars(rim, w, front)), field)
    if trust_relief:
        field = _with_front(field, rim, w, front)
    else:
        field = _bridged(field, rim, w, most=MOST_BRIDGED * longer, clear=u[1] - u[0])
    for axis in range(3):
        for side in (0, -1):
            np.moveaxis(field, axis, 0)[side] = np.minimum(
                np.moveaxis(field, axis, 0)[side], -0.05 * bin_depth
            )
    # A node exactly on the surface would give triangles without area.
    least = np.float32(1e-3 * bin_depth)
    field = np.where(np.abs(field) < least, -least, field)
    back = (1 / (1 + np.exp(-answer.back.clip(-30, 30)))).astype(np.float32)
    return OccupancyField(
        field=field,
        u=u,
        v=v,
        w=w,
        up=answer.up / max(float(np.linalg.norm(answer.up)), 1e-9),
        back=np.moveaxis(back, 0, -1),
    )


def _answer(windows: Looks, *, trust_relief: bool) -> Answer:
    """Ask the head; where no relief may be told, tell it the front that it expects itself."""
    if trust_relief:
        return windows.with_points()
    first = windows.without_depth()
    first = replace(first, filled=first.filled + np.float32(UNTOLD))
    return first.mean(windows.with_front(first.front()))


def _bars(
    rim: NDArray[np.float64],  # [H, W], distance to the outline
    w: NDArray[np.float64],  # [D]
    front: NDArray[np.float64],  # [H, W]
) -> NDArray[np.float32]:  # [D, H, W]
    """Fill a field as thick as the outline is wide, and no thicker than a plate."""
    bin_depth = w[1] - w[0]
    thick = np.clip(rim, THINNEST * bin_depth, SKIN * bin_depth)
    bars = thick - np.abs(w[:, None, None] - (front + 0.5 * thick))
    return np.minimum(bars, rim).astype(np.float32)


def _with_front(
    field: NDArray[np.float32],  # [D, H, W]
    rim: NDArray[np.float64],  # [H, W], distance to the outline
    w: NDArray[np.float64],  # [D]
    front: NDArray[np.float64],  # [H, W]
) -> NDArray[np.float32]:
    """Set the field's front to the visible surface: air before it, at least a skin behind it."""
    behind = w[:, None, None] - front
    skin = np.minimum(behind, SKIN * (w[1] - w[0]) - behind)
    with_front = np.maximum(np.minimum(field, behind), np.minimum(skin, rim))
    return np.where(rim > 0, with_front, field).astype(np.float32)


def _bridged(
    field: NDArray[np.float32],  # [D, H, W]
    rim: NDArray[np.float64],  # [H, W], distance to the outline
    w: NDArray[np.float64],  # [D]
    *,
    most: float,
    clear: float,
) -> NDArray[np.float32]:
    """Add walls to the field between neighbouring rays that it fills at different depths.

    The mask says that nothing is seen through there, so one solid continues; without a wall it has
    a hole, seen from above.

    Args:
        most: the deepest gap that is closed.
        clear: distance from the outline within which fronts are ragged: walls would be teeth.
    """
    inside = field > 0
    sure = np.any(inside, axis=0) & (rim > clear)
    first = inside.argmax(0)
    after = np.arange(len(w))[:, None, None] > first
    end = w[(after & ~inside).argmax(0) - 1]  # of the first stretch that a ray fills
    behind = maximum_filter(np.where(sure, w[first], -np.inf), 3)
    bridge = sure & (behind > end) & (behind - end < most)
    depth = w[:, None, None]
    wall = np.minimum(np.minimum(depth - end, behind - depth) + (w[1] - w[0]), rim)
    return np.where(bridge, np.maximum(field, wall), field).astype(np.float32)
