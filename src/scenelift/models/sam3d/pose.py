"""Turns pose latents into a pose: decoding, and the change to this package's frames.

Published: points are row vectors, objects are z-up, the scene is PyTorch3D's camera frame (x left,
y up, z forward), and `p_scene = (scale · p_object) @ R(rotation) + translation`. Here: column
vectors, objects y-up, x right, y up, z backward (`docs/conventions.md`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    quaternion_from_matrix,
    unit_vector,
)
from scenelift.models.sam3d.structure_flow import StructureLatents
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.types import Pose

__all__ = [
    "CAMERA_FROM_PYTORCH3D",
    "PublishedPose",
    "decode_pose",
    "encode_pose",
    "scene_pose",
    "vector_of",
]

# x left, y up, z forward to x right, y up, z backward. Its own inverse.
CAMERA_FROM_PYTORCH3D = np.diag([-1.0, 1.0, -1.0])

# Mean and standard deviation that training normalised the two rotation columns with.
_ROTATION_MEAN = np.array(
    [
        -0.06366084883674913,
        0.008438224692279752,
        0.00017084786438302483,
        0.0007126610473540038,
        -0.0030916726538816417,
        0.5166093753457688,
    ]
)
_ROTATION_STD = np.array(
    [
        0.6656971967514863,
        0.6787012271867754,
        0.30345010594844524,
        0.4394504420678794,
        0.39817973931717104,
        0.6176286868761914,
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedPose:
    """Where an object stands, in the published conventions.

    Attributes:
        rotation: float64 [4], unit quaternion w, x, y, z with w ≥ 0, for row vectors.
        translation: float64 [3], in PyTorch3D axes.
        scale: float64 [3], three equal factors.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:  # [..., 3] -> [..., 3]
        """Move points of the z-up object into the scene's PyTorch3D axes."""
        p = np.asarray(points, np.float64) * self.scale
        return p @ matrix_from_quaternion(self.rotation) + self.translation


def decode_pose(
    latents: StructureLatents,  # of one object
    scene_scale: Tensor,  # [3] or [1, 3]
    scene_shift: Tensor,  # [3] or [1, 3]
    *,
    factor: int = 1,
) -> PublishedPose:
    """Decode the first stage's latents into a pose.

    Args:
        latents: state at time 1.
        scene_scale: S of `preprocess`, which the point map was divided by,
        scene_shift: and T, which was subtracted from it before.
        factor: of `OccupiedVoxels`: how much coarser the second stage's grid is than the decoder's.
    """
    rotation, log_scale, shift = (
        vector_of(t) for t in (latents.rotation, latents.scale, latents.translation)
    )
    S, T = vector_of(scene_scale), vector_of(scene_shift)
    raw = rotation * _ROTATION_STD + _ROTATION_MEAN
    b1 = unit_vector(raw[:3])
    b2 = unit_vector(raw[3:] - (b1 @ raw[3:]) * b1)
    columns = np.stack([b1, b2, np.cross(b1, b2)], -1)
    scale = float(np.mean(np.exp(log_scale) * S)) * factor
    return PublishedPose(
        rotation=quaternion_from_matrix(columns),
        translation=shift * S + T,
        scale=np.full(3, scale),
    )


def scene_pose(published: PublishedPose) -> Pose:
    """Convert a pose to this package's conventions: scene_from_object of a y-up object."""
    # A row vector times R is a column vector under Rᵀ.
    linear = matrix_from_quaternion(published.rotation).T
    w, x, y, z = quaternion_from_matrix(CAMERA_FROM_PYTORCH3D @ linear @ OBJECT_FROM_ZUP.T).tolist()
    tx, ty, tz = (CAMERA_FROM_PYTORCH3D @ published.translation).tolist()
    return Pose(
        rotation=(w, x, y, z), translation=(tx, ty, tz), scale=float(published.scale.mean())
    )


def encode_pose(
    pose: Pose,
    scene_scale: Tensor,  # [3] or [1, 3]
    scene_shift: Tensor,  # [3] or [1, 3]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # [6], [3], [3]
    """Encode a pose in this package's conventions as rotation, scale and translation latents.

    What `decode_pose` and `scene_pose` undo; training aims at these.
    """
    S, T = vector_of(scene_scale), vector_of(scene_shift)
    linear = CAMERA_FROM_PYTORCH3D @ matrix_from_quaternion(pose.rotation) @ OBJECT_FROM_ZUP
    columns = linear.T  # for row vectors
    rotation = (np.concatenate([columns[:, 0], columns[:, 1]]) - _ROTATION_MEAN) / _ROTATION_STD
    translation = CAMERA_FROM_PYTORCH3D @ np.asarray(pose.translation, np.float64)
    return rotation, np.log(pose.scale / S), (translation - T) / S


def vector_of(values: Tensor) -> NDArray[np.float64]:
    """Copy a tensor's numbers to the CPU, as a vector of doubles."""
    return values.detach().double().cpu().numpy().reshape(-1)
