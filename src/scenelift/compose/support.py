"""Decide what an object most likely stands on: a level of the room, or another object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.placed_object import PlacedObject
from scenelift.geometry.ground import Ground

__all__ = ["FLOOR", "Support", "across", "support_of"]

FLOOR = -1  # stands for a level where the index of an object is expected

FLOATS, SINKS = 0.22, 0.3  # of the object's size: a foot that far off still stood there
NOISE = 0.025  # of its distance: so does one that far off, since point maps are
FOOT = 0.08  # of the height: the part that is the foot
ENOUGH = 12  # points about a foot without which it stands on no other level than the lowest

# How a point map bends a level, one standard deviation each.
ROUGH = 0.01  # points off the plane about a foot, as a share of their distance
BENT = 0.01  # that plane off the level, in height beneath the foot, likewise
SLOPE = 0.03  # and in slope


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """What an object stands on. Heights are along the way up, from the camera.

    Attributes:
        of: an object's index, or `FLOOR`.
        height: where the foot goes: on what was seen about it.
        level: of the whole of it, which is nearer to the truth than the few points about a foot.
    """

    of: int
    height: float
    level: float


def support_of(o: PlacedObject, below: Sequence[PlacedObject], ground: Ground) -> Support | None:
    """Find what the object most likely stands on; None if nothing is near its foot.

    Args:
        below: objects that it may stand on.
    """
    up = ground.up
    surface = o.surface()
    heights = surface @ up
    base, size = float(heights.min()), o.size
    noise = NOISE * float(np.linalg.norm(surface.mean(0)))
    floats, sinks = max(FLOATS * size, noise), max(SINKS * size, noise)
    foot = surface[heights < base + FOOT * float(np.ptp(heights)) + 1e-9]
    supports = []
    for k, level in enumerate(ground.levels):
        level_points = ground.points[ground.level == k]
        if k == 0 or _near(level_points, foot, up, size) >= ENOUGH:
            height = _height(level, level_points, foot, up, size)
            supports.append(Support(of=FLOOR, height=height, level=level))
    plane = across(up).T
    low, high = (foot @ plane).min(0), (foot @ plane).max(0)
    for other in below:
        theirs = other.surface()
        flat = theirs @ plane
        reach = theirs[((flat >= low) & (flat <= high)).all(1)] @ up
        reach = reach[(reach > base - floats) & (reach < base + sinks)]
        if reach.size:
            top = float(reach.max())
            supports.append(Support(of=other.index, height=top, level=top))
    supports = [s for s in supports if -sinks < base - s.height < floats]
    return min(supports, key=lambda s: abs(base - s.height), default=None)


def across(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [2, 3]
    """Return the directions right and away from the camera, along the ground."""
    right = np.cross([0.0, 0.0, -1.0], up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right)])


def _near(points: NDArray, foot: NDArray, up: NDArray, size: float) -> int:
    """Count the points of a level around the foot."""
    apart = (points - foot.mean(0)) @ across(up).T
    return int((np.linalg.norm(apart, axis=1) < size).sum())


def _height(level: float, points: NDArray, foot: NDArray, up: NDArray, size: float) -> float:
    """Compute a level's height beneath the foot.

    A plane is fitted to what was seen of the level, the nearer the more it weighs, with the level
    itself for what was not seen. Slope counts, since ground is seen in front of an object and not
    behind it: the mean of heights there would be that of a place nearer to the camera.
    """
    middle = foot.mean(0)
    apart = (points - middle) @ across(up).T
    plane = np.column_stack([np.ones(len(points)), apart])
    rough = ROUGH * np.linalg.norm(points, axis=1)
    weight = np.exp(-0.5 * (apart**2).sum(1) / size**2) / rough**2
    bent = 1 / np.array([BENT * np.linalg.norm(middle), SLOPE, SLOPE]) ** 2
    weighted = plane.T * weight
    solution = np.linalg.solve(weighted @ plane + np.diag(bent), weighted @ (points @ up - level))
    return level + float(solution[0])
