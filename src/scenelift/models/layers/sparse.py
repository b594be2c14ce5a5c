"""Features on occupied voxels, and the layers that act on them.

Shape letters in this file: N voxels, M voxels of the grid with half the resolution, C channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from scenelift.models.ops.lattice import KeySet, lattice_keys
from scenelift.models.ops.neighbours import Neighbours
from scenelift.models.ops.sparse_conv import SparseConv
from scenelift.models.ops.sparse_conv_reference import gather_matmul

__all__ = [
    "Halving",
    "SparseTensor",
    "SubmanifoldConv",
    "VoxelConv",
    "Voxels",
    "use_sparse_conv",
]

_CHILDREN = 8


@dataclass(frozen=True, eq=False)
class Voxels:
    """Occupied voxels of a cubic grid; tables derived from them are built once and kept.

    Attributes:
        coords: int32 [N, 4]: (batch, x, y, z), no repeats, x, y, z in 0 … resolution − 1.
        resolution: cells along an axis of the grid.
    """

    coords: Tensor
    resolution: int

    def __len__(self) -> int:
        return len(self.coords)

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours.of(self.coords, self.resolution)

    @cached_property
    def halved(self) -> Halving:
        """Return the voxels of the grid with half the resolution, in lexicographic order."""
        side = math.ceil(self.resolution / 2)
        batch, cells = self.coords[:, 0].long(), self.coords[:, 1:] // 2
        keys, parent = (batch * side**3 + lattice_keys(cells, side)).unique(return_inverse=True)
        coords = torch.stack(
            [keys // side**3, keys // side**2 % side, keys // side % side, keys % side], 1
        )
        # Which of its eight places a child takes makes (parent, place) a key without repeats.
        place = lattice_keys(self.coords[:, 1:] % 2, 2)
        slots = torch.arange(_CHILDREN * len(keys), device=keys.device)
        children = KeySet(parent * _CHILDREN + place).rows_of(slots).view(-1, _CHILDREN)
        return Halving(Voxels(coords.int(), side), parent, children)

    def subdivide(self) -> Voxels:
        """Split each voxel into eight children: row i's in rows 8·i … 8·i + 7, z fastest."""
        steps = torch.arange(2, dtype=torch.int32, device=self.coords.device)
        corners = torch.cartesian_prod(steps[:1], steps, steps, steps)  # [8, 4], batch unchanged
        doubled = self.coords.int() * self.coords.new_tensor([1, 2, 2, 2], dtype=torch.int32)
        return Voxels((doubled[:, None] + corners).flatten(0, 1), 2 * self.resolution)

    def children(self, alive: Tensor) -> Voxels:  # bool [N, 8] -> M voxels
        """Select some of each voxel's eight children, parent by parent, x fastest."""
        row, k = alive.nonzero().unbind(1)  # [M]
        step = torch.stack([torch.zeros_like(k), k & 1, k >> 1 & 1, k >> 2 & 1], 1)
        doubled = self.coords.int() * self.coords.new_tensor([1, 2, 2, 2], dtype=torch.int32)
        return Voxels(doubled[row] + step.int(), 2 * self.resolution)


@dataclass(frozen=True, eq=False)
class Halving:
    """Assigns voxels to the cells of a grid with half the resolution.

    Attributes:
        voxels: the M occupied cells of the coarse grid.
        parent: int64 [N], the cell each voxel falls into.
        children: int64 [M, 8], the voxels in each cell, −1 where there is none.
    """

    voxels: Voxels
    parent: Tensor
    children: Tensor

    def down(self, feats: Tensor) -> Tensor:  # [N, C] -> [M, C]
        """Pool into each cell the sum over its children divided by their number plus one.

        The published model averages its children together with an initial zero, and its weights
        were trained that way.
        """
        present = (self.children >= 0)[..., None]  # [M, 8, 1]
        gathered = feats.index_select(0, self.children.clamp(min=0).flatten()).float()
        total = (gathered.view(*self.children.shape, -1) * present).sum(1)
        return (total / (present.sum(1) + 1)).to(feats.dtype)

    def up(self, feats: Tensor) -> Tensor:  # [M, C] -> [N, C]
        """Give each voxel the features of its cell."""
        return feats.index_select(0, self.parent)


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features on voxels.

    Attributes:
        feats: float [N, C], rows in the order of the voxels.
        voxels: N occupied voxels.
    """

    feats: Tensor
    voxels: Voxels

    def __post_init__(self) -> None:
        if self.feats.ndim != 2 or len(self.feats) != len(self.voxels):
            raise ValueError(
                f"feats: expected [{len(self.voxels)}, channels], got {list(self.feats.shape)}"
            )


class VoxelConv(nn.Module):
    """3×3×3 convolution whose output lives on the voxels of its input.

    Its weights are in the published layout: output channels first, input channels last.

    Attributes:
        convolve: the implementation; `use_sparse_conv` sets it for a whole network.
    """

    convolve: SparseConv

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_channels, 3, 3, 3, channels))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.convolve = gather_matmul

    def forward(
        self,
        feats: Tensor,  # [M, C]
        neighbours: Neighbours,  # of N voxels, into the M rows of feats
    ) -> Tensor:  # [N, C']
        return self.convolve(feats, neighbours, self.weight, self.bias)

    def on_children(
        self,
        feats: Tensor,  # [N, C]
        neighbours: Neighbours,  # of the N voxels
    ) -> Tensor:  # [8 N, C']
        """Convolve the features of subdivided voxels, of which all eight children are equal.

        A child's 27 neighbours belong to 8 of the voxels, so the weights of those that share one
        are added before anything is multiplied: 8 products take the place of 27.
        """
        out = feats.new_zeros(len(neighbours), _CHILDREN, len(self.bias))
        for child, kernel in enumerate(_fold(self.weight)):
            table = neighbours.select(_PARENTS[child])
            out[:, child] = self.convolve(feats, table, kernel, self.bias)
        return out.flatten(0, 1)


class SubmanifoldConv(nn.Module):
    """A `VoxelConv` under the name that TRELLIS's and SAM 3D Objects' files have for it."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = VoxelConv(channels, out_channels)

    def forward(self, feats: Tensor, neighbours: Neighbours) -> Tensor:  # [M, C] -> [N, C']
        return self.conv(feats, neighbours)

    def on_children(self, feats: Tensor, neighbours: Neighbours) -> Tensor:  # [N, C] -> [8 N, C']
        """Convolve subdivided voxels: see `VoxelConv.on_children`."""
        return self.conv.on_children(feats, neighbours)


def _parents_along_axis() -> Tensor:  # float32 [2, 2, 3]
    """Whether child a sees its neighbour at step d − 1 in its voxel's neighbour at step a − 1 + k.

    Indexed [a, k, d].
    """
    child, k, d = torch.arange(2)[:, None, None], torch.arange(2)[:, None], torch.arange(3)
    return ((child + d - 1).div(2, rounding_mode="floor") == child - 1 + k).float()


def _fold(weight: Tensor) -> Tensor:  # [C', 3, 3, 3, C] -> [8, C', 8, C]
    """Fold weights by child and by neighbour of its voxel: see `VoxelConv.on_children`."""
    along = _parents_along_axis().to(weight.device)
    folded = torch.einsum("oxyzi,apx,bqy,crz->abcopqri", weight.float(), along, along, along)
    return folded.to(weight.dtype).flatten(4, 6).flatten(0, 2)


# Which cells of the 27 around a voxel hold what a child (a, b, c) sees: steps a − 1 and a along x.
_PARENTS = tuple(
    tuple(9 * x + 3 * y + z for x in (a, a + 1) for y in (b, b + 1) for z in (c, c + 1))
    for a in range(2)
    for b in range(2)
    for c in range(2)
)


def use_sparse_conv(network: nn.Module, conv: SparseConv) -> None:
    """Choose the implementation of all sparse convolutions of a network.

    Networks are built with the reference, which runs anywhere; where they end up decides what is
    faster (`scenelift.models.ops.sparse_conv.best_sparse_conv`).
    """
    for module in network.modules():
        if isinstance(module, VoxelConv):
            module.convolve = conv
