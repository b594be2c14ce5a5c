"""Convex polygons on level ground: what a body touches, and whether it stands on that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Footprint", "footprint_of"]

STEADY = 0.8  # a mass centre this far from the middle to the rim still stands firmly


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """A convex polygon, seen from above.

    Attributes:
        corners: float64 [N, 2], in order around it.
        middle: float64 [2], mean of the corners.
        normals: float64 [N, 2], outwards, of its sides.
        offsets: float64 [N]: inside, normal · x is at most the offset.
    """

    corners: NDArray[np.float64]
    middle: NDArray[np.float64]
    normals: NDArray[np.float64]
    offsets: NDArray[np.float64]

    def steady(self, centre: NDArray[np.float64]) -> bool:
        """Return whether a body with that mass centre stands firmly on it."""
        return self._reach(centre) <= STEADY

    def nearest_steady(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the centre, or where on the way to the middle it begins to stand firmly."""
        reach = self._reach(centre)
        if reach <= STEADY:
            return centre
        return self.middle + (centre - self.middle) * (STEADY / reach)

    def samples(self) -> NDArray[np.float64]:  # [2 N + 1, 2]
        """Return the middle, the corners drawn in a little, and points half way to them."""
        spokes = self.corners - self.middle
        return np.concatenate(
            [self.middle[None], self.middle + 0.9 * spokes, self.middle + 0.5 * spokes]
        )

    def _reach(self, point: NDArray[np.float64]) -> float:
        """Return 0 at the middle, 1 on the rim."""
        rims = self.offsets - self.normals @ self.middle
        return float((self.normals @ (point - self.middle) / np.maximum(rims, 1e-12)).max())


def footprint_of(points: NDArray[np.float64]) -> Footprint | None:
    """Return the convex hull of points [N, 2], or None if they have no area."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):
        return None
    corners = hull.points[hull.vertices]
    return Footprint(
        corners=corners,
        middle=corners.mean(0),
        normals=hull.equations[:, :2],
        offsets=-hull.equations[:, 2],
    )
