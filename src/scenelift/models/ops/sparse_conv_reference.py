"""Submanifold convolution in plain PyTorch, on any device and in any floating-point type.

Shape letters in this file: M rows of features, N voxels, K cells, I channels in, O channels out.
"""

from __future__ import annotations

from torch import Tensor

from scenelift.models.ops.neighbours import Neighbours

__all__ = ["gather_matmul"]

# Bytes of features gathered at a time. One matrix product for all cells adds up in its own
# accumulator, which is float32 for half types; its price is the gathered copy, so that is bounded.
_CHUNK_BYTES = 128 << 20


def gather_matmul(
    feats: Tensor,  # [M, I]
    neighbours: Neighbours,  # of N voxels in K cells
    weight: Tensor,  # [O, …, I], K cells
    bias: Tensor,  # [O]
) -> Tensor:  # [N, O]
    """Gather each voxel's neighbours, then multiply: see `SparseConv`."""
    cells, voxels = neighbours.rows.shape
    kernel = weight.to(feats.dtype).flatten(1).T  # [K I, O]
    bias = bias.to(feats.dtype)
    out = feats.new_zeros(voxels, len(weight))
    step = max(1, _CHUNK_BYTES // (cells * feats.shape[1] * feats.element_size()))
    for start in range(0, voxels, step):
        rows = neighbours.rows[:, start : start + step].T.flatten()  # [n · K]
        around = feats.index_select(0, rows.clamp(min=0))  # [n · K, I]
        around.masked_fill_((rows < 0)[:, None], 0)
        out[start : start + step] = (around.view(-1, len(kernel)) @ kernel).add_(bias)
    return out
