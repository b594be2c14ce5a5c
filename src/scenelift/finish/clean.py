"""Remove what is no part of a surface: broken faces, and pieces that float beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.finish.topology import components
from scenelift.types import Mesh

__all__ = ["Cleaned", "clean", "weld"]

SMALL = 0.005  # of the largest component's area: less is a floater


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cleaned:
    """A mesh without what was broken or floated.

    Attributes:
        mesh: without normals and texture; colours follow.
        broken: faces removed for corners that are not finite or do not exist, no area, or another
            face on the same corners.
        floaters: components removed.
    """

    mesh: Mesh
    broken: int
    floaters: int


def clean(mesh: Mesh) -> Cleaned:
    """Remove broken faces, then small components and the walls of cavities."""
    vertices, faces, place = weld(mesh.vertices, mesh.faces)
    colors = None if mesh.colors is None else mesh.colors[place]
    normals = _normals(vertices, faces)
    sound = np.flatnonzero((normals != 0).any(1))
    sound = sound[_first_of_repeats(faces[sound])]
    label = components(faces[sound], len(vertices))
    worth = _worth_keeping(vertices, faces[sound], normals[sound], label)
    kept = faces[sound[worth[label]]]
    used, renumbered = np.unique(kept, return_inverse=True)
    return Cleaned(
        mesh=Mesh(
            vertices=vertices[used],
            faces=renumbered.reshape(-1, 3).astype(np.int32),
            colors=None if colors is None else colors[used],
        ),
        broken=len(mesh.faces) - len(sound),
        floaters=int((~worth).sum()),
    )


def weld(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """Vertices at one place become one; faces on vertices that are not finite or not there go.

    Returns:
        Vertices [V', 3], faces [F', 3], and the old vertex that each new one stands for [V'].
    """
    there = ((faces >= 0) & (faces < len(vertices))).all(1)
    faces = faces[there]
    finite = np.all(np.isfinite(vertices), axis=1)  # [V]
    faces = faces[finite[faces].all(axis=1)]
    if not len(faces):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.int64)
    bits = (vertices + np.float32(0)).view(np.uint32).astype(np.uint64)  # −0 is 0
    # 96 bits into 64 by mixing; the rare two places of one key are told apart below.
    key = (bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ (
        bits[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F)
    )
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0x165667B19E3779F9) + bits[:, 2]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    if not np.array_equal(vertices[first][group], vertices, equal_nan=True):
        _, first, group = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    return vertices[first], group.reshape(-1)[faces].astype(np.int32), first


def _normals(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Normals [F, 3], twice the area long."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return np.cross(b - a, c - a)


def _first_of_repeats(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of faces on the same three corners, the first; of a front and its back, neither."""
    if not len(faces):
        return np.zeros(0, np.int64)
    low, high = faces.min(1), faces.max(1)
    middle = faces.sum(1, dtype=np.int64) - low - high
    size = np.uint64(int(faces.max()) + 1)
    # A hash of 64 bits: products wrap round. Below two million vertices it is exact.
    key = (low.astype(np.uint64) * size + middle.astype(np.uint64)) * size + high.astype(np.uint64)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    if len(first) == len(faces):
        return first
    following = np.take_along_axis(faces, (faces.argmin(1)[:, None] + 1) % 3, 1)[:, 0]
    balance = np.bincount(group, np.where(following == middle, 1, -1))
    return np.sort(first[balance != 0])


def _worth_keeping(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],  # twice the area long
    label: NDArray[np.int32],  # component of each face
) -> NDArray[np.bool_]:
    """Components that are large enough and not inside out."""
    if not len(faces):
        return np.zeros(0, np.bool_)
    area = np.bincount(label, np.linalg.norm(normals, axis=1))
    # About a corner of the component's own, so that an open piece far out has little volume.
    anchor = np.zeros((len(area), 3))
    anchor[label] = vertices[faces[:, 0]]
    corner = vertices[faces[:, 0]] - anchor[label]
    volume = np.bincount(label, np.einsum("ij,ij->i", corner, normals))
    # Twice the area and six times the volume; a sheet has hardly any volume of either sign.
    hollow = volume < -0.01 * area**1.5
    if hollow[area.argmax()]:  # the whole of it is inside out: then that is how it was meant
        hollow[:] = False
    return ~hollow & (area >= SMALL * area[~hollow].max())
