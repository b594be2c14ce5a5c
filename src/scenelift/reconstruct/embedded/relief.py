"""Reads from the point map how far an object is, its front's relief, and what hides it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, median_filter

from scenelift.errors import InputError
from scenelift.geometry.regions import distance_inside, nearest_inside
from scenelift.reconstruct.embedded.outline import Outline
from scenelift.types import ObjectView, PointMap

__all__ = ["hidden_by", "relief_of", "visible_depth", "visible_relief"]

# Points more than this many median deviations from the object's own are background that shines
# through at the mask's border.
OUTLIER = 4.0
# The same for single pixels, in sizes of the object: how far they may lie from its median depth,
# and those at most `BORDER` pixels from the mask's end from the nearest further inside. A table
# top that is seen at a grazing angle gains a quarter of its size there.
FARTHEST, JUMP, BORDER = 2.0, 0.3, 2.0


def visible_depth(mask: NDArray[np.bool_], points: PointMap) -> float:
    """Return the median depth of an object's visible points, in the point map's units.

    Raises:
        InputError: the point map has no point in the mask.
    """
    depth = -points.points[..., 2][mask]
    depth = depth[np.isfinite(depth) & (depth > 0)]
    if not depth.size:
        raise InputError(
            "The depth has no valid value on the object: a depth that was given does not cover it, "
            "or a network takes it for sky. Give depth that covers it (--depth), another mask, or "
            "leave it out."
        )
    return float(np.median(depth))


def relief_of(outline: Outline, points: PointMap, distance: float) -> NDArray[np.float64]:  # [h, w]
    """Measure how far the visible surface lies beyond `distance` at the outline's nodes.

    In pixels at that distance, as `Solid` measures. Points far from the object's own and gaps are
    filled from their surroundings; noise below a few nodes is smoothed away.
    """
    h, w = outline.distance.shape
    u = outline.origin[0] + outline.step * np.arange(w)
    v = outline.origin[1] + outline.step * np.arange(h)
    height, width = points.points.shape[:2]
    rows = np.clip(np.floor(v), 0, height - 1).astype(int)
    columns = np.clip(np.floor(u), 0, width - 1).astype(int)
    depth = -points.points[..., 2][np.ix_(rows, columns)].astype(np.float64)
    relief = (depth / distance - 1) * points.camera.fx

    valid = outline.inside & np.isfinite(relief) & (depth > 0)
    spread = 1.5 * float(np.median(np.abs(relief[valid]))) if valid.any() else 0.0
    valid &= np.abs(relief) <= OUTLIER * max(spread, outline.step)
    # Depth is least reliable on the outline itself: take it from a little further inside.
    inner = valid & (outline.distance > 2 * max(1.0, outline.step))
    valid = inner if inner.any() else valid
    if not valid.any():
        return np.zeros((h, w))
    without_holes = relief[nearest_inside(valid)]
    return gaussian_filter(
        median_filter(without_holes, size=5, mode="nearest"), 1.0, mode="nearest"
    )


def visible_relief(
    mask: NDArray[np.bool_],
    points: PointMap,
    distance: float,
    u: NDArray[np.float64],
    v: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Measure how far the visible surface lies beyond `distance` at photo coordinates of any shape.

    Like `relief_of`, but as sharp as the point map: a chair's leg and the one behind it stay two.
    Off the mask, and where its points are background that shines through, it is that of the
    nearest pixel that has one.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    inside, size = mask[window], max(len(rows), len(columns))
    depth = -points.points[(*window, 2)].astype(np.float64)
    relief = (depth / distance - 1) * points.camera.fx
    valid = inside & np.isfinite(relief) & (depth > 0) & (np.abs(relief) < FARTHEST * size)
    inner = valid & (distance_inside(np.pad(inside, 1))[1:-1, 1:-1] > BORDER)
    if inner.any():
        jump = np.abs(relief - relief[nearest_inside(inner)])
        valid &= inner | (jump < JUMP * size)
    if not valid.any():
        return np.zeros_like(u)
    without_holes = relief[nearest_inside(valid)]
    height, width = valid.shape
    return without_holes[
        np.clip(np.floor(v).astype(int) - rows[0], 0, height - 1),
        np.clip(np.floor(u).astype(int) - columns[0], 0, width - 1),
    ]


def hidden_by(view: ObjectView) -> NDArray[np.bool_] | None:
    """Find the pixels of objects that touch this one and are nearer to the camera, or None."""
    touching = np.asarray(binary_dilation(view.mask, iterations=3), np.bool_)
    depth = _median_depth(view.mask, view.points)
    covers = [
        other.mask
        for other in view.others
        if (other.mask & touching).any() and _median_depth(other.mask, view.points) < depth
    ]
    return np.logical_or.reduce(covers) & ~view.mask if covers else None


def _median_depth(mask: NDArray[np.bool_], points: PointMap) -> float:
    depth = -points.points[..., 2][mask]
    depth = depth[np.isfinite(depth)]
    return float(np.median(depth)) if depth.size else np.inf
