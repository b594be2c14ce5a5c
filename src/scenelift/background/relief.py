"""Rebuild the background as a grid of rays, each with its depth without the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.background.harmonic import harmonic
from scenelift.background.planes import Plane, nearest_plane
from scenelift.background.sharpen import sharpened
from scenelift.background.uprights import stood_up
from scenelift.geometry.regions import distance_inside, nearest_inside
from scenelift.threads import side_by_side
from scenelift.types import Camera, PointMap

__all__ = [
    "Relief",
    "VisibleRelief",
    "backstop",
    "grid_of",
    "relief_behind",
    "relief_behind_edges",
    "sample_points",
    "visible_relief",
]

IN_FRONT = 0.94  # of an object's own depth: a plane nearer than this is not behind it
EDGE = 2.0  # cells beside a jump of the depth, in which it may be off
BACKSTOP = 1.03  # times the farthest around: where the backstop hangs
BACKSTOP_CELL = 6  # cells of the first layer that one of its is long
OUTLINE = 7  # cells that an object's outline may be wide in the points
BEHIND = 1.01  # times the depth of what stands before: nothing behind it is nearer
NEAR_PLANE = 0.03  # of the depth: relief so close to a plane is noise of the plane
RIM = 1  # cells beside a thing whose depth may be that of what is behind it
BACKDROP = 1.3  # times the farthest points: where the sky hangs
POINTS_AT_ONCE = 100_000  # of objects, looked at by one thread
FARTHEST = 0.99  # quantile of depths that is not an outlier


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relief:
    """Depths on a grid whose outermost rows and columns are the photo's edge.

    Attributes:
        rays: float64 [h, w, 3], where each ray is at depth 1, in the camera frame.
        place: float64 [h, w, 2], x and y of each in pixels of the photo.
        depth: float64 [h, w], along the viewing axis; finite everywhere.
        surface: int [h, w]: number of the plane, −1 for relief, −2 for the backdrop.
        filled: bool [h, w], what was not seen and is continued from around.
        front: bool [h, w], what stands before a second layer and has no part in its picture; in it
            lies `filled`. None for the first.
        edges: bool [h, w], what is so near to where something ends that its depth may be that of
            what is beside it. None for the first.
    """

    rays: NDArray[np.float64]
    place: NDArray[np.float64]
    depth: NDArray[np.float64]
    surface: NDArray[np.int64]
    filled: NDArray[np.bool_]
    front: NDArray[np.bool_] | None = None
    edges: NDArray[np.bool_] | None = None

    @property
    def points(self) -> NDArray[np.float64]:
        """[h, w, 3] in the camera frame."""
        return self.rays * self.depth[..., None]


def grid_of(
    camera: Camera, cells: int, stretched: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rays and places of a grid over the whole photo.

    Args:
        camera: of the photo.
        cells: about how many.
        stretched: how many times as wide as high they are.
    """
    w = max(2, round(np.sqrt(cells * camera.width / camera.height / stretched)))
    h = max(2, round(cells / w))
    x, y = np.meshgrid(np.linspace(0, camera.width, w + 1), np.linspace(0, camera.height, h + 1))
    rays = np.stack(
        [(x - camera.cx) / camera.fx, (camera.cy - y) / camera.fy, np.full(x.shape, -1.0)], -1
    )
    return rays, np.stack([x, y], -1)


def sample_points(values: NDArray, place: NDArray[np.float64]) -> NDArray:
    """Read [H, W, …] at the pixels of places [h, w, 2]."""
    height, width = values.shape[:2]
    columns = np.clip(place[..., 0].astype(int), 0, width - 1)
    rows = np.clip(place[..., 1].astype(int), 0, height - 1)
    return values[rows, columns]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VisibleRelief:
    """What a photo shows on a grid of rays: no object need be known for it, but its mask.

    Attributes:
        rays, place: as of `Relief`.
        measured: float64 [h, w], depths of the points, sharpened where nothing hides the
            background; NaN where there is no point.
        depth: float64 [h, w], of the background where it is visible, elsewhere of the backdrop.
        surface: int [h, w], as of `Relief`.
        on_objects: bool [h, w], what the objects hide.
        outside: bool [h, w], the margin that the photo does not show.
    """

    rays: NDArray[np.float64]
    place: NDArray[np.float64]
    measured: NDArray[np.float64]
    depth: NDArray[np.float64]
    surface: NDArray[np.int64]
    on_objects: NDArray[np.bool_]
    outside: NDArray[np.bool_]

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where there is a point before the camera."""
        return np.isfinite(self.measured) & (self.measured > 0)


def visible_relief(
    points: PointMap,
    hidden: NDArray[np.bool_],
    planes: Sequence[Plane],
    *,
    cells: int,
    stretched: float = 1.0,
    pixels: NDArray[np.uint8],
    outside: NDArray[np.bool_],
) -> VisibleRelief:
    """Compute the background's depths where they are visible: on a plane where they lie near one.

    Where the photo shows nothing near (sky), a backdrop hangs behind everything.

    Args:
        points: of the photo.
        hidden: bool [H, W], the objects' masks and a rim around them.
        planes: floor, table tops and walls.
        cells: about how many cells the grid has.
        stretched: how many times as wide as high they are.
        pixels: uint8 [H, W, 3], the photo, whose edges sharpen those of the depth.
        outside: bool [H, W], a margin that the photo does not show.
    """
    rays, place = grid_of(points.camera, cells, stretched)
    measured = -sample_points(points.points[..., 2], place).astype(np.float64)
    on_objects = sample_points(hidden, place)
    valid = np.isfinite(measured) & (measured > 0)
    beyond = sample_points(outside, place)
    free = valid & ~on_objects & ~beyond
    if free.any():
        _, off = _off_plane(planes, rays, measured, free)
        sharp = sharpened(
            measured, _colours_at(pixels, place), free, _surely_on_plane(measured, free, off < 1)
        )
        measured = np.where(free, sharp, measured)
        ground = [plane for plane in planes if plane.kind == "ground"]
        if ground:
            measured = stood_up(measured, rays, free, ground[0].normal)
    far = _backdrop(measured[free if free.any() else valid])
    depth = np.where(free, np.minimum(measured, far), far)
    surface = np.where(free, -1, -2)
    (on, number), off = _off_plane(planes, rays, measured, free)
    flat = off < 1
    # All the way onto the plane where it is near, and gently back to what was seen.
    weight = np.clip(2 - 2 * off[flat], 0, 1)
    depth[flat] = weight * on[flat] + (1 - weight) * depth[flat]
    surface[flat] = number[flat]
    return VisibleRelief(
        rays=rays,
        place=place,
        measured=measured,
        depth=depth,
        surface=surface,
        on_objects=on_objects,
        outside=beyond,
    )


def _surely_on_plane(
    depth: NDArray[np.float64], free: NDArray[np.bool_], flat: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Leave out what is on a plane by its depth, but beside something that stands before it.

    There a network's depth falls from one to the other: the rim of a leg may be as deep as the
    floor behind it. Colours tell which it is.
    """
    from scipy import ndimage

    things = np.where(free & ~flat, depth, np.inf)
    nearest = np.asarray(ndimage.minimum_filter(things, 2 * RIM + 1))
    with np.errstate(invalid="ignore"):
        return flat & ~(nearest * (1 + 2 * NEAR_PLANE) < depth)


def _off_plane(
    planes: Sequence[Plane],
    rays: NDArray[np.float64],
    depth: NDArray[np.float64],
    free: NDArray[np.bool_],
) -> tuple[tuple[NDArray[np.float64], NDArray[np.int64]], NDArray[np.float64]]:
    """Find depth and number of each cell's plane, and how far off it is; 1 is no longer on it."""
    on, number = nearest_plane(planes, rays, np.where(free, depth * (1 - NEAR_PLANE), np.inf))
    with np.errstate(invalid="ignore"):
        off = np.abs(on / depth - 1) / NEAR_PLANE
    return (on, number), np.where(free & np.isfinite(off), off, np.inf)


def _backdrop(depths: NDArray[np.float64]) -> float:
    """Compute where the backdrop hangs behind points of these depths."""
    return BACKDROP * float(np.quantile(depths, FARTHEST)) if depths.size else 1.0


def relief_behind(
    visible: VisibleRelief, planes: Sequence[Plane], solid: NDArray[np.float64] | None = None
) -> Relief:
    """Continue the background's depths behind the objects and into the margin.

    Behind an object the depth goes on as at the nearest place of the rim: on a plane (the one that
    the ray meets first beyond the object's own surface) where the rim lies on one; elsewhere the
    inverse depth goes smoothly from rim to rim, unless the ray meets the floor first.

    Args:
        visible: what the photo shows of it.
        planes: as for the visible part.
        solid: [N, 3] points of the objects where they were placed, in the frame of the points:
            they stay before the background, also where the points say otherwise.
    """
    rays, measured, valid = visible.rays, visible.measured, visible.valid
    if not (valid & ~visible.on_objects & ~visible.outside).any():
        return _hidden_everywhere(visible, planes)
    own = _own_depth(measured, visible.on_objects & valid)
    if solid is not None and len(solid):
        object_depth = _front(solid, rays)
        own = np.where(np.isfinite(object_depth), object_depth, own)
    behind = np.where(visible.on_objects & np.isfinite(own), own * BEHIND, 0.0)
    unseen = visible.on_objects | visible.outside
    depth, surface = _continued(
        rays, visible.depth, visible.surface, unseen, ~unseen, behind, planes
    )
    return Relief(rays=rays, place=visible.place, depth=depth, surface=surface, filled=unseen)


def _front(solid: NDArray[np.float64], rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the depth [h, w] of the front of points [N, 3], the deepest of neighbours, or inf."""
    from scipy import ndimage

    first, last = rays[0, 0, :2], rays[-1, -1, :2]
    height, width = rays.shape[:2]

    def front_of(some: NDArray[np.float64]) -> NDArray[np.float64]:  # [h · w]
        some = some[some[:, 2] < 0]
        depth = -some[:, 2]
        at = (some[:, :2] / depth[:, None] - first) / (last - first) * (width - 1, height - 1)
        column, row = np.rint(at).astype(int).T
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        front = np.full(height * width, np.inf)
        np.minimum.at(front, (row * width + column)[inside], depth[inside])
        return front

    parts = np.array_split(solid, max(1, len(solid) // POINTS_AT_ONCE))
    front = np.minimum.reduce(list(side_by_side(front_of, parts))).reshape(height, width)
    deepest = ndimage.maximum_filter(np.where(np.isfinite(front), front, -np.inf), 3)
    return np.where(np.isfinite(deepest), deepest, np.inf)


def _own_depth(depth: NDArray[np.float64], on_objects: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correct the objects' depth at outlines, where it may look like the depth behind them."""
    from scipy import ndimage

    return np.asarray(ndimage.minimum_filter(np.where(on_objects, depth, np.inf), OUTLINE))


def _colours_at(pixels: NDArray[np.uint8], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute mean colours [h, w, 3] of the photo around places."""
    from scipy import ndimage

    across, down = (max(1, round(float(side))) for side in place[1, 1] - place[0, 0])
    means = ndimage.uniform_filter1d(pixels.astype(np.float32), down, axis=0)
    means = np.asarray(ndimage.uniform_filter1d(means, across, axis=1))
    return sample_points(means, place).astype(np.float64)


def relief_behind_edges(
    relief: Relief, planes: Sequence[Plane], *, jump: float, reach: int
) -> Relief | None:
    """Make a second layer behind what stands in front, or None if the depth does not jump.

    Along every jump of the depth the nearer side is taken away for some cells, and the farther one
    goes on there as it does behind objects: from the side, one looks at it and not into a void.

    Args:
        relief: the first layer.
        planes: as for the first.
        jump: ratio of the depths of neighbours that is a jump.
        reach: how many cells the farther side goes on.
    """
    depth = relief.depth
    front = np.zeros(depth.shape, bool)
    for a, b in (
        ((slice(None), slice(0, -1)), (slice(None), slice(1, None))),
        ((slice(0, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        same = (relief.surface[a] == relief.surface[b]) & (relief.surface[a] != -1)
        front[a] |= ~same & (depth[b] > jump * depth[a])
        front[b] |= ~same & (depth[a] > jump * depth[b])
    if not front.any():
        return None
    rows, columns = nearest_inside(front)
    distance = distance_inside(~front)
    near_side = depth < np.sqrt(jump) * depth[rows, columns]
    # The lawn before a rail hides nothing: of planes only those that end at the jump do.
    near_side &= (relief.surface < 0) | (relief.surface == relief.surface[rows, columns])
    band = near_side & (distance <= reach)
    inner = near_side & (distance <= reach + 3)  # what the farther side must not be drawn to
    depth, surface = _continued(
        relief.rays, depth, relief.surface, band, ~inner, depth * np.sqrt(jump), planes
    )
    return Relief(
        rays=relief.rays,
        place=relief.place,
        depth=depth * BEHIND,  # where both are, the first shows
        surface=surface,
        filled=band,
        front=inner,
        edges=distance <= EDGE,
    )


def backstop(relief: Relief, *, reach: int) -> Relief:
    """Make a coarse sheet behind a relief, which shows through gaps between its layers.

    Args:
        relief: the first layer.
        reach: cells that it lies behind of at least, in every direction.
    """
    from scipy import ndimage

    farthest = ndimage.maximum_filter(relief.depth, 2 * reach + 1, mode="nearest")
    smooth = np.exp(ndimage.gaussian_filter(np.log(farthest), reach / 2, mode="nearest"))
    depth = np.maximum(smooth, farthest) * BACKSTOP
    at = np.ix_(*(np.unique(np.r_[: n - 1 : BACKSTOP_CELL, n - 1]) for n in depth.shape))
    return Relief(
        rays=relief.rays[at],
        place=relief.place[at],
        depth=depth[at],
        surface=np.full(depth[at].shape, -1),
        filled=np.ones(depth[at].shape, bool),
    )


def _continued(
    rays: NDArray[np.float64],
    depth: NDArray[np.float64],
    surface: NDArray[np.int64],
    hole: NDArray[np.bool_],
    rim: NDArray[np.bool_],
    behind: NDArray[np.float64],
    planes: Sequence[Plane],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fill a hole in depth and surface from its rim, nowhere nearer than `behind`.

    Args:
        hole: what to fill.
        rim: what may be continued into the hole.
    """
    if not hole.any() or not (rim & ~hole).any():
        return depth, surface
    rows, columns = nearest_inside(rim & ~hole)
    around = surface[rows, columns]
    # Where a thing stands, the floor may seem to be a little before it.
    on, number = nearest_plane(planes, rays, behind * (IN_FRONT / BEHIND))
    on = np.maximum(on, behind)
    flat = hole & (around >= 0) & (number >= 0)
    depth, surface = depth.copy(), surface.copy()
    depth[flat], surface[flat] = on[flat], number[flat]
    rest = hole & ~flat
    if rest.any():
        smooth = 1 / harmonic(1 / depth, rest, rim | flat)
        depth[rest] = np.maximum(smooth[rest], behind[rest])
        surface[rest] = np.where(around[rest] == -2, -2, -1)
        # The floor is whole: a ray that meets it first goes no farther.
        ground = np.array([plane.kind == "ground" for plane in planes] + [False])
        first = rest & ground[number] & (on < depth)
        depth[first], surface[first] = on[first], number[first]
    return depth, surface


def _hidden_everywhere(visible: VisibleRelief, planes: Sequence[Plane]) -> Relief:
    """Make the background from planes, else a backdrop, where objects hide all of it."""
    least = np.where(visible.valid, visible.measured * IN_FRONT, 0.0)
    depth, surface = nearest_plane(planes, visible.rays, least)
    return Relief(
        rays=visible.rays,
        place=visible.place,
        depth=np.where(np.isfinite(depth), depth, visible.depth),
        surface=np.where(surface >= 0, surface, -2),
        filled=np.ones(depth.shape, bool),
    )
