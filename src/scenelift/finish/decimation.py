"""Fewer faces for the same surface."""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scenelift.types import Mesh

__all__ = ["decimate", "vertex_normals"]


def decimate(mesh: Mesh, faces: int | None) -> Mesh:
    """A mesh of about that many faces at most, by collapsing the edges that matter least.

    Vertices take the colour of the nearest vertex they came from; normals are computed anew.
    A texture cannot follow and is refused.

    Args:
        mesh: without texture.
        faces: the budget; None keeps all.
    """
    if mesh.texture is not None:
        raise ValueError("a textured mesh cannot be decimated without its texture")
    vertices, triangles, colors = mesh.vertices, mesh.faces, mesh.colors
    if faces is not None and len(triangles) > faces:
        simplified = fast_simplification.simplify(
            vertices.astype(np.float64), triangles, target_count=faces, agg=5
        )
        vertices, triangles = simplified[0], simplified[1]
        vertices, triangles = _used(vertices.astype(np.float32), triangles.astype(np.int32))
        if colors is not None:
            _, nearest = KDTree(mesh.vertices).query(vertices)
            colors = colors[nearest]
    return Mesh(
        vertices=vertices,
        faces=triangles,
        colors=colors,
        normals=vertex_normals(vertices, triangles),
    )


def vertex_normals(
    vertices: NDArray[np.float32],  # [V, 3]
    faces: NDArray[np.int32],  # [F, 3]
) -> NDArray[np.float32]:  # [V, 3]
    """Unit normals, each the mean of its faces' weighted by area; up where there is none."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    weighted = np.cross(b - a, c - a)  # twice the area long
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


def _used(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The vertices that a face uses, and the faces renumbered."""
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3).astype(np.int32)
