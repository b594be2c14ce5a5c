"""Makes a triangle mesh of seven numbers on every fine voxel: a vertex a voxel, faces round edges.

A voxel's vertex lies in or near it. Where the surface crosses an edge of the grid, the four voxels
round that edge are joined to a quad. Nothing says which side of it is outside.

Shape letters in this file: N voxels, V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scenelift.models.ops.lattice import KeySet, lattice_keys

__all__ = ["DualGrid", "dual_grid_mesh"]

# How far beyond its voxel a vertex may lie, in voxels (`voxel_margin`).
MARGIN = 0.5

# The four voxels round an edge along x, y and z that starts at (1, 1, 1) of the first, as steps.
_RINGS = (
    ((0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0)),
    ((0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)),
    ((0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
)


@dataclass(frozen=True, slots=True, eq=False)
class DualGrid:
    """The shape decoder's output for every voxel.

    Attributes:
        vertex: float [N, 3], where its vertex lies, from its low corner, in voxels.
        crossed: bool [N, 3], whether the surface crosses its edge along x, y, z.
        weight: float [N], > 0: of its vertex against those beside it in choosing diagonals.
    """

    vertex: Tensor
    crossed: Tensor
    weight: Tensor

    @classmethod
    def of(cls, numbers: Tensor) -> DualGrid:  # [N, 7]
        """Read the decoder's seven numbers."""
        vertex = (1 + 2 * MARGIN) * numbers[:, :3].sigmoid() - MARGIN
        return cls(vertex, numbers[:, 3:6] > 0, F.softplus(numbers[:, 6]))


def dual_grid_mesh(
    cells: Tensor,  # int [N, 3]
    grid: DualGrid,  # of N voxels
    resolution: int,  # cells lie in 0 … resolution − 1
) -> tuple[Tensor, Tensor]:
    """Build the mesh in the cube [−½, ½]³.

    Returns:
        Vertices float [N, 3], one a voxel in their order, used or not; faces int64 [F, 3], two
        triangles of a quad after each other, wound either way.
    """
    vertices = (cells + grid.vertex) / resolution - 0.5
    voxels = KeySet(lattice_keys(cells, resolution))
    rings = torch.tensor(_RINGS, device=cells.device)  # [3, 4, 3]
    row, axis = grid.crossed.nonzero().unbind(1)  # [E]
    around = cells[row, None] + rings[axis]  # [E, 4, 3]
    inside = (around < resolution).all(-1)
    quads = voxels.rows_of(lattice_keys(around.clamp(max=resolution - 1), resolution))  # [E, 4]
    quads = quads[(inside & (quads >= 0)).all(1)]
    w = grid.weight[quads]
    first = (w[:, 0] * w[:, 2] > w[:, 1] * w[:, 3])[:, None]
    triangles = torch.where(
        first, quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 3, 1, 2]]
    )  # [Q, 6]
    return vertices, triangles.view(-1, 3)
