"""Which occupied voxel lies beside which: the table that every convolution on a voxel set shares.

Shape letters in this file: N voxels, K kernel width.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from scenelift.ops.lattice import KeySet

__all__ = ["KERNEL", "Neighbours", "kernel_offsets"]

KERNEL = 3


def kernel_offsets(device: torch.device | None = None) -> Tensor:  # int64 [27, 3]
    """Offsets (dx, dy, dz) of a kernel's cells in the order of its weights: z runs fastest."""
    steps = torch.arange(KERNEL, device=device) - KERNEL // 2
    return torch.cartesian_prod(steps, steps, steps)


class Neighbours:
    """Row of every voxel's neighbour in each cell of a 3×3×3 kernel.

    Attributes:
        rows: int32 [27, N], the rows to gather features from, −1 where no voxel is.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    @classmethod
    def of(
        cls,
        coords: Tensor,  # int [N, 4]: (batch, x, y, z), no repeats
        resolution: int,  # x, y, z lie in 0 … resolution − 1
    ) -> Neighbours:
        """Look up each voxel's neighbours; needs memory for the table and a few keys per voxel."""
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

    def of_parents(self, children: int) -> Neighbours:
        """The table for features that `children` consecutive voxels share.

        Row i of the features stands for the voxels i · children … (i + 1) · children − 1, so a
        convolution of subdivided features need not copy them.
        """
        return Neighbours(self.rows // children)  # −1 stays −1: the division rounds down

    @cached_property
    def by_occupancy(self) -> tuple[Tensor, Tensor]:  # int32 [N], int32 [N]
        """Voxels sorted by which neighbours they have: that as a bit mask, and the voxels' rows."""
        bits = torch.zeros(len(self), dtype=torch.int32, device=self.rows.device)
        for cell, row in enumerate(self.rows):
            bits |= (row >= 0).int() << cell
        masks, order = torch.sort(bits, stable=True)
        return masks, order.int()
