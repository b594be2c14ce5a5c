"""Joins several meshes into one, to draw them in one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import transform_points
from scenelift.render.shading import PLAIN
from scenelift.srgb import srgb_from_linear
from scenelift.types import Mesh

__all__ = ["concatenate_meshes"]


def concatenate_meshes(
    meshes: Sequence[Mesh], matrices: Sequence[NDArray[np.float64]] | None = None
) -> Mesh:
    """Join meshes into one that looks like all of them together.

    Textures are stacked into one, each within a border that repeats its edge; texture coordinates
    are cut to 0…1 where there is one. Normals are kept where every mesh has them.

    Args:
        meshes: one or more.
        matrices: float64 [4, 4] each, where to put them: rotation, uniform scale and translation.
            None leaves them where they are.
    """
    if matrices is None:
        matrices = [np.eye(4)] * len(meshes)
    firsts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])[:-1]
    vertices = [transform_points(m.vertices, a) for m, a in zip(meshes, matrices, strict=True)]
    normals_in_scene = [
        m.normals @ np.linalg.inv(a[:3, :3])
        for m, a in zip(meshes, matrices, strict=True)
        if m.normals is not None
    ]
    normals = None
    if len(normals_in_scene) == len(meshes):
        all_normals = np.concatenate(normals_in_scene)
        length = np.linalg.norm(all_normals, axis=1, keepdims=True)
        normals = (all_normals / np.maximum(length, 1e-12)).astype(np.float32)
    texture, uv = _stack_textures(meshes)
    return Mesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(
            [m.faces + first for m, first in zip(meshes, firsts, strict=True)]
        ).astype(np.int32),
        colors=np.concatenate([_colors(mesh) for mesh in meshes]),
        uv=uv,
        texture=texture,
        normals=normals,
    )


def _colors(mesh: Mesh) -> NDArray[np.uint8]:
    """Compute vertex colours [V, 3] that, times the texture, give the mesh's own."""
    if mesh.colors is not None:
        return mesh.colors
    plain = 255 if mesh.texture is not None else round(255 * float(srgb_from_linear(PLAIN)))
    return np.full((len(mesh.vertices), 3), plain, np.uint8)


def _stack_textures(
    meshes: Sequence[Mesh],
) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32] | None]:
    """Stack textures one above the other, and find each vertex's place in the stack."""
    if all(mesh.texture is None for mesh in meshes):
        return None, None
    white = np.full((1, 1, 3), 255, np.uint8)
    tiles = [white if mesh.texture is None else mesh.texture for mesh in meshes]
    bordered = [np.pad(tile, ((1, 1), (1, 1), (0, 0)), "edge") for tile in tiles]
    width, height = max(t.shape[1] for t in bordered), sum(t.shape[0] for t in bordered)
    atlas = np.zeros((height, width, 3), np.uint8)
    uvs, top = [], 0
    for mesh, tile, bordered_tile in zip(meshes, tiles, bordered, strict=True):
        rows, columns = bordered_tile.shape[:2]
        atlas[top : top + rows, :columns] = bordered_tile
        uv = np.full((len(mesh.vertices), 2), 0.5) if mesh.texture is None else mesh.uv
        uv = np.clip(np.asarray(uv, np.float64), 0, 1)
        column = 1 + uv[:, 0] * tile.shape[1]
        row = top + 1 + (1 - uv[:, 1]) * tile.shape[0]
        uvs.append(np.stack([column / width, 1 - row / height], -1))
        top += rows
    return atlas, np.concatenate(uvs).astype(np.float32)
