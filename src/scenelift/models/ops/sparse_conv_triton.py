"""Submanifold convolution as one Triton kernel, for GPUs.

An implicit matrix product: a program takes a block of voxels and a block of output channels, and
multiplies the gathered features of one kernel cell after another, leaving out the cells that none
of its voxels has. Tiles are fixed, so nothing is tuned at first use: a kernel compiles in seconds.

Shape letters in this file: M rows of features, N voxels, K cells, I channels in, O channels out.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.models.ops.neighbours import Neighbours

__all__ = ["gather_gemm"]

_VOXELS = 128  # of a block
_CHANNELS_OUT = 128
_CHANNELS_IN = 64


@triton.jit
def _kernel(
    feats,  # [M, I]
    rows,  # [blocks, K, VOXELS], of feats
    cells,  # [blocks, K]
    counts,  # [blocks], cells that a block has
    order,  # [N], where a block's voxels lie in out
    weight,  # [O, K, I]
    bias,  # [O]
    out,  # [N, O]
    N,
    K: tl.constexpr,
    I: tl.constexpr,
    O: tl.constexpr,
    VOXELS: tl.constexpr,
    CHANNELS_OUT: tl.constexpr,
    CHANNELS_IN: tl.constexpr,
):
    # Programs that share voxels follow each other: they find the features in the cache.
    tiles: tl.constexpr = (O + CHANNELS_OUT - 1) // CHANNELS_OUT
    block = tl.program_id(0) // tiles
    o = tl.program_id(0) % tiles * CHANNELS_OUT + tl.arange(0, CHANNELS_OUT)
    place = tl.arange(0, VOXELS)
    i = tl.arange(0, CHANNELS_IN)

    total = tl.zeros((VOXELS, CHANNELS_OUT), tl.float32)
    # One loop over cells and channels, so that loads run ahead from one cell to the next.
    chunks: tl.constexpr = (I + CHANNELS_IN - 1) // CHANNELS_IN
    for step in range(tl.load(counts + block) * chunks):
        slot = block * K + step // chunks
        channel = step % chunks * CHANNELS_IN + i
        row = tl.load(rows + slot * VOXELS + place)
        cell = tl.load(cells + slot)
        a = tl.load(
            feats + row[:, None].to(tl.int64) * I + channel[None, :],
            mask=(row[:, None] >= 0) & (channel[None, :] < I),
            other=0.0,
        )
        b = tl.load(
            weight + o[None, :] * (K * I) + cell * I + channel[:, None],
            mask=(o[None, :] < O) & (channel[:, None] < I),
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision="ieee")

    total += tl.load(bias + o, mask=o < O, other=0.0).to(tl.float32)[None, :]
    n = block * VOXELS + place
    target = tl.load(order + n, mask=n < N, other=0).to(tl.int64)
    tl.store(
        out + target[:, None] * O + o[None, :],
        total.to(out.dtype.element_ty),
        mask=(n[:, None] < N) & (o[None, :] < O),
    )


def gather_gemm(
    feats: Tensor,  # [M, I]
    neighbours: Neighbours,  # of N voxels in K cells
    weight: Tensor,  # [O, …, I], K cells
    bias: Tensor,  # [O]
) -> Tensor:  # [N, O]
    """Gather and multiply in one kernel: see `SparseConv`."""
    blocks = neighbours.blocks(_VOXELS)
    (O, I), N = (len(weight), feats.shape[1]), len(neighbours)
    out = torch.empty(N, O, dtype=feats.dtype, device=feats.device)
    count, K, _ = blocks.rows.shape
    if N:
        with torch.cuda.device(feats.device):  # Triton launches on the current one
            _kernel[(count * triton.cdiv(O, _CHANNELS_OUT),)](  # pyright: ignore[reportIndexIssue]
                feats.contiguous(),
                blocks.rows,
                blocks.cells,
                blocks.counts,
                blocks.order,
                weight.to(feats.dtype).contiguous(),
                bias.to(feats.dtype),
                out,
                N,
                K=K,
                I=I,
                O=O,
                VOXELS=_VOXELS,
                CHANNELS_OUT=_CHANNELS_OUT,
                CHANNELS_IN=_CHANNELS_IN,
                num_warps=4,
                num_stages=3,
            )
    return out
