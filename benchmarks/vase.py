"""An object whose shape and colours are formulas: a vase with a handle, a foot and a relief."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.isosurface import isosurface
from scenelift.geometry.transforms import quaternion_from_matrix
from scenelift.threads import side_by_side
from scenelift.types import Gaussians, Mesh

__all__ = ["decoded_vase", "splats_of_vase", "vase_colors"]


def _signed_distance(x: NDArray, y: NDArray, z: NDArray) -> NDArray:
    """About the distance to the surface, negative inside; in the unit cube."""
    around, out = np.arctan2(z, x), np.sqrt(x * x + z * z)
    body = np.sqrt(out**2 + (0.85 * y) ** 2) - 0.32 - 0.02 * np.sin(9 * around) * np.cos(14 * y)
    ring = np.sqrt((x - 0.27) ** 2 + y**2) - 0.15
    handle = np.sqrt(ring**2 + z * z) - 0.045
    foot = np.maximum(np.abs(y + 0.38) - 0.03, out - 0.22 - 0.03 * np.cos(5 * around))
    return _joined(_joined(body, handle), foot)


def _joined(a: NDArray, b: NDArray, soft: float = 0.03) -> NDArray:
    """Union with a fillet."""
    share = np.clip(0.5 + 0.5 * (b - a) / soft, 0, 1)
    return b * (1 - share) + a * share - soft * share * (1 - share)


def vase_colors(points: NDArray) -> NDArray[np.float64]:  # [N, 3] -> [N, 3] in 0…1
    """Waves and a chequer."""
    x, y, z = points.T.astype(np.float64)
    waves = np.stack(
        [
            np.sin(31 * x + 5 * np.sin(9 * y)),
            np.sin(27 * y + 3 * np.cos(8 * z)),
            np.sin(23 * z - 4 * x),
        ],
        -1,
    )
    chequer = (np.floor(points * 12).sum(1) % 2)[:, None]
    return np.clip(0.375 * (1 + waves) + 0.2 * chequer, 0, 1)


def decoded_vase(grid: int) -> Mesh:
    """As a decoder's mesh: marching cubes on `grid`³ cells, colours on the vertices."""
    t = np.linspace(-0.5, 0.5, grid, dtype=np.float32)
    slabs = side_by_side(
        lambda x: _signed_distance(x[:, None, None], t[None, :, None], t[None, None, :]),
        np.array_split(t, 16),
    )
    distance = np.concatenate(list(slabs))
    at, faces = isosurface(-distance)
    vertices = (at / (grid - 1) - 0.5).astype(np.float32)
    colors = np.rint(vase_colors(vertices) * 255).astype(np.uint8)
    return Mesh(vertices=vertices, faces=faces, colors=colors)


def splats_of_vase(mesh: Mesh, count: int, seed: int = 0) -> Gaussians:
    """Discs scattered about the surface, with noise in everything, as decoders make them."""
    rng = np.random.default_rng(seed)
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    ticks = rng.random(count) * areas.sum()
    face = np.searchsorted(np.cumsum(areas), ticks).clip(0, len(areas) - 1)
    a, b = np.sqrt(rng.random(count)), rng.random(count)
    shares = np.stack([1 - a, a * (1 - b), a * b], -1)
    normal = normals[face] / areas[face, None]
    points = (shares[..., None] * corners[face]).sum(1)
    points += normal * rng.normal(0, 0.002, (count, 1))
    helper = np.where(np.abs(normal[:, :1]) < 0.6, [[1.0, 0, 0]], [[0.0, 1, 0]])
    right = np.cross(normal, helper)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(normal, right), normal], -1)
    spacing = np.sqrt(0.5 * areas.sum() / count)
    scales = spacing * np.exp(rng.normal(0, 0.3, (count, 3))) * [1, 1, 0.4]
    rgb = np.clip(vase_colors(points) + rng.normal(0, 0.05, (count, 3)), 0, 1)
    return Gaussians(
        means=points.astype(np.float32),
        scales=scales.astype(np.float32),
        rotations=quaternion_from_matrix(axes).astype(np.float32),
        opacities=rng.uniform(0.3, 0.99, count).astype(np.float32),
        sh0=Gaussians.sh0_of(rgb),
    )
