"""Predicts the space that an object fills, hidden parts included, by the trained shape head.

The head divides a square window of the photo into rays and each ray into bins of depth (see
`scenelift.training.tasks.shape`). The mask has the last word on the silhouette: nothing sticks
out of it, except behind what hides the object, and where the head sees nothing (thin legs, wires)
the outline is as thick as it is wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from scenelift.geometry.regions import nearest_inside
from scenelift.models.embedded import CELLS, Head, crop
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.reconstruct.embedded.relief import visible_relief
from scenelift.types import ObjectView

__all__ = ["OccupancyField", "filled_space"]

# As in training:
PATCHES = (20, 20)
SIDE = 80  # rays along a side of the window
MARGIN = 0.15  # of the box's longer side, around it
BINS, NEAR, FAR = 96, -0.8, 2.0
MOST_RELIEF = 2.0
ACROSS = 4  # the hint that changes its sign in a mirror

# Windows over the first one's side, and whether mirrored: what the head says of them differs where
# it guesses, and rays fall elsewhere.
AUGMENTATIONS = ((1.0, False), (1.07, True), (0.94, True))
NODES = 112  # along a side: the silhouette is sharper than the head's rays
SKIN = 1.5  # bins: thinner would slip through the grid
THINNEST = 0.6  # bins, of a bar, likewise
MOST_LOGIT = 3.0  # a bin this sure is as far inside as a bin is deep
MOST_BRIDGED = 0.45  # of the box's longer side
UNTOLD = 0.6
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
    x0, y0, x1, y1 = view.instance.box
    longer = max(x1 - x0, y1 - y0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    answer, up = np.zeros((BINS + 3, SIDE, SIDE), np.float32), np.zeros(3)
    for zoom, mirror in AUGMENTATIONS:
        half = longer * (0.5 + MARGIN) * zoom
        window = (x - half, y - half, x + half, y + half)
        hints = _hints(window, view, distance, longer, trust_relief=trust_relief)
        picture = crop(view.image.pixels, window, PATCHES)
        maps, up_part = _mirrored_run(head, picture, hints) if mirror else head.run(picture, hints)
        rays = (((np.arange(SIDE) + 0.5) / SIDE - 0.5) / zoom + 0.5) * SIDE - 0.5
        onto = _interpolation(rays, SIDE)
        answer += onto @ maps @ onto.T / np.float32(len(AUGMENTATIONS))
        up += up_part

    half = longer * (0.5 + MARGIN)
    nodes = NODES
    u = x - half + (np.arange(nodes) + 0.5) / nodes * 2 * half
    v = y - half + (np.arange(nodes) + 0.5) / nodes * 2 * half
    w = (NEAR + (np.arange(BINS) + 0.5) / BINS * (FAR - NEAR)) * longer
    bin_depth = w[1] - w[0]
    spread = _interpolation((np.arange(nodes) + 0.5) * SIDE / nodes - 0.5, SIDE)
    logits = answer[:BINS] + np.float32(0 if trust_relief else UNTOLD)
    logits = logits.clip(-MOST_LOGIT, MOST_LOGIT) * np.float32(bin_depth / MOST_LOGIT)
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
    back = (1 / (1 + np.exp(-answer[BINS:].clip(-30, 30)))).astype(np.float32)
    return OccupancyField(
        field=field,
        u=u,
        v=v,
        w=w,
        up=up / max(float(np.linalg.norm(up)), 1e-9),
        back=np.moveaxis(back, 0, -1),
    )


def _mirrored_run(
    head: Head, picture: NDArray[np.uint8], hints: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run the head on the mirror image, and mirror its answer back."""
    other = np.ascontiguousarray(hints[..., ::-1])
    other[ACROSS] *= -1
    maps, up = head.run(np.ascontiguousarray(picture[:, ::-1]), other)
    return maps[..., ::-1], up * np.array([-1, 1, 1], np.float32)


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


def _interpolation(where: NDArray[np.float64], count: int) -> NDArray[np.float32]:
    """Build a matrix [len(where), count] that interpolates linearly at fractional indices."""
    where = where.clip(0, count - 1)
    low = np.minimum(where.astype(int), count - 2)
    matrix = np.zeros((len(where), count), np.float32)
    rows = np.arange(len(where))
    matrix[rows, low] = 1 - (where - low)
    matrix[rows, low + 1] += where - low
    return matrix


def _hints(
    window: tuple[float, float, float, float],
    view: ObjectView,
    distance: float,
    longer: float,
    *,
    trust_relief: bool,
) -> NDArray[np.float32]:  # [6, 160, 160]
    """Build the hints: mask; others; relief; where it is known; rays' tangents across and up."""
    side = PATCHES[0] * CELLS
    height, width = view.mask.shape
    u = window[0] + (np.arange(side) + 0.5) / side * (window[2] - window[0])
    v = window[1] + (np.arange(side) + 0.5) / side * (window[3] - window[1])
    rows, columns = np.floor(v).astype(int), np.floor(u).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    where = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
    mask = view.mask[where] & inside
    hints = np.zeros((6, side, side), np.float32)
    hints[0] = mask
    for other in view.others:
        hints[1] = np.maximum(hints[1], other.mask[where] & inside & ~mask)
    camera = view.camera
    if trust_relief:
        depth = -view.points.points[..., 2][where].astype(np.float64)
        visible = inside & np.isfinite(depth) & (depth > 0)
        relief = (np.where(visible, depth, distance) / distance - 1) * camera.fx / longer
        hints[2] = relief.clip(-MOST_RELIEF, MOST_RELIEF) * visible
        hints[3] = visible
    hints[ACROSS] = (u - camera.cx) / camera.fx
    hints[5] = ((camera.cy - v) / camera.fy)[:, None]
    return hints
