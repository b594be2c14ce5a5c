"""Make a network ready for a device: types of its tensors, implementations, compilation.

What is fast where is decided here, so that the networks say only what they compute. None of it
changes the result by more than rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from scenelift.ops.sparse_conv import best_sparse_conv
from scenelift.registry import BackendOptions
from scenelift.sam3d.checkpoints import to_half
from scenelift.sam3d.latent_flow import LatentFlow
from scenelift.sam3d.layers.sparse import use_sparse_conv
from scenelift.sam3d.structure_flow import StructureFlow

__all__ = ["accelerate", "default_dtype", "prepare", "tensor_types"]

M = TypeVar("M", bound=nn.Module)


def default_dtype(device: torch.device) -> torch.dtype:
    """Type of the large matrices: float16 on a GPU, as published, and float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def tensor_types(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, torch.dtype]:
    """Type that each tensor of a network is to have, by its published name.

    Matrices and convolutions inside the blocks get `dtype`. Norms, embeddings, first and last
    layers stay float32, so a network takes and returns float32 and needs no autocast around it.
    """
    # Which tensors may be half precision follows from names and shapes.
    blank = {
        n: torch.empty(t.shape, dtype=torch.float32, device="meta") for n, t in tensors.items()
    }
    return {
        name: dtype if t.dtype == torch.float16 else torch.float32
        for name, t in to_half(blank).items()
    }


def accelerate(network: nn.Module, device: torch.device, *, compile: bool = False) -> None:
    """Let a network use what is fastest on a device, whether or not it is there already.

    Args:
        network: any network of `Sam3dModels`.
        device: where it will run.
        compile: whether the flows' blocks go through `torch.compile`. It pays from a few objects
            on: the first call of each flow takes a while. Without effect off CUDA.
    """
    use_sparse_conv(network, best_sparse_conv(BackendOptions(device=str(device))))
    if compile and device.type == "cuda":
        _compile_blocks(network)


def prepare(
    network: M, device: torch.device, *, dtype: torch.dtype | None = None, compile: bool = False
) -> M:
    """Move a network to a device for good, in the types of `tensor_types`, and accelerate it.

    Memory that its parameters share is still shared afterwards.

    Args:
        network: any network of `Sam3dModels`, changed in place.
        device: where it is to run.
        dtype: float16, bfloat16 or float32; None chooses by the device.
        compile: see `accelerate`.

    Returns:
        The network.
    """
    tensors = dict(network.named_parameters(remove_duplicate=False))
    types = tensor_types(tensors, dtype or default_dtype(device))
    moved: dict[tuple[int, torch.dtype, torch.Size], Tensor] = {}
    for name, parameter in tensors.items():
        key = (parameter.data_ptr(), types[name], parameter.shape)
        if key not in moved:
            # Tensor by tensor, so that at most one of them is on the device in both types.
            moved[key] = parameter.data.to(device).to(types[name])
        parameter.data = moved[key]
    network.to(device)  # buffers
    network.eval().requires_grad_(False)
    accelerate(network, device, compile=compile)
    return network


def _compile_blocks(network: nn.Module) -> None:
    """Compile one block of a flow; the others have the same code and sizes, and share it."""
    if isinstance(network, StructureFlow):
        for block in network.blocks:
            block.compile(dynamic=False)
    elif isinstance(network, LatentFlow):
        # The number of voxels differs from object to object.
        for block in network.blocks:
            block.compile(dynamic=True)
