"""Stand thin upright things up: a network's depth along a post wanders off to what is behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import regions

__all__ = ["stood_up"]

WIDEST = 5  # cells: what is wider has depths of its own
TALLEST_GAP = 3  # cells along it that may look like what is behind it
LEAST_HEIGHT = 8  # cells
SLENDER = 3.0  # times as high as wide at least
FARTHER = 1.05  # times its depth: what is at both its sides
AGREE = 0.2  # in the logarithm of the depth, from its foot to its top: else it is no post


def stood_up(
    depth: NDArray[np.float64],
    rays: NDArray[np.float64],
    usable: NDArray[np.bool_],
    up: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Put each thin thing that is as good as upright in the picture onto one upright plane.

    The plane faces the camera, as far away as the lower half of the thing.

    Args:
        depth: float64 [h, w].
        rays: float64 [h, w, 3], at depth 1.
        usable: bool [h, w]: only these are looked at, and changed.
        up: [3], against gravity.

    Returns:
        [h, w].
    """
    usable_depth = np.where(usable, depth, -np.inf)
    size = WIDEST + 1
    left = ndimage.maximum_filter1d(usable_depth, size, axis=1, origin=(size - 1) // 2)
    right = ndimage.maximum_filter1d(usable_depth, size, axis=1, origin=-(size // 2))
    thin = usable & (np.minimum(left, right) > FARTHER * depth)
    joined = (
        np.asarray(ndimage.binary_closing(thin, np.ones((TALLEST_GAP, 1), bool)), bool) & usable
    )
    number, count = regions(joined, diagonal=True)
    facing = np.array([0.0, 0, -1]) - up * -up[2]
    facing /= max(np.linalg.norm(facing), 1e-9)
    slope = rays @ facing
    result = depth.copy()
    for k, box in enumerate(ndimage.find_objects(number, count), 1):
        part = number[box] == k
        high = len(part)
        if high < LEAST_HEIGHT or high < SLENDER * part.sum() / high:
            continue
        lower = part & (np.arange(high)[:, None] >= high / 2) & thin[box]
        if not lower.any() or (slope[box][part] < 1e-3).any():
            continue
        away = np.median((depth[box] * slope[box])[lower])
        upright = away / slope[box]
        fits = part & (np.abs(np.log(upright / depth[box])) < AGREE)
        if fits.sum() > part.sum() / 2:
            result[box][part] = upright[part]
    return result
