"""What an object most likely stands on: a level of the room, or another object's top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.ground import Ground
from scenelift.compose.placed import Placed

__all__ = ["FLOOR", "Support", "across", "support_of"]

FLOOR = -1  # stands for a level where the index of an object is expected

FLOATS, SINKS = 0.22, 0.3  # of the object's size: a foot that far off still stood there
NOISE = 0.025  # of its distance: so does one that far off, since point maps are
FOOT = 0.08  # of the height: the part that is the foot
ENOUGH = 12  # points of a level about a foot that tell its height as well as the whole level


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


def support_of(o: Placed, below: Sequence[Placed], ground: Ground) -> Support | None:
    """What the object most likely stands on; None where nothing is near its foot.

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
    found = []
    for k, level in enumerate(ground.levels):
        here = _around(foot, ground, k, size)
        if k == 0 or here.size >= ENOUGH:
            found.append(Support(of=FLOOR, height=_height(level, here), level=level))
    plane = across(up).T
    low, high = (foot @ plane).min(0), (foot @ plane).max(0)
    for other in below:
        theirs = other.surface()
        flat = theirs @ plane
        reach = theirs[((flat >= low) & (flat <= high)).all(1)] @ up
        reach = reach[(reach > base - floats) & (reach < base + sinks)]
        if reach.size:
            top = float(reach.max())
            found.append(Support(of=other.index, height=top, level=top))
    found = [s for s in found if -sinks < base - s.height < floats]
    return min(found, key=lambda s: abs(base - s.height), default=None)


def across(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [2, 3]
    """Right and away from the camera, along the ground."""
    right = np.cross([0.0, 0.0, -1.0], up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right)])


def _around(foot: NDArray, ground: Ground, level: int, size: float) -> NDArray[np.float64]:
    """Heights [N] of what was seen of a level about the foot."""
    points = ground.points[ground.level == level]
    apart = (points - foot.mean(0)) @ across(ground.up).T
    return points[np.linalg.norm(apart, axis=1) < size] @ ground.up


def _height(level: float, here: NDArray[np.float64]) -> float:
    """Height of a level where some of it was seen."""
    if not here.size:
        return level
    trust = here.size / (here.size + ENOUGH)
    return trust * float(np.median(here)) + (1 - trust) * level
