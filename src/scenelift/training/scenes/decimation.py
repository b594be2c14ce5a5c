"""Makes models small: fewer faces, each with the colour of what was there."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from scenelift.training.scenes.meshes import Surface

__all__ = ["decimated"]


def decimated(surface: Surface, most: int) -> Surface:
    """Simplify a surface without textures to about `most` faces; smaller ones stay as they are."""
    if len(surface.faces) <= most:
        return surface
    # Here, since machines that only make scenes of a pack need not have it.
    import fast_simplification

    points, faces, *_ = fast_simplification.simplify(
        surface.vertices.astype(np.float64), surface.faces, target_count=most, agg=4
    )
    corners = np.asarray(points, np.float64)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    wide = np.linalg.norm(across, axis=1) > 1e-14
    faces, across, corners = faces[wide], across[wide], corners[wide]
    normals = np.zeros((len(points), 3))
    for corner in faces.T:
        np.add.at(normals, corner, across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    _, near = KDTree(surface.vertices[surface.faces].mean(1)).query(corners.mean(1))
    return Surface(
        vertices=np.asarray(points, np.float32),
        faces=faces.astype(np.int32),
        normals=normals.astype(np.float32),
        uv=np.zeros((len(points), 2), np.float32),
        face_color=surface.face_color[near],
        face_texture=np.full(len(faces), -1, np.int32),
    )
