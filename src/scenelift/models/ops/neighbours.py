"""Which occupied voxel lies beside which: the table that every convolution on a voxel set shares.

Shape letters in this file: N voxels, K cells of a kernel, B blocks of V voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scenelift.models.ops.lattice import KeySet

__all__ = ["KERNEL", "Neighbours", "VoxelBlocks", "kernel_offsets"]

KERNEL = 3


def kernel_offsets(device: torch.device | None = None) -> Tensor:  # int64 [27, 3]
    """List a kernel's offsets (dx, dy, dz) in the order of its weights: z runs fastest."""
    steps = torch.arange(KERNEL, device=device) - KERNEL // 2
    return torch.cartesian_prod(steps, steps, steps)


class VoxelBlocks(NamedTuple):
    """Voxels in blocks that lack the same neighbours, for kernels that skip cells.

    The last block may have empty places: rows of −1, and no voxel in `order`.
    """

    order: Tensor  # int32 [N], the voxel in each place of the blocks, one block after another
    rows: Tensor  # int32 [B, K, V], rows to gather from: those of the cells that follow
    cells: Tensor  # int32 [B, K], which cells: first those that any voxel of the block has
    counts: Tensor  # int32 [B], how many these are


class Neighbours:
    """Row of every voxel's neighbour in each cell of a kernel.

    Attributes:
        rows: int32 [K, N], the rows to gather features from, −1 where no voxel is.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._blocks: dict[int, VoxelBlocks] = {}

    @classmethod
    def of(
        cls,
        coords: Tensor,  # int [N, 4]: (batch, x, y, z), no repeats
        resolution: int,  # x, y, z lie in 0 … resolution − 1
    ) -> Neighbours:
        """Look up the 27 cells of a 3×3×3 kernel.

        Needs memory for the table and a few keys per voxel.
        """
        side = resolution + KERNEL - 1  # a margin, so that no neighbour wraps into the next row
        batch, x, y, z = coords.long().unbind(1)
        keys = ((batch * side + x + 1) * side + y + 1) * side + z + 1
        voxels = KeySet(keys)
        dx, dy, dz = kernel_offsets(coords.device).unbind(1)
        shifts = (dx * side + dy) * side + dz  # [27]
        rows = torch.full((len(shifts), len(coords)), -1, dtype=torch.int32, device=coords.device)
        for row, shift in zip(rows, shifts, strict=True):
            row.copy_(voxels.rows_of(keys + shift))
        return cls(rows)

    def __len__(self) -> int:
        return self.rows.shape[1]

    def select(self, cells: Sequence[int]) -> Neighbours:
        """Return the table of a kernel that has only some of the cells, in the order given."""
        return Neighbours(self.rows[list(cells)])

    def blocks(self, size: int) -> VoxelBlocks:
        """Return the table in blocks of `size` voxels; made once and cached."""
        if size not in self._blocks:
            self._blocks[size] = self._cut(size)
        return self._blocks[size]

    def _cut(self, size: int) -> VoxelBlocks:
        cells, voxels = self.rows.shape
        neighbour_bits = torch.zeros(
            voxels, dtype=torch.int32, device=self.rows.device
        )  # a bit for a cell
        for cell, row in enumerate(self.rows):
            neighbour_bits |= (row >= 0).int() << cell
        order = neighbour_bits.argsort(stable=True)  # neighbours in space stay near each other
        count = -(-voxels // size)
        rows = self.rows.new_full((cells, count * size), -1)
        for target, source in zip(rows, self.rows, strict=True):  # no second copy of the table
            target[:voxels] = source[order]
        rows = rows.view(cells, count, size).transpose(0, 1)  # [B, K, V]
        present = (rows >= 0).any(2)  # [B, K]
        first = (~present).int().argsort(dim=1, stable=True)
        return VoxelBlocks(
            order=order.int(),
            rows=rows.gather(1, first[..., None].expand(rows.shape)),
            cells=first.int(),
            counts=present.sum(1, dtype=torch.int32),
        )
