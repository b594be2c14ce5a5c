"""Compute mass, centre of mass and inertia of evenly filled colliders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.physics.hulls import Hull

__all__ = ["mass_properties"]


def mass_properties(
    hulls: Sequence[Hull], density: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return mass, centre of mass [3] and inertia about it [3, 3], in the axes of the hulls."""
    import trimesh

    parts = [trimesh.Trimesh(h.vertices, h.faces, process=False) for h in hulls]
    for part in parts:
        part.density = density
    masses = density * np.array([h.volume for h in hulls])
    centre = (masses[:, None] * np.array([p.center_mass for p in parts])).sum(0) / masses.sum()
    inertia = np.zeros((3, 3))
    for part, mass in zip(parts, masses, strict=True):
        d = part.center_mass - centre
        inertia += part.moment_inertia + mass * ((d @ d) * np.eye(3) - np.outer(d, d))
    return float(masses.sum()), centre, inertia
