"""Give bodies feet that stand: flat, on what carries them, and under their mass centre.

A lifted shape's foot hangs a little, sinks a little, or is round where the photo did not show it; a
simulator would drop, throw or tip it. The photo shows the thing at rest, so its colliders are cut
off at the level that carries it, and their lowest part is drawn down to there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.physics.footprint import Footprint, footprint_of
from scenelift.physics.hulls import MOST_CORNERS, Hull, bounds_of, cut, furthest, hull_of

__all__ = ["foot_of", "touching", "with_feet"]

UP = np.array([0.0, 0.0, 1.0])
ZONES = (0.02, 0.05, 0.1)  # of a body's height: the part that is its foot, the least that stands
MOST = MOST_CORNERS + 12  # corners of a piece with its foot: PhysX takes 64


def foot_of(
    hulls: Sequence[Hull], height: float, centre: NDArray[np.float64]
) -> tuple[Footprint | None, float]:
    """Find the part of a body that is its foot.

    Args:
        hulls: in the world, z up.
        height: of what carries it.
        centre: of its mass.

    Returns:
        What it covers seen from above, and up to which height it reaches.
    """
    low, high = (float(corner[2]) for corner in bounds_of(hulls))
    foot: Footprint | None = None
    top = high
    for zone in ZONES:
        top = max(low, height) + zone * (high - low)
        points = [_section(h, top)[:, :2] for h in hulls]
        foot = footprint_of(np.concatenate(points))
        if foot is not None and foot.steady(centre[:2]):
            break
    return foot, top


def with_feet(hulls: Sequence[Hull], height: float, top: float) -> list[Hull]:
    """Cut colliders off at a height, and draw what is below `top` down to it.

    Args:
        hulls: in the world, z up.
        height: of what carries the body.
        top: up to which its foot reaches.
    """
    feet = [_with_foot(h, height, top) for h in hulls]
    return [h for h in feet if h is not None]


def touching(hulls: Sequence[Hull], height: float) -> NDArray[np.float64]:  # [N, 2]
    """Return the corners of colliders that lie on a level, seen from above."""
    corners = np.concatenate([h.vertices for h in hulls])
    near = 1e-6 * max(1.0, float(np.ptp(corners[:, 2])))
    return corners[corners[:, 2] < height + near, :2]


def _section(hull: Hull, top: float) -> NDArray[np.float64]:
    """Return the corners below a height, and where edges cross it."""
    below = hull.vertices[hull.vertices[:, 2] <= top]
    return np.concatenate([below, hull.crossings(UP, top)])


def _with_foot(hull: Hull, height: float, top: float) -> Hull | None:
    if hull.vertices[:, 2].min() >= top:
        return hull
    above = cut(hull, -UP, -height)
    if above is None:
        return None
    foot = _section(above, top)
    foot = np.concatenate([foot[:, :2], np.full((len(foot), 1), height)], axis=1)
    corners = hull_of(np.concatenate([above.vertices, foot])).vertices
    return hull_of(furthest(corners, MOST))
