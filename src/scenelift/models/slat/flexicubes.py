"""FlexiCubes on the voxels that a decoder fills, never on the whole grid.

Dual marching cubes with learned freedom (Shen et al., "Flexible Isosurface Extraction for
Gradient-Based Mesh Optimization", 2023): grid vertices are deformed, and weights of the corners
(alpha) and edges (beta) of a cube move its dual vertices, one (gamma) chooses how its quads split.

Where no voxel is, the distance is 1: outside. So the surface runs through cubes that share a corner
with a voxel, whether or not they are voxels themselves, and through no others. Which corners and
cubes exist is asked of sorted keys. One lattice numbers both, a cube having the key of its lowest
corner; it has a margin, so that a step off the grid never lands on another row.

The order of vertices and faces is that of the published extraction on a dense grid.

Shape letters in this file: M voxels, C their corners, S cubes that the surface passes, V vertices,
Q quads; n resolution of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from scenelift.models.layers.sparse import SparseTensor
from scenelift.models.ops.lattice import KeySet, lattice_keys
from scenelift.models.slat.flexicubes_tables import CORNERS, EDGES, case_tables

__all__ = ["SurfaceMesh", "extract_mesh"]

# Where the values lie among a voxel's 101 channels.
_SDF, _DEFORM, _BETA, _ALPHA, _GAMMA, _COLOR = 0, 8, 32, 44, 52, 53
_ATTRIBUTES = 6  # colour and normal

# Order of the edges that start in one grid vertex, by their direction: the ends of y edges, which
# run downwards, come first among the grid's vertices, then those of z, then those of x edges.
_RANK_OF_AXIS = (2, 0, 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfaceMesh:
    """A triangle mesh in the published object frame (z up), counter-clockwise from outside.

    Attributes:
        vertices: float32 [V, 3], in [−0.5, 0.5]³ but for deformed vertices on its border.
        faces: int32 [F, 3].
        attributes: float32 [V, 6] in 0…1: sRGB colour, then the decoder's normal.
    """

    vertices: Tensor
    faces: Tensor
    attributes: Tensor


class _Lattice:
    """Keys of the grid's vertices, and the steps between them."""

    def __init__(self, resolution: int, device: torch.device) -> None:
        self.resolution = resolution
        self.side = resolution + 3  # vertices 0 … n, and a margin at either end
        self.corners = torch.tensor(CORNERS, device=device)  # [8, 3]
        self.corner_steps = self.steps(self.corners)  # [8]

    def keys(self, points: Tensor) -> Tensor:  # int [..., 3] -> [...]
        return lattice_keys(points + 1, self.side)

    def steps(self, offsets: Tensor) -> Tensor:  # int [..., 3] -> [...]
        return lattice_keys(offsets, self.side)

    def points(self, keys: Tensor) -> Tensor:  # [...] -> [..., 3]
        s = self.side
        return torch.stack([keys // s**2, keys // s % s, keys % s], -1) - 1


class _Corners(NamedTuple):
    """Averaged values at the C grid vertices of voxels; one more row holds those elsewhere."""

    keys: KeySet
    sorted_keys: Tensor  # [C]
    sdf: Tensor  # [C + 1]
    shift: Tensor  # [C + 1, 3] of the position
    attributes: Tensor  # [C + 1, 6]


class _Cubes(NamedTuple):
    """The S cubes that the surface passes, in lexicographic order."""

    keys: Tensor  # [S]
    cases: Tensor  # int64 [S], ambiguous ones resolved
    corners: Tensor  # int64 [S, 8], rows of their corners' values
    beta: Tensor  # [S, 12]
    alpha: Tensor  # [S, 8]
    gamma: Tensor  # [S]


class _DualVertices(NamedTuple):
    """Vertices of the mesh: one for each patch of each cube."""

    positions: Tensor  # [V, 3]
    attributes: Tensor  # [V, 6]
    gamma: Tensor  # [V], of its cube
    first: Tensor  # int64 [S], number of each cube's first vertex


class _Tables(NamedTuple):
    """`CaseTables` and the cube's edges as tensors."""

    patch_of_edge: Tensor
    patch_edges: Tensor
    patches: Tensor
    ambiguous: Tensor
    across: Tensor
    edges: Tensor  # int64 [12, 2]

    @classmethod
    def on(cls, device: torch.device) -> _Tables:
        cases = {n: torch.tensor(t, device=device) for n, t in case_tables()._asdict().items()}
        return cls(**cases, edges=torch.tensor(EDGES, device=device))


def extract_mesh(features: SparseTensor) -> SurfaceMesh:
    """Extract the surface from the mesh decoder's features.

    Args:
        features: float [M, 101] of the voxels of one object.

    Returns:
        The mesh; without vertices where no distance is negative.
    """
    feats, voxels = features.feats, features.voxels
    if feats.shape[1] != _COLOR + _ATTRIBUTES * len(CORNERS):
        raise ValueError(f"feats: expected [{len(voxels)}, 101], got {list(feats.shape)}")
    device = feats.device
    tables = _Tables.on(device)
    lattice = _Lattice(voxels.resolution, device)
    voxel_keys = lattice.keys(voxels.coords[:, 1:])
    owned = KeySet(voxel_keys)

    corners = _average_corners(feats, voxel_keys, owned, lattice)
    cubes = _find_cubes(feats, owned, corners, lattice, tables)
    vertices = _place_vertices(cubes, corners, lattice, tables)
    faces = _connect(cubes, vertices, corners, lattice, tables)
    return SurfaceMesh(vertices=vertices.positions, faces=faces, attributes=vertices.attributes)


def _average_corners(
    feats: Tensor, voxel_keys: Tensor, owned: KeySet, lattice: _Lattice
) -> _Corners:
    """Average the values that the voxels around a grid vertex predict for it."""
    n = lattice.resolution
    keys = (voxel_keys[:, None] + lattice.corner_steps).unique()  # [C]
    # The last row stays: 1 for the distance, 0 for what is added or passes a sigmoid.
    values = feats.new_zeros(len(keys) + 1, 1 + 3 + _ATTRIBUTES, dtype=torch.float32)
    count = values.new_zeros(len(keys), 1)
    # Voxel by voxel in a fixed order, not scattered: sums that never depend on the schedule.
    for j, step in enumerate(lattice.corner_steps):
        rows = owned.rows_of(keys - step)
        present = (rows >= 0)[:, None]
        rows = rows.clamp(min=0)
        for column, first, width in ((0, _SDF, 1), (1, _DEFORM, 3), (4, _COLOR, _ATTRIBUTES)):
            start = first + width * j
            part = feats[:, start : start + width].index_select(0, rows).float()
            values[:-1, column : column + width] += part * present
        count += present
    values[:-1] /= count
    values[:-1, 0] -= 1 / n  # the decoder learned distances with this bias
    values[-1, 0] = 1
    return _Corners(
        keys=KeySet(keys),
        sorted_keys=keys,
        sdf=values[:, 0].contiguous(),
        # Half a cell at most, and a little less, so that cubes never turn inside out.
        shift=values[:, 1:4].tanh() * ((1 - 1e-8) / (2 * n)),
        attributes=values[:, 4:].sigmoid(),
    )


def _find_cubes(
    feats: Tensor, owned: KeySet, corners: _Corners, lattice: _Lattice, tables: _Tables
) -> _Cubes:
    """Find the cubes with corners on both sides, and their cases."""
    inside = corners.sorted_keys[corners.sdf[:-1] < 0]
    inner = KeySet(inside)
    # A cube with both kinds of corner has an edge between them.
    axes = lattice.steps(torch.eye(3, dtype=torch.int64, device=feats.device))
    enclosed = torch.ones_like(inside, dtype=torch.bool)
    for step in (*axes, *-axes):
        enclosed &= inner.rows_of(inside + step) >= 0
    keys = (inside[~enclosed, None] - lattice.corner_steps).unique()
    points = lattice.points(keys)
    keys = keys[((points >= 0) & (points < lattice.resolution)).all(1)]

    cases = torch.zeros(len(keys), dtype=torch.int64, device=feats.device)
    for j, step in enumerate(lattice.corner_steps):
        cases |= (inner.rows_of(keys + step) >= 0).long() << j
    on_surface = (cases > 0) & (cases < 255)
    keys, cases = keys[on_surface], cases[on_surface]
    cases = _resolve_ambiguities(keys, cases, lattice, tables)

    # A cube beyond the voxels has neutral weights.
    rows = owned.rows_of(keys)
    weights = feats[:, _BETA:_COLOR].index_select(0, rows.clamp(min=0)).float()
    weights *= (rows >= 0)[:, None]
    stretch = 0.99 * weights[:, : _GAMMA - _BETA].tanh() + 1
    at_corners = torch.stack([corners.keys.rows_of(keys + s) for s in lattice.corner_steps], 1)
    return _Cubes(
        keys=keys,
        cases=cases,
        corners=torch.where(at_corners < 0, len(corners.sorted_keys), at_corners),
        beta=stretch[:, : _ALPHA - _BETA],
        alpha=stretch[:, _ALPHA - _BETA :],
        gamma=0.99 * weights[:, _GAMMA - _BETA].sigmoid() + 0.005,
    )


def _resolve_ambiguities(
    keys: Tensor, cases: Tensor, lattice: _Lattice, tables: _Tables
) -> Tensor:  # int64 [S]
    """Turn both cubes at a face where their patches would touch: see `flexicubes_tables`."""
    flagged = tables.ambiguous[cases]  # [S]
    row = flagged.nonzero()[:, 0]
    beyond = keys[row] + lattice.steps(tables.across[cases[row]]).to(keys.dtype)
    both = KeySet(keys[row]).rows_of(beyond) >= 0
    return cases.index_copy(0, row, torch.where(both, 255 - cases[row], cases[row]))


def _place_vertices(
    cubes: _Cubes, corners: _Corners, lattice: _Lattice, tables: _Tables
) -> _DualVertices:
    """Put a vertex into each patch: the weighted mean of where the surface crosses its edges."""
    # Numbered by how many vertices their cube has, then by cube, then by patch.
    patches = tables.patches[cubes.cases].long()  # [S]
    by_patches = patches.argsort(stable=True)
    ends = patches[by_patches].cumsum(0)
    first = torch.zeros_like(patches)
    first[by_patches] = ends - patches[by_patches]
    owner = by_patches.repeat_interleave(patches[by_patches])  # [V]
    patch = torch.arange(len(owner), device=owner.device) - first[owner]

    edges = tables.patch_edges[cubes.cases[owner], patch].long()  # [V, 7]
    base = lattice.points(cubes.keys)[owner]  # [V, 3]
    total = corners.sdf.new_zeros(len(owner), 1)
    position = corners.sdf.new_zeros(len(owner), 3)
    attributes = corners.sdf.new_zeros(len(owner), _ATTRIBUTES)
    for edge in edges.unbind(1):
        beta = cubes.beta[owner, edge.clamp(min=0)] * (edge >= 0)  # [V]
        ends_at = tables.edges[edge.clamp(min=0)].unbind(1)  # 2 × [V], corners of the cube
        rows = [cubes.corners[owner, corner] for corner in ends_at]
        s0, s1 = (
            corners.sdf[row] * cubes.alpha[owner, corner]
            for row, corner in zip(rows, ends_at, strict=True)
        )
        x0, x1 = (
            (base + lattice.corners[corner]) / lattice.resolution - 0.5 + corners.shift[row]
            for row, corner in zip(rows, ends_at, strict=True)
        )
        c0, c1 = (corners.attributes[row] for row in rows)
        # Places past the last edge of a patch repeat edge 0, which may not be crossed there.
        span = torch.where(edge >= 0, s1 - s0, 1)
        s0, s1, span, beta = s0[:, None], s1[:, None], span[:, None], beta[:, None]
        position += beta * ((x0 * s1 - x1 * s0) / span)
        attributes += beta * ((c0 * s1 - c1 * s0) / span)
        total += beta
    return _DualVertices(position / total, attributes / total, cubes.gamma[owner], first)


def _connect(
    cubes: _Cubes, vertices: _DualVertices, corners: _Corners, lattice: _Lattice, tables: _Tables
) -> Tensor:  # int32 [2 Q, 3]
    """Span a quad over each crossed edge that four cubes share, and split it."""
    patch = tables.patch_of_edge[cubes.cases]  # int8 [S, 12]
    cube, edge = (patch >= 0).nonzero().unbind(1)  # cube by cube
    start, end = tables.edges[edge].unbind(1)
    axis = (lattice.corners[end] - lattice.corners[start]).abs().argmax(1)
    rank = torch.tensor(_RANK_OF_AXIS, device=axis.device)[axis]
    edge_keys = (cubes.keys[cube] + lattice.corner_steps[start]).long() * 3 + rank

    edge_keys, order = edge_keys.sort(stable=True)
    _, cube_counts = edge_keys.unique_consecutive(return_counts=True)
    begin = cube_counts.cumsum(0) - cube_counts
    around = torch.arange(4, device=begin.device)
    members = order[begin[cube_counts == 4, None] + around]  # [Q, 4], cubes in lexicographic order
    vertex = vertices.first[cube[members]] + patch[cube[members], edge[members]]

    one = members[:, 0]
    outside = corners.sdf[cubes.corners[cube[one], start[one]]] > 0
    quads = torch.cat([vertex[outside][:, [0, 1, 3, 2]], vertex[~outside][:, [2, 3, 1, 0]]])
    g = vertices.gamma[quads]
    along = (g[:, 0] * g[:, 2] > g[:, 1] * g[:, 3])[:, None]
    faces = torch.where(along, quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 3, 1, 2]])
    return faces.view(-1, 3).int()
