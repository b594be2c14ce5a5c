"""Make a network ready for a device: types of its tensors, implementations, compilation.

What is fast where is decided here, so that the networks say only what they compute. None of it
changes the result by more than rounding.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from scenelift.ops.sparse_conv import best_sparse_conv
from scenelift.registry import BackendOptions
from scenelift.sam3d.checkpoints import to_half
from scenelift.sam3d.latent_flow import LatentFlow
from scenelift.sam3d.layers.sparse import use_sparse_conv
from scenelift.sam3d.structure_flow import StructureFlow

__all__ = ["default_dtype", "prepare"]

M = TypeVar("M", bound=nn.Module)


def default_dtype(device: torch.device) -> torch.dtype:
    """Type of the large matrices: float16 on a GPU, as published, and float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def prepare(
    network: M, device: torch.device, *, dtype: torch.dtype | None = None, compile: bool = False
) -> M:
    """Move a network to a device and make it fast there, in place.

    The matrices and convolutions inside its blocks are cast once to `dtype`; norms, embeddings,
    first and last layers stay float32. The network then takes and returns float32 and needs no
    autocast around it. Memory that parameters share is still shared afterwards.

    Args:
        network: any network of `Sam3dModels`.
        device: where it is to run.
        dtype: float16, bfloat16 or float32; None chooses by the device.
        compile: whether the flows' blocks go through `torch.compile`, which pays from a few
            objects on: it takes a while at the first call. Without effect off CUDA.

    Returns:
        The network.
    """
    _cast(network, device, dtype or default_dtype(device))
    network.eval().requires_grad_(False)
    use_sparse_conv(network, best_sparse_conv(BackendOptions(device=str(device))))
    if compile and device.type == "cuda":
        _compile_blocks(network)
    return network


def _cast(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    names = dict(network.named_parameters(remove_duplicate=False))
    shapes = {name: torch.empty_like(p, device="meta").float() for name, p in names.items()}
    halved = to_half(shapes)  # which tensors may be half precision follows from names and shapes
    moved: dict[tuple[int, torch.dtype, torch.Size], Tensor] = {}
    for name, parameter in names.items():
        wanted = dtype if halved[name].dtype == torch.float16 else torch.float32
        key = (parameter.data_ptr(), wanted, parameter.shape)
        if key not in moved:
            # Tensor by tensor, so that at most one of them is on the device in both types.
            moved[key] = parameter.data.to(device).to(wanted)
        parameter.data = moved[key]
    network.to(device)  # buffers


def _compile_blocks(network: nn.Module) -> None:
    """Compile one block of a flow; the others have the same code and sizes, and share it."""
    if isinstance(network, StructureFlow):
        for block in network.blocks:
            block.compile(dynamic=False)
    elif isinstance(network, LatentFlow):
        # The number of voxels differs from object to object.
        for block in network.blocks:
            block.compile(dynamic=True)
