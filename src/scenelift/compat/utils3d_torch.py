"""The old functions of `utils3d.torch`, with old arguments and results, on its new functions.

Import `scenelift.compat.utils3d_compat`, which puts them into the library.

Shape letters in this file: B views, H × W pixels, V vertices, F faces, E edges, C channels.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import utils3d.torch as library  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.compat.utils3d_rasterize import rasterize_triangle_faces

__all__ = [
    "compute_connected_components",
    "compute_edges",
    "intrinsics_from_fov_xy",
    "perspective_from_fov_xy",
    "rasterize_triangle_faces",
    "remove_unreferenced_vertices",
]


def perspective_from_fov_xy(
    fov_x: float | Tensor, fov_y: float | Tensor, near: float | Tensor, far: float | Tensor
) -> Tensor:  # [..., 4, 4]
    """Make an OpenGL projection matrix from two fields of view, in radians."""
    return library.perspective_from_fov(fov_x=fov_x, fov_y=fov_y, near=near, far=far)


def intrinsics_from_fov_xy(fov_x: float | Tensor, fov_y: float | Tensor) -> Tensor:  # [..., 3, 3]
    """Make OpenCV intrinsics, in units of the image's size, from two fields of view in radians."""
    return library.intrinsics_from_fov(fov_x=fov_x, fov_y=fov_y)


def compute_edges(
    faces: Tensor,  # [F, 3]
) -> tuple[Tensor, Tensor, Tensor]:
    """List undirected edges [E, 2] (smaller index first), edges of faces, face counts [E].

    Edge k of a face joins its vertices k and k + 1.
    """
    edges, face2edge, degrees = library.mesh_edges(faces, return_face2edge=True, return_counts=True)
    return edges.sort(dim=1).values, face2edge, degrees


def compute_connected_components(
    faces: Tensor,  # [F, 3]
    edges: Tensor | None = None,  # [E, 2]
    face2edge: Tensor | None = None,  # [F, 3]
) -> list[Tensor]:
    """Group face numbers into components, in which faces are joined by shared edges.

    The new function answers with a label a vertex and joins faces that merely touch in a corner.
    Asked about the mesh whose "vertices" are the edges of this one, it answers the old question.
    """
    if edges is None or face2edge is None:
        edges, face2edge, _ = compute_edges(faces)
    labels = library.mesh_connected_components(face2edge, num_vertices=len(edges))  # [E]
    piece = labels[face2edge[:, 0].long()]  # [F]
    # Pieces in the order of their first face.
    pieces = torch.unique(piece, return_inverse=True)[1]
    order = {int(label): None for label in pieces.tolist()}
    return [(pieces == label).nonzero()[:, 0] for label in order]


def remove_unreferenced_vertices(
    faces: Tensor,  # [F, P]
    *vertice_attrs: Tensor,  # each [V, ...]
    return_indices: bool = False,
) -> tuple[Tensor, ...]:
    """Return faces with new vertex numbers, then each attribute of the vertices in use.

    With `return_indices` the old numbers of those vertices come last.
    """
    new: Any = library.remove_unused_vertices
    if next(iter(inspect.signature(new).parameters)) == "faces":
        return new(faces, *vertice_attrs, return_indices=return_indices)
    # A version that takes (vertices, faces) and answers in that order: it is given the numbers
    # of the vertices, to be told which of them are left.
    count = len(vertice_attrs[0]) if vertice_attrs else int(faces.max()) + 1
    referenced, renumbered = new(torch.arange(count, device=faces.device), faces)
    attributes: Sequence[Tensor] = [values[referenced] for values in vertice_attrs]
    return (renumbered, *attributes, referenced) if return_indices else (renumbered, *attributes)
