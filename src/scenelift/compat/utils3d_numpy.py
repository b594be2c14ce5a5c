"""The old functions of `utils3d.numpy`, with old arguments and results, on its new functions.

Import `scenelift.compat.utils3d_compat`, which puts them into the library.
"""

from __future__ import annotations

import numpy as np
import utils3d.numpy as library  # pyright: ignore[reportMissingImports]
from numpy.typing import DTypeLike, NDArray

__all__ = ["depth_edge", "image_mesh", "image_uv", "normals_edge", "points_to_normals"]


def depth_edge(
    depth: NDArray,  # [..., H, W]
    atol: float | None = None,
    rtol: float | None = None,
    kernel_size: int = 3,
    mask: NDArray[np.bool_] | None = None,  # [..., H, W]
) -> NDArray[np.bool_]:  # [..., H, W]
    """Find pixels whose neighbours' depth differs by more than `atol`, or `rtol` of their own."""
    return library.depth_map_edge(depth, atol=atol, rtol=rtol, kernel_size=kernel_size, mask=mask)


def normals_edge(
    normals: NDArray,  # [..., H, W, 3]
    tol: float,
    kernel_size: int = 3,
    mask: NDArray[np.bool_] | None = None,  # [..., H, W]
) -> NDArray[np.bool_]:  # [..., H, W]
    """Find pixels whose neighbours' normals turn by more than `tol` degrees."""
    return library.normal_map_edge(normals, tol=tol, kernel_size=kernel_size, mask=mask)


def points_to_normals(
    point: NDArray,  # [H, W, 3]
    mask: NDArray[np.bool_] | None = None,  # [H, W]
) -> NDArray | tuple[NDArray, NDArray[np.bool_]]:
    """Compute unit normals [H, W, 3] of a point map; if it has a mask, also theirs [H, W]."""
    return library.point_map_to_normal_map(point, mask=mask)


def image_uv(
    height: int,
    width: int,
    left: int | None = None,
    top: int | None = None,
    right: int | None = None,
    bottom: int | None = None,
    dtype: DTypeLike = np.float32,
) -> NDArray:  # [bottom − top, right − left, 2]
    """Return texture coordinates in 0…1 of pixel centres, of a window or of the whole image.

    The new function's window is in texture coordinates and puts its own pixel grid into it: the
    old one cut its window out of the whole image's grid.
    """
    return library.uv_map(height, width, dtype=dtype)[top:bottom, left:right]


def image_mesh(
    *image_attrs: NDArray,  # each [H, W] or [H, W, C]
    mask: NDArray[np.bool_] | None = None,  # [H, W]
    tri: bool = False,
    return_indices: bool = False,
) -> tuple[NDArray, ...]:
    """Make a mesh of the pixel grid: faces [F, 4] (or [F, 3]), then each attribute per vertex.

    With `return_indices` the number of each vertex's pixel comes last, which the new function no
    longer tells: here it is one more attribute.
    """
    if not return_indices:
        return library.build_mesh_from_map(*image_attrs, mask=mask, tri=tri)
    height, width = image_attrs[0].shape[:2] if mask is None else mask.shape
    pixels = np.arange(height * width).reshape(height, width)
    return library.build_mesh_from_map(*image_attrs, pixels, mask=mask, tri=tri)
