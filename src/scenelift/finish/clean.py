"""Remove what does not belong to a surface: broken faces, and pieces that float beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.finish.normals import face_normals
from scenelift.finish.topology import components, without_unused
from scenelift.jit import compiled, kernel_array
from scenelift.types import Mesh

__all__ = ["Cleaned", "clean", "weld"]

SMALL = 0.005  # of the largest component's area: less is a floater


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cleaned:
    """A mesh without broken faces and floating pieces.

    Attributes:
        mesh: without normals and texture; colours follow.
        broken: faces removed for corners that are not finite or do not exist, no area, or another
            face on the same corners.
        floaters: components removed for their size, or because they face inwards.
        crowded: components removed because there are too many.
    """

    mesh: Mesh
    broken: int
    floaters: int
    crowded: int


def clean(mesh: Mesh, pieces: int | None = None) -> Cleaned:
    """Remove broken faces, then small components and the walls of cavities.

    Args:
        mesh: any.
        pieces: how many components stay at most, the largest; None keeps all.
    """
    vertices, faces, place = weld(mesh.vertices, mesh.faces)
    colors = None if mesh.colors is None else mesh.colors[place]
    normals = face_normals(vertices, faces)
    x, y, z = normals.T
    sound = np.flatnonzero((x != 0) | (y != 0) | (z != 0))
    sound = sound[_first_of_repeats(faces[sound])]
    faces, normals = faces[sound], normals[sound]
    label = components(faces, len(vertices))
    area, worth = _worth_keeping(vertices, faces, normals, label)
    floaters = int((~worth).sum())
    if pieces is not None and worth.sum() > pieces:
        worth[np.argsort(np.where(worth, -area, 0), kind="stable")[pieces:]] = False
    compact_faces, vertex_indices = without_unused(faces[worth[label]], len(vertices))
    return Cleaned(
        mesh=Mesh(
            vertices=vertices[vertex_indices],
            faces=compact_faces,
            colors=None if colors is None else colors[vertex_indices],
        ),
        broken=len(mesh.faces) - len(sound),
        floaters=floaters,
        crowded=int((~worth).sum()) - floaters,
    )


def weld(
    vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """Merge vertices at the same place; drop faces whose vertices are not finite or do not exist.

    Vertices stay in their order: a decoder's neighbours lie near each other in memory, which makes
    decimation more than twice as fast as on shuffled ones.

    Returns:
        Vertices [V', 3], faces [F', 3], and the old vertex that each new one stands for [V'].
    """
    if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
        faces = faces[((faces >= 0) & (faces < len(vertices))).all(1)]
    finite = np.all(np.isfinite(vertices), axis=1)  # [V]
    if not finite.all():
        faces = faces[finite[faces].all(1)]
    if not len(faces):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros(0, np.int64)
    bits = (vertices + np.float32(0)).view(np.uint32).astype(np.uint64)  # −0 is 0
    # 96 bits into 64 by mixing; the rare two places of one key are told apart below.
    key = (bits[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ (
        bits[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F)
    )
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0x165667B19E3779F9) + bits[:, 2]
    if not _repeats(key):
        return vertices, faces, np.arange(len(vertices))
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    if not np.array_equal(vertices[first][group], vertices, equal_nan=True):
        _, first, group = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.zeros(len(order), np.int32)
    rank[order] = np.arange(len(order))
    first = first[order]
    return vertices[first], rank[group.reshape(-1)[faces]], first


def _repeats(key: NDArray[np.uint64]) -> bool:
    """Return whether a key occurs twice, by sorting: ten times faster than numbering the keys."""
    ordered = np.sort(key)
    return bool((ordered[1:] == ordered[:-1]).any())


def _first_of_repeats(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of faces on the same three corners, keep the first; of a front and its back, keep neither."""
    if not len(faces):
        return np.zeros(0, np.int64)
    a, b, c = faces.T.astype(np.int64)
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    middle = a + b + c - low - high
    size = np.uint64(int(faces.max()) + 1)
    # A hash of 64 bits: products wrap round. Below two million vertices it is exact.
    key = (low.astype(np.uint64) * size + middle.astype(np.uint64)) * size + high.astype(np.uint64)
    if not _repeats(key):
        return np.arange(len(faces))
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    following = np.take_along_axis(faces, (faces.argmin(1)[:, None] + 1) % 3, 1)[:, 0]
    balance = np.bincount(group, np.where(following == middle, 1, -1))
    return np.sort(first[balance != 0])


def _worth_keeping(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float64],  # twice the area long
    label: NDArray[np.int32],  # component of each face
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return twice the area of each component, and whether it is large and not inside out."""
    if not len(faces):
        return np.zeros(0), np.zeros(0, np.bool_)
    area, volume = _sizes(kernel_array(vertices, np.float32), faces, normals, label)
    # A sheet has hardly any volume of either sign.
    hollow = volume < -0.01 * area**1.5
    if hollow[area.argmax()]:  # the whole of it is inside out: then that is how it was meant
        hollow[:] = False
    return area, ~hollow & (area >= SMALL * area[~hollow].max())


@compiled
def _sizes(vertices, faces, normals, label):
    """Compute twice the area and six times the volume of every component.

    The volume is about a corner of the component's own, so that an open piece far out has little.
    """
    count = label.max() + 1
    area, volume = np.zeros(count), np.zeros(count)
    anchor = np.full(count, -1)
    for f in range(len(faces)):
        part, corner = label[f], faces[f, 0]
        if anchor[part] < 0:
            anchor[part] = corner
        square = 0.0
        for k in range(3):
            square += normals[f, k] ** 2
            volume[part] += (vertices[corner, k] - vertices[anchor[part], k]) * normals[f, k]
        area[part] += math.sqrt(square)
    return area, volume
