"""Spread points evenly over a triangle mesh.

Shape letters in this file: V vertices, F faces, N points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array

__all__ = ["SurfacePoints", "sample_surface"]

# Steps of the two-dimensional low-discrepancy sequence after the plastic number (Roberts 2018).
R2 = np.array([0.7548776662466927, 0.5698402909980532])


class SurfacePoints:
    """Points on a surface in random order, so that any beginning covers it evenly.

    Attributes:
        face: int64 [N].
        weights: float64 [N, 3], barycentric, of the face's corners.
        area: of the whole surface.
    """

    __slots__ = ("area", "face", "weights")

    def __init__(self, face: NDArray[np.int64], weights: NDArray[np.float64], area: float) -> None:
        self.face, self.weights, self.area = face, weights, area

    def at(self, values: NDArray, faces: NDArray) -> NDArray[np.float32]:  # [V, C] -> [N, C]
        """Interpolate the vertices' values at the points."""
        corners = values[faces[self.face]]
        return np.einsum("nk,nkc->nc", self.weights, corners).astype(np.float32)


def sample_surface(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
    count: int,
    rng: np.random.Generator,
) -> SurfacePoints | None:
    """Sample about `count` points on a mesh; None if its faces have no area."""
    area = _double_areas(kernel_array(vertices, np.float32), kernel_array(faces, np.int32))
    area[~np.isfinite(area)] = 0
    total = float(area.sum())
    if not total > 0:
        return None
    # Each face gets its share of the points to within one.
    upto = np.floor(np.cumsum(area) / total * (count - 1e-6) + rng.random()).astype(np.int64)
    face = np.repeat(np.arange(len(area)), np.diff(upto, prepend=0))
    a, b = ((rng.random(2) + np.arange(len(face))[:, None] * R2) % 1).T
    # The square root spreads points evenly over a triangle (Osada et al. 2002, section 4.1).
    a = np.sqrt(a)
    weights = np.stack([1 - a, a * (1 - b), a * b], 1)  # [N, 3]
    order = rng.permutation(len(face))
    return SurfacePoints(face[order], weights[order], total / 2)


@compiled
def _double_areas(vertices, faces):
    areas = np.zeros(len(faces))
    for f in range(len(faces)):
        i, j, k = faces[f]
        # numba's float() leaves single precision as it is.
        x, y, z = np.float64(vertices[i, 0]), np.float64(vertices[i, 1]), np.float64(vertices[i, 2])
        ux, uy, uz = vertices[j, 0] - x, vertices[j, 1] - y, vertices[j, 2] - z
        vx, vy, vz = vertices[k, 0] - x, vertices[k, 1] - y, vertices[k, 2] - z
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        areas[f] = np.sqrt(nx * nx + ny * ny + nz * nz)
    return areas
