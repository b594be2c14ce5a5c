"""Topology of meshes: half-edges, manifold vertices, boundary loops, components.

Half-edge 3 f + k runs from corner k of face f to its next corner. Shape letters: F faces, V
vertices, H = 3 F half-edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from scenelift.jit import compiled, kernel_array

__all__ = [
    "boundary_loops",
    "components",
    "doubled_edges",
    "is_closed",
    "split_to_manifold",
    "twins",
    "without_unused",
]


def twins(vertices: NDArray, faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Find each half-edge's partner: the one that runs the other way on the same edge.

    Where more than two faces share an edge, those partners are chosen between which the same
    solid lies, so that two solids that touch along an edge come apart there.

    Args:
        vertices: [V, 3].
        faces: [F, 3], no corner twice in a face.

    Returns:
        [H], −1 for half-edges without a partner. Partners of partners are oneself.
    """
    start = faces.astype(np.int64).ravel()
    end = np.roll(faces, -1, 1).astype(np.int64).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    key = low * (int(start.max(initial=0)) + 1) + high
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    count = np.diff(np.append(first, len(order)))
    twin = np.full(len(start), -1, np.int64)
    pair = first[count == 2]
    a, b = order[pair], order[pair + 1]
    opposed = start[a] == end[b]  # two faces that run the same way do not agree on a side
    a, b = a[opposed], b[opposed]
    twin[a], twin[b] = b, a
    for begin, size in zip(first[count > 2], count[count > 2], strict=True):
        _pair_around(np.asarray(vertices, np.float64), faces, order[begin : begin + size], twin)
    return twin


def _pair_around(
    vertices: NDArray[np.float64],
    faces: NDArray[np.int32],
    around: NDArray[np.int64],  # half-edges on one edge
    twin: NDArray[np.int64],  # written
) -> None:
    """Pair the half-edges on one edge by their faces' angle about it."""
    face, corner = around // 3, around % 3
    start = faces[face, corner]
    low = int(min(faces[face[0], corner[0]], faces[face[0], (corner[0] + 1) % 3]))
    high = int(max(faces[face[0], corner[0]], faces[face[0], (corner[0] + 1) % 3]))
    axis = vertices[high] - vertices[low]
    axis = axis / max(float(np.linalg.norm(axis)), 1e-30)
    out = vertices[faces[face, (corner + 2) % 3]] - vertices[low]
    out -= (out @ axis)[:, None] * axis
    across = np.cross(axis, out[0])
    angle = np.arctan2(out @ across, out @ out[0] * np.linalg.norm(axis))
    # About the axis low → high, the inside of a face that runs with it lies clockwise of it: its
    # partner, which runs against it, is the next one in that sense.
    ordered = np.argsort(-angle, kind="stable")
    forward = start[ordered] == low
    for i in np.flatnonzero(forward):
        partner = (i + 1) % len(ordered)
        if not forward[partner]:
            h, g = around[ordered[i]], around[ordered[partner]]
            twin[h], twin[g] = g, h


def split_to_manifold(
    faces: NDArray[np.int32], twin: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Give every fan of faces its own vertex.

    Returns:
        Faces [F, 3] and, for each new vertex, the old one it stands at [V'].
    """
    h = np.flatnonzero(twin >= 0)
    g = twin[h]
    following = lambda e: e - e % 3 + (e + 1) % 3  # noqa: E731
    ends = np.concatenate([h, following(h)]), np.concatenate([following(g), g])
    size = faces.size
    graph = coo_matrix((np.ones(len(ends[0]), np.int8), ends), shape=(size, size))
    count, corner_vertex = connected_components(graph, directed=False)
    place = np.zeros(count, np.int64)
    place[corner_vertex] = faces.ravel()
    return corner_vertex.reshape(-1, 3).astype(np.int32), place


def doubled_edges(vertices: NDArray, faces: NDArray[np.int32]) -> list[tuple[int, int]]:
    """List half-edge pairs whose edge has another pair, except one of each; no face occurs twice.

    Where a surface touches itself along an edge and is joined around both of its ends, no vertex
    can be split: there are two edges between the same two vertices.
    """
    start, end = faces.astype(np.int64).ravel(), np.roll(faces, -1, 1).astype(np.int64).ravel()
    low, high = np.minimum(start, end), np.maximum(start, end)
    _, edge, count = np.unique(
        low * (int(start.max(initial=0)) + 1) + high, return_inverse=True, return_counts=True
    )
    crowded = np.flatnonzero(count[edge] > 2)
    if not len(crowded):
        return []
    twin = twins(vertices, faces)
    edges_to_leave: set[int] = set()
    changed_faces: set[int] = set()
    pairs = []
    for h in crowded.tolist():
        g = int(twin[h])
        if g < h:  # no partner, or seen from the other side
            continue
        if edge[h] not in edges_to_leave:
            edges_to_leave.add(edge[h])
        elif not {h // 3, g // 3} & changed_faces:
            changed_faces |= {h // 3, g // 3}
            pairs.append((h, g))
    return pairs


def boundary_loops(faces: NDArray[np.int32], twin: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """List the holes of a manifold mesh, each as the vertices along its half-edges.

    Args:
        faces, twin: of `split_to_manifold`: each vertex has at most one boundary half-edge out.
    """
    open_edges = np.flatnonzero(twin < 0)
    start = faces.ravel()[open_edges]
    end = np.roll(faces, -1, 1).ravel()[open_edges]
    following = dict(zip(start.tolist(), end.tolist(), strict=True))
    loops = []
    while following:
        at, then = following.popitem()
        loop = [at]
        while then != loop[0]:
            loop.append(then)
            then = following.pop(then)
        loops.append(np.array(loop))
    return sorted(loops, key=len)


def components(faces: NDArray[np.int32], vertex_count: int) -> NDArray[np.int32]:  # [F]
    """Number the connected component of every face; shared vertices connect."""
    return _components(kernel_array(faces, np.int32), vertex_count)


@compiled
def _components(faces, vertex_count):
    """Find components by union and find: each vertex points towards its component's first."""
    parent = np.arange(vertex_count)
    for f in range(len(faces)):
        root = _root(parent, faces[f, 0])
        for k in range(1, 3):
            other = _root(parent, faces[f, k])
            root, child = min(root, other), max(root, other)
            parent[child] = root
    number = np.full(vertex_count, np.int32(-1), np.int32)
    label = np.zeros(len(faces), np.int32)
    count = np.int32(0)
    for f in range(len(faces)):
        root = _root(parent, faces[f, 0])
        if number[root] < 0:
            number[root] = count
            count += np.int32(1)
        label[f] = number[root]
    return label


@compiled
def _root(parent, vertex):
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]  # half the way for whoever comes next
        vertex = parent[vertex]
    return vertex


def without_unused(
    faces: NDArray[np.int32], vertex_count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Drop unused vertices: return renumbered faces, and the numbers of the vertices in use."""
    there = np.zeros(vertex_count, np.bool_)
    there[faces] = True
    number = np.cumsum(there, dtype=np.int32) - np.int32(1)
    return number[faces], np.flatnonzero(there)


def is_closed(faces: NDArray[np.int32]) -> bool:
    """Return whether the mesh is watertight: every half-edge has exactly one partner."""
    if not len(faces):
        return False
    start, end = faces.astype(np.int64).ravel(), np.roll(faces, -1, 1).astype(np.int64).ravel()
    size = int(start.max()) + 1
    forward, backward = np.sort(start * size + end), np.sort(end * size + start)
    return bool((np.diff(forward) > 0).all() and (forward == backward).all())
