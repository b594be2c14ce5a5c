"""Move splats by a pose in one pass: NumPy would copy millions of them in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array, spread

__all__ = ["moved_splats"]


def moved_splats(
    means: NDArray[np.float32],  # [N, 3]
    rotations: NDArray[np.float32],  # [N, 4]
    matrix: NDArray[np.float64],  # [4, 4], of the pose
    turn: NDArray[np.float64],  # [4], its quaternion
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Move means and rotations by a pose, computed in double precision; w ≥ 0."""
    means, rotations = kernel_array(means, np.float32), kernel_array(rotations, np.float32)
    moved, turned = np.empty_like(means), np.empty_like(rotations)
    matrix, turn = kernel_array(matrix, np.float64), kernel_array(turn, np.float64)
    spread(_move, len(means), means, rotations, matrix, turn, moved, turned)
    return moved, turned


@compiled
def _move(begin, end, means, rotations, m, a, moved, turned):
    for n in range(begin, end):
        x, y, z = float(means[n, 0]), float(means[n, 1]), float(means[n, 2])
        for k in range(3):
            moved[n, k] = m[k, 0] * x + m[k, 1] * y + m[k, 2] * z + m[k, 3]
        w, x = float(rotations[n, 0]), float(rotations[n, 1])
        y, z = float(rotations[n, 2]), float(rotations[n, 3])
        real = a[0] * w - a[1] * x - a[2] * y - a[3] * z
        i = a[0] * x + a[1] * w + a[2] * z - a[3] * y
        j = a[0] * y - a[1] * z + a[2] * w + a[3] * x
        k = a[0] * z + a[1] * y - a[2] * x + a[3] * w
        if real < 0:
            real, i, j, k = -real, -i, -j, -k
        turned[n, 0], turned[n, 1], turned[n, 2], turned[n, 3] = real, i, j, k
