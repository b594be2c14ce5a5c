"""Connected regions of masks and distances in them: scipy's functions with plain signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["border_of", "distance_inside", "nearest_inside", "regions"]


def border_of(picture: NDArray[Any]) -> NDArray[Any]:
    """Return the values along a picture's four sides, those of its corners twice.

    Args:
        picture: [H, W] or [H, W, C].
    """
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def regions(mask: NDArray[np.bool_], *, diagonal: bool = False) -> tuple[NDArray[np.int32], int]:
    """Number the connected parts of a mask from 1; 0 is outside.

    Args:
        mask: bool [H, W].
        diagonal: pixels that touch at a corner are connected.

    Returns:
        int32 [H, W] of numbers, and how many parts there are.
    """
    labels = np.zeros(mask.shape, np.int32)
    structure = np.ones((3, 3)) if diagonal else None
    count = ndimage.label(mask, structure=structure, output=labels)
    return labels, int(count)  # pyright: ignore[reportArgumentType] - with `output` it is a number


def distance_inside(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Compute each inner pixel's distance [H, W] to the nearest outer one, in pixels; 0 outside."""
    return np.asarray(ndimage.distance_transform_edt(mask), np.float64)


def nearest_inside(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Find row and column [H, W] of the inner pixel nearest to each pixel."""
    indices = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    rows, columns = np.asarray(indices, np.int32)
    return rows, columns
