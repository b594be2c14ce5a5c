"""Represent a shape by a few thousand coloured points on its visible surface.

Placing needs thousands of tiny pictures of a shape, and none of its faces: points serve a decoder's
mesh of a million faces, a modelled one with drawers inside, and splats without any mesh alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from scenelift.errors import ReconstructionError
from scenelift.geometry.sampling import sample_surface
from scenelift.jit import compiled, kernel_array, spread
from scenelift.types import Gaussians, Mesh, Shape

__all__ = ["Surfels", "surfels_of"]

SOLID = 0.3  # opacity from which a splat counts as surface
VIEWS = 40  # directions from which a point is looked for before it counts as hidden inside
GRID = 96  # pixels across the shape when it is looked for


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surfels:
    """Points on the outside of a shape, in its own frame and in random order.

    Attributes:
        points: float32 [N, 3].
        colors: float32 [N, 3], sRGB in 0…1, or None where the shape has none.
        spacing: typical distance between neighbours.
    """

    points: NDArray[np.float32]
    colors: NDArray[np.float32] | None
    spacing: float

    def few(self, count: int) -> Surfels:
        """Return the first `count` points, which cover the shape evenly at any count."""
        if count >= len(self.points):
            return self
        return Surfels(
            points=self.points[:count],
            colors=None if self.colors is None else self.colors[:count],
            spacing=self.spacing * (len(self.points) / count) ** 0.5,
        )


def surfels_of(shape: Shape, count: int = 8000, seed: int = 0) -> Surfels:
    """Sample points on the outside of a shape: on its mesh, else at its splats.

    Args:
        shape: with a mesh or splats.
        count: about so many points, before those that no view sees are left out.
        seed: makes the points repeatable.

    Raises:
        ReconstructionError: there is neither, or no finite part of either.
    """
    rng = np.random.default_rng(seed)
    if shape.mesh is not None and len(shape.mesh.faces):
        points, colors, spacing = _on_mesh(shape.mesh, 2 * count, rng)
    elif shape.gaussians is not None and len(shape.gaussians):
        points, colors, spacing = _on_splats(shape.gaussians, 2 * count, rng)
    else:
        raise ReconstructionError("The shape has neither faces nor splats: it cannot be placed.")
    outside = _seen_from_outside(points, spacing)
    # Twice as many were drawn: a shape with nothing inside keeps all, one with drawers half.
    points = points[outside][:count]
    spacing *= (int(outside.sum()) / len(points)) ** 0.5
    if colors is not None:
        colors = colors[outside][:count]
    return Surfels(points=points, colors=colors, spacing=spacing)


def _on_mesh(
    mesh: Mesh, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, float]:
    on = sample_surface(mesh.vertices, mesh.faces, count, rng)
    if on is None:
        raise ReconstructionError(
            f"A mesh of {len(mesh.faces)} faces has no area: it cannot be placed."
        )
    points = on.at(mesh.vertices.astype(np.float64), mesh.faces)
    return points, _mesh_colors(mesh, on.face, on.weights), (on.area / count) ** 0.5


def _mesh_colors(mesh: Mesh, face: NDArray, weights: NDArray) -> NDArray[np.float32] | None:
    if mesh.texture is not None and mesh.uv is not None:
        uv = np.einsum("nk,nkc->nc", weights, mesh.uv[mesh.faces[face]])
        height, width = mesh.texture.shape[:2]
        row = ((1 - uv[:, 1]) % 1 * height).astype(np.int64).clip(0, height - 1)
        column = (uv[:, 0] % 1 * width).astype(np.int64).clip(0, width - 1)
        return (mesh.texture[row, column] / 255).astype(np.float32)
    if mesh.colors is not None:
        corners = mesh.colors[mesh.faces[face]].astype(np.float64) / 255
        return np.einsum("nk,nkc->nc", weights, corners).astype(np.float32)
    return None


def _on_splats(
    splats: Gaussians, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    usable = np.flatnonzero((splats.opacities > SOLID) & np.isfinite(splats.means).all(1))
    if not usable.size:
        raise ReconstructionError("No splat of the shape is solid: it cannot be placed.")
    rows = rng.permutation(usable)[:count]
    points = splats.means[rows]
    near = KDTree(points).query(points, k=min(5, len(points)))[0]
    return points, splats.rgb[rows], max(float(np.median(near[..., -1])) / 2**0.5, 1e-4)


def _seen_from_outside(points: NDArray[np.float32], spacing: float) -> NDArray[np.bool_]:
    """Select the points that are in front in some direction of view."""
    centred = points - (points.min(0) + points.max(0)) / 2
    reach = float(np.linalg.norm(centred, axis=1).max()) or 1.0
    # Pixels wide enough that points of one surface leave no holes to look through.
    pixel = max(2 * reach / GRID, 3 * spacing)
    k = np.arange(VIEWS) + 0.5
    up, turn = 1 - 2 * k / VIEWS, np.pi * (1 + 5**0.5) * k  # a Fibonacci sphere
    ring = np.sqrt(1 - up**2)
    axes = np.stack([ring * np.cos(turn), up, ring * np.sin(turn)], 1)
    side = np.cross(axes, np.eye(3)[np.abs(axes).argmin(1)])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    frames = np.stack([side, np.cross(axes, side), axes], 1)  # [VIEWS, 3, 3], rows: the view's axes
    half = int(np.ceil(reach / pixel)) + 1
    in_front = np.zeros((VIEWS, len(points)), np.bool_)
    points, frames = (kernel_array(values, np.float32) for values in (centred / pixel, frames))
    spread(_first_from, VIEWS, points, frames, half, in_front)
    return np.logical_or.reduce(in_front)


@compiled
def _first_from(begin, end, points, frames, half, in_front):
    """Select, for some views, points within a pixel and a half of the first along the last axis."""
    first = np.zeros((2 * half + 1) * (2 * half + 1), np.float32)
    pixels, heights = np.zeros(len(points), np.int32), np.zeros(len(points), np.float32)
    for view in range(begin, end):
        m = frames[view]
        first[:] = -np.inf
        for n in range(len(points)):
            p = points[n]
            u = int(np.rint(m[0, 0] * p[0] + m[0, 1] * p[1] + m[0, 2] * p[2])) + half
            v = int(np.rint(m[1, 0] * p[0] + m[1, 1] * p[1] + m[1, 2] * p[2])) + half
            pixel = v * (2 * half + 1) + u
            height = m[2, 0] * p[0] + m[2, 1] * p[1] + m[2, 2] * p[2]
            pixels[n], heights[n] = pixel, height
            first[pixel] = max(first[pixel], height)
        for n in range(len(points)):
            in_front[view, n] = heights[n] > first[pixels[n]] - 1.5
