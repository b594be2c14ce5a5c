"""Rotations and similarity transforms.

Column vectors, 4×4 matrices, quaternions w, x, y, z; `a_from_b` maps coordinates in b to
coordinates in a. numpy float64 inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scenelift.threads import side_by_side
from scenelift.types import Gaussians, Pose

__all__ = [
    "compose_transform",
    "concatenate_gaussians",
    "join_gaussians",
    "matrix_from_quaternion",
    "multiply_quaternions",
    "pose_from_matrix",
    "pose_matrix",
    "quaternion_from_matrix",
    "take_gaussians",
    "transform_gaussians",
    "transform_points",
    "unit_vector",
]


def matrix_from_quaternion(quaternion: ArrayLike) -> NDArray[np.float64]:  # [..., 4] -> [..., 3, 3]
    """Convert quaternions to rotation matrices; they are normalised first."""
    q = np.asarray(quaternion, np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def quaternion_from_matrix(rotation: ArrayLike) -> NDArray[np.float64]:  # [..., 3, 3] -> [..., 4]
    """Convert rotation matrices to unit quaternions with w ≥ 0.

    The largest of the four components is found from the diagonal and divides the others, so no
    rotation is near a division by zero (Shepperd 1978).
    """
    r = np.asarray(rotation, np.float64)
    m00, m11, m22 = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    # Four times the squares of w, x, y, z.
    squares = np.stack(
        [1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1
    )
    wx, wy, wz = (
        r[..., 2, 1] - r[..., 1, 2],
        r[..., 0, 2] - r[..., 2, 0],
        r[..., 1, 0] - r[..., 0, 1],
    )
    xy, xz, yz = (
        r[..., 0, 1] + r[..., 1, 0],
        r[..., 0, 2] + r[..., 2, 0],
        r[..., 1, 2] + r[..., 2, 1],
    )
    candidates = np.stack(
        [
            np.stack([squares[..., 0], wx, wy, wz], -1),
            np.stack([wx, squares[..., 1], xy, xz], -1),
            np.stack([wy, xy, squares[..., 2], yz], -1),
            np.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None]
    q = np.take_along_axis(candidates, np.broadcast_to(best, (*best.shape[:-1], 4)), -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def multiply_quaternions(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Multiply quaternions as R(a) @ R(b), broadcasting over leading dimensions; w ≥ 0."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a, np.float64), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b, np.float64), -1, 0)
    q = np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )
    return np.where(q[..., :1] < 0, -q, q)


def compose_transform(
    scale: float | Sequence[float] | ArrayLike,
    rotation: ArrayLike,
    translation: ArrayLike,
) -> NDArray[np.float64]:
    """Make a 4×4 matrix that scales, then rotates, then translates.

    Args:
        scale: one factor, or one per axis of the object frame.
        rotation: quaternion w, x, y, z or a 3×3 matrix.
        translation: [3].
    """
    r = np.asarray(rotation, np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = (matrix_from_quaternion(r) if r.shape == (4,) else r) * np.asarray(scale)
    matrix[:3, 3] = translation
    return matrix


def transform_points(points: ArrayLike, matrix: ArrayLike) -> NDArray[np.float64]:
    """Apply an affine 4×4 matrix to points [..., 3]."""
    m = np.asarray(matrix, np.float64)
    return np.asarray(points, np.float64) @ m[:3, :3].T + m[:3, 3]


def pose_matrix(pose: Pose) -> NDArray[np.float64]:
    """Convert a pose to its 4×4 matrix `scene_from_object`."""
    return compose_transform(pose.scale, pose.rotation, pose.translation)


def pose_from_matrix(matrix: ArrayLike) -> Pose:
    """Convert a similarity matrix to a pose.

    Raises:
        ValueError: the matrix shears, mirrors or scales its axes differently.
    """
    m = np.asarray(matrix, np.float64)
    linear = m[:3, :3]
    determinant = np.linalg.det(linear)
    scale = float(np.cbrt(determinant))
    if scale <= 0 or not np.allclose(linear @ linear.T, scale**2 * np.eye(3), atol=1e-5 * scale**2):
        raise ValueError(f"not a similarity without mirroring:\n{linear}")
    w, x, y, z = quaternion_from_matrix(linear / scale).tolist()
    return Pose(rotation=(w, x, y, z), translation=tuple(m[:3, 3].tolist()), scale=scale)


def take_gaussians(gaussians: Gaussians, index: NDArray) -> Gaussians:
    """Select splats by their numbers, in that order, or by a mask."""
    return replace(
        gaussians,
        means=gaussians.means[index],
        scales=gaussians.scales[index],
        rotations=gaussians.rotations[index],
        opacities=gaussians.opacities[index],
        sh0=gaussians.sh0[index],
    )


def transform_gaussians(gaussians: Gaussians, pose: Pose) -> Gaussians:
    """Move splats by a pose: means and rotations turn, scales grow with the uniform factor."""
    from scenelift.geometry.moving import moved_splats

    means, rotations = moved_splats(
        gaussians.means, gaussians.rotations, pose_matrix(pose), np.asarray(pose.rotation, float)
    )
    return replace(
        gaussians,
        means=means,
        scales=gaussians.scales * np.float32(pose.scale),
        rotations=rotations,
        kernel=gaussians.kernel * pose.scale,
    )


def join_gaussians(parts: Sequence[Gaussians]) -> Gaussians:
    """Join several objects' splats in order, with the smallest of their smoothing kernels.

    As SAM 3D's published code joins a scene: no scale stays below 1.1 times its object's own
    kernel, then each contains the least kernel in place of its own, variances being sums. Parts
    without a kernel keep their scales.
    """
    least = min((part.kernel for part in parts if part.kernel > 0), default=0.0)

    def shared(part: Gaussians) -> Gaussians:
        if not part.kernel > 0:
            return part
        floored = np.maximum(part.scales.astype(np.float64), 1.1 * part.kernel)
        scales = np.sqrt(floored**2 - part.kernel**2 + least**2).astype(np.float32)
        return replace(part, scales=scales, kernel=least)

    return replace(concatenate_gaussians(list(side_by_side(shared, parts))), kernel=least)


def concatenate_gaussians(parts: Sequence[Gaussians]) -> Gaussians:
    """Concatenate sets of splats in order; no sets give no splats."""
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    whole = Gaussians(
        means=np.zeros((ends[-1], 3), np.float32),
        scales=np.zeros((ends[-1], 3), np.float32),
        rotations=np.zeros((ends[-1], 4), np.float32),
        opacities=np.zeros(ends[-1], np.float32),
        sh0=np.zeros((ends[-1], 3), np.float32),
    )

    def copy(number: int) -> None:
        place = slice(ends[number], ends[number + 1])
        for name in ("means", "scales", "rotations", "opacities", "sh0"):
            getattr(whole, name)[place] = getattr(parts[number], name)

    # Side by side, as most of the time goes into pages of memory that are touched first.
    for _ in side_by_side(copy, range(len(parts))):
        pass
    return whole


def unit_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale a vector to length 1; zero stays zero."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
