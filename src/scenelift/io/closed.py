"""Whether a mesh is closed, found with hash tables and without Python's lock."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array
from scenelift.types import Mesh

__all__ = ["is_closed"]

SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio: spreads keys over a table
HIGH = np.uint64(32)  # bits that are left out: the lower ones of a product are the worse ones


def is_closed(mesh: Mesh) -> bool:
    """Return whether every edge is shared by two faces; vertices at one place are one vertex."""
    places = kernel_array(mesh.vertices + np.float32(0), np.float32).view(np.uint32)  # −0 is 0
    return bool(_is_closed(places, kernel_array(mesh.faces, np.int32)))


@compiled
def _is_closed(places: NDArray[Any], faces: NDArray[Any]) -> Any:
    """Compute it for bits of coordinates [V, 3] and faces [F, 3]; lines and points are no faces."""
    size = 16
    while size < 2 * len(places):
        size *= 2
    owner, same = np.full(size, np.int32(-1), np.int32), np.zeros(len(places), np.int32)
    for v in range(len(places)):
        a, b, c = np.uint64(places[v, 0]), np.uint64(places[v, 1]), np.uint64(places[v, 2])
        key = ((a * SPREAD ^ b) * SPREAD ^ c) * SPREAD
        at = np.int64(key >> HIGH) & (size - 1)
        while owner[at] >= 0:
            other = places[owner[at]]
            if other[0] == a and other[1] == b and other[2] == c:
                break
            at = (at + 1) & (size - 1)
        if owner[at] < 0:
            owner[at] = v
        same[v] = owner[at]

    size = 16
    while size < 6 * len(faces):
        size *= 2
    edges, uses = np.full(size, np.int64(-1), np.int64), np.zeros(size, np.int32)
    for f in range(len(faces)):
        i, j, k = same[faces[f, 0]], same[faces[f, 1]], same[faces[f, 2]]
        if i == j or j == k or k == i:
            continue
        for one, two in ((i, j), (j, k), (k, i)):
            edge = np.int64(min(one, two)) * len(places) + max(one, two)
            at = np.int64(np.uint64(edge) * SPREAD >> HIGH) & (size - 1)
            while edges[at] >= 0 and edges[at] != edge:
                at = (at + 1) & (size - 1)
            edges[at] = edge
            uses[at] += 1
    return (uses[edges >= 0] == 2).all()
