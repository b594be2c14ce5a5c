"""Reduce the faces of a mesh, and keep its surface."""

from __future__ import annotations

import fast_simplification
import numpy as np
from scipy.spatial import KDTree

from scenelift.finish.normals import vertex_normals
from scenelift.finish.topology import without_unused
from scenelift.types import Mesh

__all__ = ["decimate"]


def decimate(mesh: Mesh, faces: int | None) -> Mesh:
    """Reduce a mesh to about that many faces, by collapsing the edges that matter least.

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
        triangles, vertex_indices = without_unused(
            simplified[1].astype(np.int32), len(simplified[0])
        )
        vertices = simplified[0][vertex_indices].astype(np.float32)
        if colors is not None:
            _, nearest = KDTree(mesh.vertices).query(vertices)
            colors = colors[nearest]
    return Mesh(
        vertices=vertices,
        faces=triangles,
        colors=colors,
        normals=vertex_normals(vertices, triangles),
    )
