"""Find the way up, and the levels of floor and table tops, from the point map.

Surfaces that nobody asked for are all there is to go by, so the masks' points are left out. Planes
are proposed by single points with their normals, judged by how many others agree, and fitted to
those; the plane with most support gives gravity, and further levels are looked for along it.
Normals are the point map's own where it has any: a network that was trained to see them is right
where points are too rough for differences between neighbours to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Instance, PointMap

__all__ = ["Ground", "find_ground"]

STEP = 4  # pixels between the points that are looked at, in a photo of 512
REACH = 2  # steps over which normals are measured
PROPOSALS = 300
TILT = np.cos(np.radians(50))  # a floor's normal is no further from the camera's up
ALIKE = np.cos(np.radians(12))  # normals of one plane
THICK = 0.012  # of the distance: noise of points of one plane
LEAST = 150  # points of a plane
LEAST_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """Horizontal surfaces.

    Attributes:
        up: float64 [3], unit, against gravity, in the camera frame.
        levels: heights along `up` of the surfaces seen, the lowest first.
        points: float64 [N, 3], points on these surfaces, camera frame.
        level: int [N], which of the levels each lies on.
        share: of all points that were looked at, those that lie on a level, 0…1.
    """

    up: NDArray[np.float64]
    levels: tuple[float, ...]
    points: NDArray[np.float64]
    level: NDArray[np.int64]
    share: float


def find_ground(points: PointMap, instances: Sequence[Instance], *, seed: int = 0) -> Ground | None:
    """Find the way up and the horizontal surfaces in a photo; None if there is no sign of any.

    Args:
        points: of the photo.
        instances: what to leave out.
        seed: makes the result repeatable.
    """
    grid, normals, usable = _sample(points, instances)
    p, n = grid[usable], normals[usable]
    if len(p) < LEAST:
        return None
    thick = THICK * np.linalg.norm(p, axis=1)
    rng = np.random.default_rng(seed)
    level = np.flatnonzero(n[:, 1] > TILT)
    if level.size < LEAST:
        return None
    best = np.zeros(len(p), bool)
    for k in rng.choice(level, min(PROPOSALS, level.size), replace=False):
        agree = (np.abs((p - p[k]) @ n[k]) < 2 * thick) & (n @ n[k] > ALIKE)
        if agree.sum() > best.sum():
            best = agree
    up = n[best].mean(0)
    for _ in range(5):
        if best.sum() < max(LEAST, LEAST_SHARE * len(p)):
            return None
        up, height = _fit(p[best], thick[best])
        best = (np.abs(p @ up - height) < 2 * thick) & (n @ up > ALIKE)
    return _levels(p, n, thick, up)


def _sample(
    points: PointMap, instances: Sequence[Instance]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Sample points and unit normals [h, w, 3] on a coarse grid, and select those to use."""
    height, width = points.points.shape[:2]
    step = max(1, round(STEP * max(height, width) / 512))
    on_object = np.zeros((height, width), bool)
    for instance in instances:
        on_object |= instance.mask
    grid = points.points[step // 2 :: step, step // 2 :: step].astype(np.float64)
    on_object = on_object[step // 2 :: step, step // 2 :: step]
    normals = np.full_like(grid, np.nan)
    r = REACH
    across = grid[r:-r, 2 * r :] - grid[r:-r, : -2 * r]
    down = grid[2 * r :, r:-r] - grid[: -2 * r, r:-r]
    cross = np.cross(down, across)
    length = np.linalg.norm(cross, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals[r:-r, r:-r] = cross / length
        if points.normals is not None:
            own = points.normals[step // 2 :: step, step // 2 :: step].astype(np.float64)
            normals = np.where(np.isfinite(own).all(-1, keepdims=True), own, normals)
        usable = np.isfinite(grid).all(-1) & np.isfinite(normals).all(-1) & ~on_object
    return grid, normals, usable


def _fit(p: NDArray, thick: NDArray) -> tuple[NDArray[np.float64], float]:
    """Fit normal and height of the plane through points; those far away weigh less."""
    weight = 1 / thick**2
    middle = (weight[:, None] * p).sum(0) / weight.sum()
    centred = p - middle
    up = np.linalg.eigh((weight[:, None] * centred).T @ centred)[1][:, 0]
    up *= np.sign(up[1])
    return up, float(middle @ up)


def _levels(p: NDArray, n: NDArray, thick: NDArray, up: NDArray) -> Ground | None:
    """Find all levels along a given way up, the fullest first, until too few points are left."""
    flat = n @ up > ALIKE
    heights = p @ up
    number = np.full(len(p), -1)
    levels: list[float] = []
    while True:
        free = np.flatnonzero(flat & (number < 0))
        if free.size < LEAST:
            break
        candidates = heights[free[:: max(1, free.size // 200)]]
        counts = [(np.abs(heights[free] - h) < 2 * thick[free]).sum() for h in candidates]
        height = float(candidates[int(np.argmax(counts))])
        members = free[np.abs(heights[free] - height) < 2.5 * thick[free]]
        if members.size < max(LEAST, LEAST_SHARE * len(p)):
            break
        number[members] = len(levels)
        levels.append(float(np.median(heights[members])))
    if not levels:
        return None
    order = np.argsort(levels)
    on = number >= 0
    return Ground(
        up=up,
        levels=tuple(levels[k] for k in order),
        points=p[on],
        level=np.argsort(order)[number[on]],
        share=float(on.mean()),
    )
