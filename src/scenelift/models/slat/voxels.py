"""Chooses which voxels of a structure go on to the second stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["OccupiedVoxels", "cap_voxels", "occupied_voxels", "prune_interior"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OccupiedVoxels:
    """Occupied voxels of one object.

    Attributes:
        coords: int32 [N, 4]: batch 0, x, y, z.
        factor: how many voxels of the decoder's grid one of these is long, 1 or 2. The object's
            scale grows by it.
    """

    coords: Tensor
    factor: int = 1


def occupied_voxels(logits: Tensor) -> Tensor:  # [B, 1, X, Y, Z] -> int32 [N, 4]
    """List batch, x, y, z of positive logits, in lexicographic order."""
    return (logits[:, 0] > 0).nonzero().int()


def prune_interior(coords: Tensor) -> Tensor:  # [N, 4] -> [M, 4], order kept
    """Leave out voxels whose 26 neighbours are all occupied: they cannot be seen."""
    if not len(coords):
        return coords
    index = coords.long()
    index = index - index.min(0).values
    grid = torch.zeros((index.max(0).values + 1).tolist(), device=coords.device)
    grid[index.unbind(1)] = 1
    # The emptiest cell of the neighbourhood, where beyond the bounding box all is empty.
    fullness = -F.max_pool3d(-F.pad(grid, (1, 1, 1, 1, 1, 1))[:, None], 3, stride=1)[:, 0]
    return coords[fullness[index.unbind(1)] == 0]


def cap_voxels(
    coords: Tensor,  # [N, 4], batch 0
    most: int,
    *,
    generator: torch.Generator | None = None,
) -> OccupiedVoxels:
    """Halve the resolution of a structure that is too large, and thin it if it still is.

    The halved structure keeps its place in the grid: it is the middle half of where it was.

    Args:
        coords: occupied voxels.
        most: how many may go on.
        generator: on the CPU, chooses which to keep where halving is not enough.
    """
    if len(coords) <= most:
        return OccupiedVoxels(coords=coords)
    xyz = coords[:, 1:].float()
    low, high = xyz.min(0).values, xyz.max(0).values
    length = high - low + 1
    half = length / 2
    target_low = low + (length - half) / 2
    # A flat structure has one layer to keep: no division by zero, no end before the start.
    target_high = torch.maximum(target_low, target_low + half - 1)
    rounded_coords = ((xyz - low) / (high - low).clamp(min=1) * (half - 1) + target_low).round()
    rounded_coords = torch.minimum(
        torch.maximum(rounded_coords, target_low.trunc()), target_high.trunc()
    ).int()
    halved = torch.cat([coords[:, :1], rounded_coords], 1).unique(dim=0)
    if len(halved) > most:
        rows = torch.randperm(len(halved), generator=generator)[:most]
        halved = halved[rows.to(halved.device)]
    return OccupiedVoxels(coords=halved, factor=2)
