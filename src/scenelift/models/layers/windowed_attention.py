"""Attention among the voxels of a window, for the decoders.

Windows hold between one voxel and all their cells. They are sorted into batches of similar size,
padded within a batch only, so that the work stays near that of the voxels there are.

Shape letters in this file: N voxels, H heads, E channels of a head, D = H · E width, G windows of
a batch, L places in each.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.attention import head_channels
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.sparse import Voxels

__all__ = ["WindowedSelfAttention", "Windows", "attend_in_windows"]

_SMALLEST_BATCH_LENGTH = 32


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """Windows of similar size, padded to one length.

    Attributes:
        rows: int64 [G, L], the voxel in each place; any voxel where the place is empty.
        occupied: bool [G, L], which places hold a voxel.
        voxels: int64 [n], all voxels of these windows.
        places: int64 [n], where each of them lies in the flattened [G, L].
    """

    rows: Tensor
    occupied: Tensor
    voxels: Tensor
    places: Tensor


@dataclass(frozen=True, eq=False)
class Windows:
    """A partition of N voxels into windows, by cutting space into cubes."""

    batches: tuple[WindowBatch, ...]

    @classmethod
    def of(cls, voxels: Voxels, size: int, shift: int) -> Windows:
        """Voxels share a window where their coordinates + shift, divided by size, agree.

        Cubes cut by the border of the grid are windows of their own; nothing wraps around.
        Waits for the device once, to learn the windows' sizes.
        """
        if not len(voxels):
            return cls(())
        side = (voxels.resolution - 1 + shift) // size + 1
        batch, cells = voxels.coords[:, 0].long(), (voxels.coords[:, 1:].long() + shift) // size
        x, y, z = cells.unbind(1)
        keys = ((batch * side + x) * side + y) * side + z
        _, window, counts = keys.unique(return_inverse=True, return_counts=True)
        order = window.argsort(stable=True)  # voxels by window
        starts = counts.cumsum(0) - counts

        batches = []
        longest, shortest, length = int(counts.max()), 0, _SMALLEST_BATCH_LENGTH
        while shortest < longest:
            windows_of_length = ((counts > shortest) & (counts <= length)).nonzero()[:, 0]
            if len(windows_of_length):
                place = torch.arange(length, device=keys.device)
                filled = place < counts[windows_of_length, None]  # [G, L]
                rows = order[torch.where(filled, starts[windows_of_length, None] + place, 0)]
                places = filled.flatten().nonzero()[:, 0]
                batches.append(WindowBatch(rows, filled, rows.flatten()[places], places))
            shortest, length = length, 2 * length
        return cls(tuple(batches))


def attend_in_windows(
    q: Tensor,  # [N, H, E]
    k: Tensor,  # [N, H, E]
    v: Tensor,  # [N, H, E]
    windows: Windows,  # of the N voxels
) -> Tensor:  # [N, H, E]
    """Softmax attention of each voxel to all voxels of its window, with scale 1/√E."""
    out = torch.zeros_like(v)
    for batch in windows.batches:
        queries, keys, values = (x[batch.rows].transpose(1, 2) for x in (q, k, v))  # [G, H, L, E]
        attended_values = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=batch.occupied[:, None, None, :]
        )
        attended_values = attended_values.transpose(1, 2).flatten(0, 1)  # [G · L, H, E]
        out.index_copy_(0, batch.voxels, attended_values.index_select(0, batch.places))
    return out


class WindowedSelfAttention(nn.Module):
    """Self-attention within windows; they are given, since blocks alternate between two sets."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        head_channels(width, heads)
        self.heads = heads
        self.to_qkv = Linear(width, 3 * width)
        self.to_out = Linear(width, width)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:  # [N, D] -> [N, D]
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)
        return self.to_out(attend_in_windows(q, k, v, windows).flatten(1))
