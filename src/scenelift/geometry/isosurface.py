"""Extract surfaces of scalar fields by marching cubes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

__all__ = ["isosurface"]


def isosurface(
    field: NDArray[np.floating],  # [A, B, C]
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Extract the zero level of a field that is positive inside.

    Args:
        field: samples on a grid; every sample on the grid's border must be negative, else the
            surface would have a hole there.

    Returns:
        vertices float64 [V, 3] in grid indices and faces int32 [F, 3], closed, counter-clockwise
        seen from outside where the three axes are right-handed.

    Raises:
        ValueError: the field is positive on its border, or nowhere.
    """
    border = max(
        float(np.moveaxis(field, axis, 0)[side].max()) for axis in range(3) for side in (0, -1)
    )
    if border >= 0:
        raise ValueError(f"the field must be negative on its border, its maximum there is {border}")
    if not field.max() > 0:
        raise ValueError("the field is nowhere positive: there is no surface")
    vertices, faces, _, _ = marching_cubes(
        field, 0.0, gradient_direction="ascent", allow_degenerate=False
    )
    return vertices.astype(np.float64), faces.astype(np.int32)
