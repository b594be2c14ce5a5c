"""Sharpen depth at the photo's edges: networks blur it, which looks torn from the side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sharpened"]

REACH = 3  # cells: a ramp is that wide at either side
ROUNDS = 3
RAMP = (
    1.04  # ratio of the farthest depth to the nearest around a cell, beyond which it may be a ramp
)
ALIKE = 18.0  # grey levels: standard deviation of the colours of one surface


def sharpened(
    depth: NDArray[np.float64],
    colours: NDArray[np.float64],
    usable: NDArray[np.bool_],
    unchanged: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Let depths jump where colours do, by the weighted median of each cell's neighbourhood.

    Neighbours count by how much they look like the cell (Ma and others, "Constant Time Weighted
    Median Filtering for Stereo Matching and Beyond", ICCV 2013). Where the depth hardly changes it
    stays as it is.

    Args:
        depth: float64 [h, w].
        colours: float64 [h, w, 3], in 0…255.
        usable: bool [h, w]: only these are changed, and have a say.
        unchanged: bool [h, w]: what stays as it is, like a floor that falls away from the camera.

    Returns:
        [h, w].
    """
    side = range(-REACH, REACH + 1)
    shifts = [(i, j) for i in side for j in side]
    depth = depth.copy()
    for _ in range(ROUNDS):
        near, far = _extremes(np.where(usable, depth, np.nan))
        rows, columns = np.nonzero(usable & ~unchanged & (far > RAMP * near))
        if not rows.size:
            return depth
        v = np.stack([np.clip(rows + i, 0, depth.shape[0] - 1) for i, _ in shifts])
        u = np.stack([np.clip(columns + j, 0, depth.shape[1] - 1) for _, j in shifts])
        apart = ((colours[v, u] - colours[rows, columns]) ** 2).sum(-1)
        weight = np.exp(-apart / (2 * 3 * ALIKE**2)) * usable[v, u]  # [S, N]
        values = depth[v, u]
        order = values.argsort(0)
        values = np.take_along_axis(values, order, 0)
        total = np.take_along_axis(weight, order, 0).cumsum(0)
        middle = (total >= total[-1] / 2).argmax(0)
        depth[rows, columns] = values[middle, np.arange(len(rows))]
    return depth


def _extremes(depth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute nearest and farthest depth around each cell; NaN is ignored."""
    from scipy import ndimage

    side = 2 * REACH + 1
    near = ndimage.minimum_filter(np.nan_to_num(depth, nan=np.inf), side)
    far = ndimage.maximum_filter(np.nan_to_num(depth, nan=-np.inf), side)
    return np.asarray(near), np.asarray(far)
