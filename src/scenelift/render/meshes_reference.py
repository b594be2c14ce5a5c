"""Finds each pixel's face for `render_mesh`, written for reading: every ray, every face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import transform_points
from scenelift.render.rendering import camera_from_scene
from scenelift.types import Camera, Mesh

__all__ = ["cast_rays_reference"]


def cast_rays_reference(
    mesh: Mesh,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    *,
    near: float = 0.01,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Compute `face_id` [H, W], `barycentric` [H, W, 3] and `depth` [H, W] of a `Rendering`.

    A ray through each pixel's centre meets each face's plane (Möller and Trumbore 1997); nothing
    is projected and nothing is clipped, which makes it independent of the rasteriser.
    """
    height, width = camera.height, camera.width
    view = camera_from_scene(scene_from_camera)
    rays = camera.unproject(np.ones((height, width))).astype(np.float64)  # z = −1
    face_id = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf)

    for f, (a, b, c) in enumerate(transform_points(mesh.vertices, view)[mesh.faces]):
        across = np.cross(rays, c - a)
        determinant = across @ (b - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight_b = across @ -a / determinant
            weight_c = rays @ np.cross(-a, b - a) / determinant
            distance = np.cross(-a, b - a) @ (c - a) / determinant
        weights = np.stack([1 - weight_b - weight_c, weight_b, weight_c], -1)
        hit = (determinant != 0) & (weights >= 0).all(-1) & (distance >= near) & (distance < depth)
        face_id[hit], depth[hit], barycentric[hit] = f, distance[hit], weights[hit]
    return face_id, barycentric, depth.astype(np.float32)
