"""Submanifold convolution by the Triton kernels of the `spconv-triton` package, for GPUs."""

from __future__ import annotations

import numpy as np
from spconv_triton.pytorch.ops import implicit_gemm  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.ops.neighbours import Neighbours

__all__ = ["gather_gemm"]

_ALL_CELLS = np.array([0xFFFFFFFF], np.uint32)  # one pass over all cells of the kernel


def gather_gemm(
    feats: Tensor,  # [M, Cin]
    neighbours: Neighbours,  # of N voxels
    weight: Tensor,  # [Cout, 3, 3, 3, Cin]
    bias: Tensor,  # [Cout]
) -> Tensor:  # [N, Cout]
    """Gather and multiply in one kernel, which skips the cells that a block of voxels lacks."""
    # Sorted by occupancy, voxels that lack the same neighbours share a block.
    masks, order = neighbours.by_occupancy
    out, *_ = implicit_gemm(
        feats,
        weight.to(feats.dtype),
        neighbours.rows,
        [masks],
        [order],
        len(neighbours),
        masks=[_ALL_CELLS],
        is_train=False,
        is_subm=True,
        fp32_accum=True,
        bias=bias.to(feats.dtype),
    )
    return out
