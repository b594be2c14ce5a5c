"""Find floor, table tops and walls in a point map, each as a rectangle in its plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.ground import Ground

__all__ = ["Plane", "find_walls", "ground_planes"]

UPRIGHT = np.sin(np.radians(12))  # a wall's normal along gravity
ALIKE = np.cos(np.radians(14))  # normals of one wall
THICK = 0.015  # of the distance: noise of a wall's points
LEAST_SHARE = 0.04  # of all points, to be a wall
MOST_WALLS = 4
PROPOSALS = 200
OUTLIERS = 0.01  # at each end of each axis of a plane
MARGIN = 0.08  # of the extent, beyond what was seen of a plane


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plane:
    """A rectangle in a plane, with axes of its own.

    Attributes:
        kind: "ground" for floors and table tops, "wall".
        normal: float64 [3], unit, towards the camera.
        offset: normal · p of its points.
        axes: float64 [2, 3], unit, in the plane.
        low, high: float64 [2], ends of the rectangle along the axes.
    """

    kind: str
    normal: NDArray[np.float64]
    offset: float
    axes: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def depth_along(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute how far rays from the camera reach to the rectangle; inf if they miss it.

        Args:
            rays: [..., 3], points at depth 1 (z = −1), so that results are depths.
        """
        towards = rays @ self.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = self.offset / towards
        depth = np.where((depth > 1e-6) & np.isfinite(depth), depth, np.inf)
        with np.errstate(invalid="ignore"):
            place = (rays * depth[..., None]) @ self.axes.T
            inside = ((place >= self.low) & (place <= self.high)).all(-1)
        return np.where(inside, depth, np.inf)


def ground_planes(ground: Ground | None) -> list[Plane]:
    """Make planes of the horizontal surfaces that the layout found, as far as they are visible."""
    if ground is None:
        return []
    planes = []
    for number in range(len(ground.levels)):
        points = ground.points[ground.level == number]
        if len(points):
            planes.append(_plane("ground", ground.up, ground.levels[number], points))
    return planes


def find_walls(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    up: NDArray[np.float64],
    *,
    seed: int = 0,
) -> list[Plane]:
    """Find upright planes with enough support, the best supported first.

    Args:
        points: [N, 3], of what is no object.
        normals: [N, 3], unit, towards the camera.
        up: [3], against gravity.
        seed: makes the result repeatable.
    """
    rng = np.random.default_rng(seed)
    upright = np.abs(normals @ up) < UPRIGHT
    walls: list[Plane] = []
    free = np.flatnonzero(upright)
    least = max(50, int(LEAST_SHARE * len(points)))
    while len(walls) < MOST_WALLS and free.size >= least:
        p, n = points[free], normals[free]
        thick = THICK * np.linalg.norm(p, axis=1)
        best = np.zeros(len(p), bool)
        for k in rng.choice(len(p), min(PROPOSALS, len(p)), replace=False):
            agree = (np.abs((p - p[k]) @ n[k]) < 2 * thick) & (n @ n[k] > ALIKE)
            if agree.sum() > best.sum():
                best = agree
        if best.sum() < least:
            break
        normal = n[best].mean(0)
        normal -= (normal @ up) * up  # walls are upright
        normal /= np.linalg.norm(normal)
        offset = float(np.median(p[best] @ normal))
        members = np.abs(p @ normal - offset) < 2.5 * thick
        if offset < 0:  # it faces the camera: the camera, at 0, is on its front side
            walls.append(_plane("wall", normal, offset, p[members]))
        free = free[~(members | best)]
    return walls


def _plane(
    kind: str, normal: NDArray[np.float64], offset: float, points: NDArray[np.float64]
) -> Plane:
    """Fit the rectangle to the points of a plane."""
    helper = np.array([1.0, 0, 0]) if abs(normal[0]) < 0.9 else np.array([0, 0, 1.0])
    first = helper - (helper @ normal) * normal
    first /= np.linalg.norm(first)
    axes = np.stack([first, np.cross(normal, first)])
    place = points @ axes.T
    low, high = np.quantile(place, [OUTLIERS, 1 - OUTLIERS], axis=0)
    margin = MARGIN * (high - low)
    return Plane(
        kind=kind,
        normal=np.asarray(normal, np.float64),
        offset=float(offset),
        axes=axes,
        low=low - margin,
        high=high + margin,
    )


def nearest_plane(
    planes: Sequence[Plane], rays: NDArray[np.float64], behind: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find depth and number of the first plane that each ray meets beyond a depth.

    Args:
        planes: P of them.
        rays: [..., 3] at depth 1.
        behind: [...], least depth; planes nearer than this are passed.

    Returns:
        Depth [...], inf where no plane is met, and the plane's number, −1 there.
    """
    if not planes:
        return np.full(rays.shape[:-1], np.inf), np.full(rays.shape[:-1], -1)
    depths = np.stack([plane.depth_along(rays) for plane in planes])
    depths = np.where(depths >= behind, depths, np.inf)
    number = depths.argmin(0)
    depth = np.take_along_axis(depths, number[None], 0)[0]
    return depth, np.where(np.isfinite(depth), number, -1)
