"""Close holes: triangulate the loop, refine it to the faces around, and bend it smoothly.

After Liepa, "Filling holes in meshes" (2003): a triangulation that bends least, midpoints inserted
and edges flipped until faces are as large as their neighbours, then a thin plate through the rim.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags_array
from scipy.sparse.linalg import spsolve

from scenelift.finish.patch import Patch
from scenelift.finish.topology import (
    boundary_loops,
    doubled_edges,
    split_to_manifold,
    twins,
)
from scenelift.types import Mesh

__all__ = ["Repaired", "repair"]

# A loop longer than this share of the object's diagonal is where the object ends, not a hole in it.
LONGEST = 1.0
# Edges of the patch longer than this many of its rim's are split.
COARSE = 1.5
# How far surfaces that touch at an edge or a corner are drawn apart, in diagonals: a hundred times
# what float32 tells apart, and far less than can be seen.
APART = 2e-5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Repaired:
    """A manifold mesh.

    Attributes:
        mesh: colours follow; no normals, no texture.
        closed: holes closed.
        open_loops: loops too long to be holes, still open.
    """

    mesh: Mesh
    closed: int
    open_loops: int


def repair(mesh: Mesh, *, longest: float = LONGEST) -> Repaired:
    """Make every edge and vertex manifold, then close the holes.

    Args:
        mesh: without repeated or degenerate faces (`clean`).
        longest: loop to leave open, in diagonals of the mesh's box; infinity closes all.
    """
    faces, place = split_to_manifold(mesh.faces, twins(mesh.vertices, mesh.faces))
    vertices = mesh.vertices[place].astype(np.float64)
    colors = None if mesh.colors is None else mesh.colors[place]
    while pairs := doubled_edges(vertices, faces):
        vertices, faces, colors = _halved(vertices, faces, colors, pairs)
    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0))) if len(vertices) else 0.0
    # Twins anew: those of the old numbering meet the same faces, and splitting kept the pairs.
    closed = open_loops = 0
    for loop in boundary_loops(faces, twins(vertices, faces)):
        rim = vertices[loop]
        length = float(np.linalg.norm(rim - np.roll(rim, 1, 0), axis=1).sum())
        if len(loop) < 3 or length > longest * diagonal:
            open_loops += 1
            continue
        vertices, faces, new_vertices = _close(vertices, faces, loop)
        if colors is not None and new_vertices:
            nearest = ((vertices[-new_vertices:, None] - rim) ** 2).sum(-1).argmin(1)
            colors = np.concatenate([colors, colors[loop[nearest]]])
        closed += 1
    return Repaired(
        mesh=Mesh(
            vertices=_parted(vertices, faces, APART * diagonal).astype(np.float32),
            faces=faces.astype(np.int32),
            colors=colors,
        ),
        closed=closed,
        open_loops=open_loops,
    )


def _halved(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    colors: NDArray[np.uint8] | None,
    pairs: list[tuple[int, int]],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.uint8] | None]:
    """Insert a new vertex in the middle of each of these edges, in both faces beside it."""
    faces, halves, ends = faces.copy(), [], []
    for pair in pairs:
        middle = len(vertices) + len(ends)
        for h in pair:
            f, k = divmod(h, 3)
            halves.append(faces[f].copy())
            halves[-1][k] = middle
            faces[f, (k + 1) % 3] = middle
        f, k = divmod(pair[0], 3)
        ends.append((faces[f, k], halves[-2][(k + 1) % 3]))
    start, end = np.array(ends).T
    vertices = np.concatenate([vertices, (vertices[start] + vertices[end]) / 2])
    if colors is not None:
        between = (colors[start].astype(np.float64) + colors[end]) / 2
        colors = np.concatenate([colors, np.rint(between).astype(colors.dtype)])
    return vertices, np.concatenate([faces, np.array(halves, np.int32)]), colors


def _parted(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], distance: float
) -> NDArray[np.float64]:
    """Draw vertices that share a place apart a little, each towards its own neighbours.

    Readers that weld by place would otherwise join again what was split.
    """
    _, place, count = np.unique(
        vertices.astype(np.float32), axis=0, return_inverse=True, return_counts=True
    )
    touching = count[place.reshape(-1)] > 1
    if not touching.any():
        return vertices
    start, end = faces.ravel(), np.roll(faces, -1, 1).ravel()
    mine = touching[start]
    start, end = start[mine], end[mine]
    inward = np.zeros_like(vertices)
    np.add.at(inward, start, vertices[end] - vertices[start])
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    return vertices + distance * np.divide(
        inward, length, out=np.zeros_like(inward), where=length > 0
    )


def _close(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], loop: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int32], int]:
    """Close one hole with a patch; return the mesh, and how many vertices that added."""
    # The patch runs along the rim the other way round than the faces beside it.
    loop = loop[::-1]
    rim = vertices[loop]
    patch = Patch(rim, _outward(vertices, faces, loop), _chords(faces, loop))
    edge = float(np.linalg.norm(rim - np.roll(rim, 1, 0), axis=1).mean())
    patch.refine(COARSE * edge)
    inner = patch.points[len(loop) :]
    names = np.concatenate([loop, len(vertices) + np.arange(len(inner))])
    all_vertices = np.concatenate([vertices, inner])
    all_faces = np.concatenate([faces, names[patch.triangles()].astype(np.int32)])
    if len(inner):
        all_vertices[len(vertices) :] = _thin_plate(all_vertices, all_faces, len(vertices))
    return all_vertices, all_faces, len(inner)


def _chords(faces: NDArray[np.int32], loop: NDArray[np.int64]) -> set[tuple[int, int]]:
    """List edges of the mesh that join two vertices of the loop, numbered as in the loop."""
    number = {vertex: i for i, vertex in enumerate(loop.tolist())}
    near = faces[np.isin(faces, loop).sum(1) >= 2].tolist()
    edges = (e for a, b, c in near for e in ((a, b), (b, c), (c, a)))
    numbered = ((number[a], number[b]) for a, b in edges if a in number and b in number)
    return {(min(e), max(e)) for e in numbered}


def _outward(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], loop: NDArray[np.int64]
) -> NDArray[np.float64]:  # [n, 3]
    """Compute unit normals beside each edge of the loop, from each vertex to the next."""
    at_rim = np.isin(faces, loop).sum(1) >= 2
    of_edge: dict[tuple[int, int], NDArray[np.float64]] = {}
    for a, b, c in faces[at_rim].tolist():
        normal = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        normal = normal / max(float(np.linalg.norm(normal)), 1e-30)
        of_edge |= {(a, b): normal, (b, c): normal, (c, a): normal}
    following = np.roll(loop, -1)
    return np.array([of_edge[b, a] for a, b in zip(loop.tolist(), following.tolist(), strict=True)])


def _thin_plate(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], first: int
) -> NDArray[np.float64]:  # [V − first, 3]
    """Place the vertices from `first` on so that the surface bends as little as it can.

    Two applications of the graph Laplacian vanish at each of them. The rim and the ring of
    vertices around it are given, which hands the surface's direction at the rim on to the patch.
    """
    near = faces[(faces >= first).any(1)]
    for _ in range(2):  # the rim's faces, and theirs
        near = faces[np.isin(faces, near).any(1)]
    vertex_indices, local = np.unique(near, return_inverse=True)
    local = local.reshape(-1, 3)
    i, j = local.ravel(), np.roll(local, -1, 1).ravel()
    n = len(vertex_indices)
    links = coo_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
    links.data[:] = 1
    degree = np.asarray(links.sum(1)).ravel()
    laplacian = (diags_array(1 / degree) @ links - diags_array(np.ones(n))).tocsr()
    free = np.flatnonzero(vertex_indices >= first)
    own_vertices = np.flatnonzero(vertex_indices < first)
    twice = (laplacian @ laplacian).tocsr()[free]
    right = -(twice[:, own_vertices] @ vertices[vertex_indices[own_vertices]])
    return np.asarray(spsolve(twice[:, free].tocsc(), right), np.float64).reshape(-1, 3)
