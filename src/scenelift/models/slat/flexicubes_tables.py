"""Case tables of dual marching cubes, derived from the topology of the cube.

A cube's case is the set of its corners that lie inside the surface, bit j for corner j. The surface
crosses the edges whose ends differ, and on every face the crossings are joined in pairs; followed
from face to face the joints close into loops around the cube. Each loop is a patch of the surface,
and dual marching cubes puts one vertex into each patch (Nielson, "Dual Marching Cubes", 2004).

Only on a face whose inside corners are two opposite ones is the pairing a choice. We keep the two
inside corners apart, each cut off by a segment of its own; a neighbour sees the same four corners
and joins them alike.

That choice has one flaw: where both segments of such a face belong to one patch on each side of
it, four quads meet in the edge between the two dual vertices, and the surface is not manifold
(Wenger, "Isosurfaces", 2013: configurations C16 and C19). Then both cubes take the complementary
case instead, 255 − case: the same crossed edges, with the inside corners of the face connected.
`CaseTables.ambiguous` marks the cases to which this can happen: they have just one such face.

Order is part of the definition, since it numbers the vertices of a mesh. A patch has a connected
set of inside corners on one side: patches come in the order of that set's lowest corner. In four
cases (126, 189, 219, 231) two patches have one set between them, each cutting off a single outside
corner: those come in the order of that corner. With this the 256 rows are the published ones
(`tests/models/slat/test_flexicubes_tables.py`).
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORNERS", "EDGES", "CaseTables", "case_tables"]

# Offsets (x, y, z) of the corners: bit 0 of the number is x, bit 1 is y, bit 2 is z.
CORNERS = tuple((j & 1, j >> 1 & 1, j >> 2 & 1) for j in range(8))

# Edges as pairs of corners, in the published decoder's order of its weights. x and z edges run
# upwards and y edges downwards, in every cube alike, so an edge shared by cubes has one direction.
EDGES = (
    *((0, 1), (1, 5), (4, 5), (0, 4)),
    *((2, 3), (3, 7), (6, 7), (2, 6)),
    *((2, 0), (3, 1), (7, 5), (6, 4)),
)

_FACES = tuple(product(range(3), (0, 1)))  # axis, side


class CaseTables(NamedTuple):
    """The patches, edges and neighbours to use in each of the 256 cases.

    Attributes:
        patch_of_edge: int8 [256, 12], which patch an edge belongs to, −1 where it is not crossed.
        patch_edges: int8 [256, 4, 7], the edges of each patch, ascending, filled up with −1.
        patches: int8 [256], number of patches.
        ambiguous: bool [256], whether the case has a face that may have to be turned.
        across: int8 [256, 3], offset of the cube beyond that face; 0 where there is none.
    """

    patch_of_edge: NDArray[np.int8]
    patch_edges: NDArray[np.int8]
    patches: NDArray[np.int8]
    ambiguous: NDArray[np.bool_]
    across: NDArray[np.int8]


@cache
def case_tables() -> CaseTables:
    """Derive the tables: a tenth of a second, once."""
    patch_of_edge = np.full((256, len(EDGES)), -1, np.int8)
    patch_edges = np.full((256, 4, 7), -1, np.int8)
    patches = np.zeros(256, np.int8)
    ambiguous = np.zeros(256, bool)
    across = np.zeros((256, 3), np.int8)
    for case in range(256):
        joints = {face: _joints(case, *face) for face in _FACES}
        groups = _loops([pair for pairs in joints.values() for pair in pairs])
        groups.sort(key=lambda edges: _rank(case, edges))
        patches[case] = len(groups)
        for number, edges in enumerate(groups):
            patch_edges[case, number, : len(edges)] = edges
            patch_of_edge[case, edges] = number

        open_faces = [face for face, pairs in joints.items() if len(pairs) == 2]
        touching = [
            face
            for face in open_faces
            if len({patch_of_edge[case, edge] for pair in joints[face] for edge in pair}) == 1
        ]
        if len(open_faces) == len(touching) == 1:
            axis, side = touching[0]
            ambiguous[case] = True
            across[case, axis] = 1 if side else -1
    tables = CaseTables(patch_of_edge, patch_edges, patches, ambiguous, across)
    for table in tables:
        table.setflags(write=False)  # everybody gets the same ones
    return tables


def _joints(case: int, axis: int, side: int) -> list[tuple[int, int]]:
    """List pairs of crossed edges that the surface connects on one face of the cube."""
    corners = [j for j in range(8) if CORNERS[j][axis] == side]
    inside = [j for j in corners if case >> j & 1]
    crossings = [
        e
        for e, ends in enumerate(EDGES)
        if set(ends) <= set(corners) and len({*ends} & {*inside}) == 1
    ]
    if len(crossings) == 2:
        return [(crossings[0], crossings[1])]
    # None is crossed, or all four are: each inside corner is cut off by the two that meet there.
    around = [[e for e in crossings if j in EDGES[e]] for j in inside] if crossings else []
    return [(first, second) for first, second in around]


def _loops(joints: list[tuple[int, int]]) -> list[list[int]]:
    """List the closed loops that joints form: the edges of each, ascending."""
    loops: list[set[int]] = []
    for pair in joints:
        loops_of_pair = [loop for loop in loops if loop & {*pair}]
        loops = [loop for loop in loops if loop not in loops_of_pair] + [
            set(pair).union(*loops_of_pair)
        ]
    return [sorted(loop) for loop in loops]


def _rank(case: int, edges: list[int]) -> tuple[int, int]:
    """Rank a patch of a case: by the lowest inside corner that it bounds, then outside."""
    ends = {corner for edge in edges for corner in EDGES[edge]}
    inside = {corner for corner in ends if case >> corner & 1}
    bounded: set[int] = set()
    while bounded != inside:
        bounded = inside
        inside = bounded | {
            b for a in bounded for b in range(8) if case >> b & 1 and (a ^ b) in (1, 2, 4)
        }
    return min(bounded), min(corner for corner in ends if not case >> corner & 1)
