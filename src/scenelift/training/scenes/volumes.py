"""Finds which voxels a model fills, and in which colour."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from scenelift.training.scenes.meshes import Surface, texture_colours

__all__ = ["COLOUR_GRID", "GRID", "coloured_volume", "outside_filled", "volume_of"]

GRID, COLOUR_GRID = 64, 32
SAMPLES = 250_000
CRACK = 1
"""Doors and plinths leave gaps, and samples too: without this, both washing machines and one of two
refrigerators among the training models count as hollow."""


def outside_filled(surface: NDArray[np.bool_], crack: int = 0) -> NDArray[np.bool_]:
    """Fill voxels [X, Y, Z] of a surface and of all that it encloses together with the floor.

    Air flows in from the sides and from the top, face to face, but not through the floor (the
    lowest layer of y that the surface touches): much furniture is modelled without an underside.

    Args:
        crack: air does not pass openings up to twice as many voxels wide.
    """
    lowest = int(np.flatnonzero(surface.any((0, 2)))[0])
    around = crack + 1
    sides = ((around, around), (0, around), (around, around))
    wall = np.pad(surface[:, lowest:], sides)
    closed = np.asarray(binary_dilation(wall, iterations=crack), np.bool_) if crack else wall
    regions = np.zeros(wall.shape, np.int32)
    label(~closed, output=regions)
    outside = regions == regions[0, -1, 0]
    if crack:  # back to the surface, on the side that the air is on
        outside = np.asarray(binary_dilation(outside, iterations=crack), np.bool_) & ~wall
    filled = np.zeros_like(surface)
    filled[:, lowest:] = ~outside[around:-around, :-around, around:-around]
    return filled


def volume_of(surface: Surface) -> NDArray[np.bool_]:  # [64, 64, 64]: x, y, z
    """Find the part of [−0.5, 0.5]³ that a model in its canonical frame fills."""
    points, _ = _samples(surface)
    grid = np.zeros((GRID,) * 3, bool)
    grid[tuple(_cells(points, GRID).T)] = True
    return outside_filled(grid, CRACK)


def coloured_volume(surface: Surface) -> NDArray[np.uint8]:  # [32, 32, 32, 3]: x, y, z, sRGB
    """Give each voxel the colour of the nearest surface."""
    points, colours = _samples(surface)
    cells = _cells(points, COLOUR_GRID)
    flat = np.ravel_multi_index(tuple(cells.T), (COLOUR_GRID,) * 3)
    count = np.bincount(flat, minlength=COLOUR_GRID**3)
    sums = [np.bincount(flat, colours[:, c], COLOUR_GRID**3) for c in range(3)]
    mean = np.stack(sums, -1) / np.maximum(count, 1)[:, None]
    empty = (count == 0).reshape((COLOUR_GRID,) * 3)
    indices = distance_transform_edt(empty, return_distances=False, return_indices=True)
    nearest = np.asarray(indices, np.int32)
    filled = mean.reshape(*(COLOUR_GRID,) * 3, 3)[tuple(nearest)]
    return (filled * 255).round().astype(np.uint8)


def _cells(points: NDArray, grid: int) -> NDArray[np.intp]:
    return np.floor((points + 0.5) * grid).astype(int).clip(0, grid - 1)


@lru_cache(maxsize=1)  # for the volume, then for its colours
def _samples(surface: Surface) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spread points [N, 3] over the surface, and read their colours."""
    rng = np.random.default_rng(0)
    a, b, c = (surface.vertices[surface.faces[:, k]].astype(np.float64) for k in range(3))
    areas = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1))
    if not areas[-1] > 0:
        return surface.vertices.astype(np.float64), np.full((len(surface.vertices), 3), 0.5)
    face = np.searchsorted(areas, rng.random(SAMPLES) * areas[-1]).clip(0, len(areas) - 1)
    u, v = rng.random((2, SAMPLES, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.concatenate([1 - u - v, u, v], 1)
    points = weights[:, :1] * a[face] + u * b[face] + v * c[face]
    colours = surface.face_color[face].astype(np.float64)
    texture = surface.face_texture[face]
    uv = (surface.uv[surface.faces[face]] * weights[..., None]).sum(1)
    for index in np.unique(texture[texture >= 0]):
        here = texture == index
        colours[here] = texture_colours(surface.textures[index], uv[here])
    return points, colours
