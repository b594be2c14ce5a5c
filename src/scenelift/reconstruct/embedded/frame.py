"""Moves a solid from the camera frame to the object frame: centred, upright, of unit size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    multiply_quaternions,
    transform_points,
)
from scenelift.reconstruct.embedded.solid import Surface
from scenelift.reconstruct.embedded.texture import Skin
from scenelift.types import Gaussians, Mesh, Pose, Shape

__all__ = ["in_object_frame", "standing"]

Quaternion = tuple[float, float, float, float]


def standing(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [3] -> [3, 3]
    """Return camera_from_object of an object that stands upright and faces the camera.

    Args:
        up: unit, the world's up in the camera frame.
    """
    towards = np.array([0.0, 0.0, 1.0]) - up[2] * up
    length = float(np.linalg.norm(towards))
    if length < 0.1:  # seen from straight above: what is up in the photo is behind
        return np.eye(3)
    z: NDArray[np.float64] = towards / length
    return np.stack([np.cross(up, z), up, z], 1)


def in_object_frame(
    surface: Surface,
    skin: Skin,
    splats: Gaussians,
    rotation: Quaternion = (1.0, 0.0, 0.0, 0.0),
) -> tuple[Shape, Pose]:
    """Centre an object on its box, turn it upright and give its longest side length 1.

    Args:
        surface: in the camera frame.
        skin: its texture.
        splats: in the camera frame.
        rotation: camera_from_object, quaternion w, x, y, z.

    Returns:
        Shape and scene_from_object, which puts it back where it was.
    """
    axes = matrix_from_quaternion(rotation)  # columns: the object's axes in the camera frame
    rotated = surface.vertices @ axes
    means = splats.means @ axes
    low = np.minimum(rotated.min(0), means.min(0))
    high = np.maximum(rotated.max(0), means.max(0))
    size = float((high - low).max()) * (1 + 1e-6)  # rounding to float32 must stay inside
    centre = axes @ ((low + high) / 2)

    object_from_camera = np.eye(4)
    object_from_camera[:3, :3] = axes.T / size
    object_from_camera[:3, 3] = -axes.T @ centre / size
    w, x, y, z = rotation
    inverse = (w, -x, -y, -z)
    shape = Shape(
        mesh=Mesh(
            vertices=transform_points(surface.vertices[skin.vertex], object_from_camera).astype(
                np.float32
            ),
            faces=skin.faces,
            uv=skin.uv,
            texture=skin.picture,
            normals=(surface.vertex_normals() @ axes)[skin.vertex].astype(np.float32),
        ),
        gaussians=Gaussians(
            means=transform_points(splats.means, object_from_camera).astype(np.float32),
            scales=splats.scales / np.float32(size),
            rotations=multiply_quaternions(inverse, splats.rotations).astype(np.float32),
            opacities=splats.opacities,
            sh0=splats.sh0,
        ),
    )
    cx, cy, cz = (float(c) for c in centre)
    return shape, Pose(rotation=rotation, translation=(cx, cy, cz), scale=size)
