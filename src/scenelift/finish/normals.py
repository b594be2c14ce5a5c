"""Compute the normals of faces and vertices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array

__all__ = ["face_normals", "vertex_normals"]


def face_normals(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
) -> NDArray[np.float64]:  # [F, 3]
    """Compute normals with twice the area as length: exactly zero if corners coincide."""
    return _face_normals(kernel_array(vertices, np.float32), kernel_array(faces, np.int32))


def vertex_normals(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
) -> NDArray[np.float32]:  # [V, 3]
    """Compute unit normals of vertices as the mean of their faces', weighted by area, else up."""
    vertices, faces = kernel_array(vertices, np.float32), kernel_array(faces, np.int32)
    return _vertex_normals(_face_normals(vertices, faces), faces, len(vertices))


@compiled
def _vertex_normals(weighted, faces, count):
    total = np.zeros((count, 3))
    for f in range(len(faces)):
        for c in range(3):
            for k in range(3):
                total[faces[f, c], k] += weighted[f, k]
    normals = np.zeros((count, 3), np.float32)
    for v in range(count):
        x, y, z = total[v]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[v, 0], normals[v, 1], normals[v, 2] = x / length, y / length, z / length
        else:
            normals[v, 1] = 1
    return normals


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
