"""Submanifold convolution: which voxels are occupied does not change.

The contract, and the names of its implementations.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Protocol

from torch import Tensor

from scenelift.lacks import Lack
from scenelift.models.ops.neighbours import Neighbours
from scenelift.options import BackendOptions
from scenelift.registry import Backend, Registry
from scenelift.runtime import Runtime

__all__ = ["SPARSE_CONV", "SparseConv", "best_sparse_conv"]


class SparseConv(Protocol):
    """Cross-correlate the features of occupied voxels with a kernel of K cells.

    out[n] = bias + Σ_c weight[:, c] · feats[neighbours.rows[c, n]] over the cells c that hold a
    voxel, with sums in float32 or better. With all 27 cells of a 3×3×3 kernel, it equals a dense
    convolution with zero padding, sampled at the occupied voxels.
    """

    def __call__(
        self,
        feats: Tensor,  # [M, Cin]
        neighbours: Neighbours,  # of N voxels in K cells, into the M rows of feats
        weight: Tensor,  # [Cout, K, Cin], or the published [Cout, 3, 3, 3, Cin]; axes x, y, z
        bias: Tensor,  # [Cout]
    ) -> Tensor: ...  # [N, Cout], in the type of feats


def _reference(runtime: Runtime) -> SparseConv:
    from scenelift.models.ops.sparse_conv_reference import gather_matmul

    return gather_matmul


def _triton(runtime: Runtime) -> SparseConv:
    from scenelift.models.ops.sparse_conv_triton import gather_gemm

    return gather_gemm


def _triton_lacks(options: BackendOptions) -> list[Lack]:
    if find_spec("triton") is None:
        text = "Triton is not installed; PyTorch for CUDA brings it on Linux"
        return [Lack(text, packages=["triton"])]
    import torch

    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # Triton's debugger, on any device
    if not interpreted and (options.device == "cpu" or not torch.cuda.is_available()):
        return [Lack("it runs on a GPU only: use the reference")]
    return []


SPARSE_CONV: Registry[SparseConv] = Registry("sparse convolution")
SPARSE_CONV.add(Backend(name="reference", load=_reference))
SPARSE_CONV.add(Backend(name="triton", load=_triton, lacks=_triton_lacks))


def best_sparse_conv(options: BackendOptions) -> SparseConv:
    """The fastest implementation that can run with these options."""
    name = "reference" if _triton_lacks(options) else "triton"
    return SPARSE_CONV.load(name, options)
