"""Which way faces and vertices look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.render.jit import compiled, kernel_array

__all__ = ["face_normals", "vertex_normals"]


def face_normals(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
) -> NDArray[np.float64]:  # [F, 3]
    """Normals, twice the area long: exactly zero where corners coincide."""
    return _face_normals(kernel_array(vertices, np.float32), kernel_array(faces, np.int32))


def vertex_normals(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
) -> NDArray[np.float32]:  # [V, 3]
    """Unit normals, each the mean of its faces' weighted by area; up where there is none."""
    weighted = face_normals(vertices, faces)
    total = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(weighted[:, k], 3), minlength=len(vertices))
            for k in range(3)
        ],
        -1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 0, total / np.where(length > 0, length, 1), (0.0, 1.0, 0.0))
    return total.astype(np.float32)


@compiled
def _face_normals(vertices, faces):
    normals = np.zeros((len(faces), 3))
    for f in range(len(faces)):
        i, j, k = faces[f]
        x, y, z = float(vertices[i, 0]), float(vertices[i, 1]), float(vertices[i, 2])
        ux, uy, uz = vertices[j, 0] - x, vertices[j, 1] - y, vertices[j, 2] - z
        vx, vy, vz = vertices[k, 0] - x, vertices[k, 1] - y, vertices[k, 2] - z
        normals[f, 0] = uy * vz - uz * vy
        normals[f, 1] = uz * vx - ux * vz
        normals[f, 2] = ux * vy - uy * vx
    return normals
