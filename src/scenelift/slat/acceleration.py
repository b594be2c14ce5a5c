"""Make a network ready for a device: types of its tensors, implementations, compilation.

What is fast where is decided here, so that the networks say only what they compute. None of it
changes the result by more than rounding.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from scenelift.layers.sparse import use_sparse_conv
from scenelift.ops.sparse_conv import best_sparse_conv
from scenelift.registry import BackendOptions
from scenelift.sam3d.checkpoints import to_half
from scenelift.sam3d.structure_flow import StructureFlow
from scenelift.slat.latent_flow import LatentFlow
from scenelift.slat.sampling import State, Velocity

__all__ = ["accelerate", "default_dtype", "prepare", "recorded", "tensor_types"]

log = logging.getLogger(__name__)

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


def recorded(velocity: Velocity, device: torch.device) -> Velocity:
    """A velocity that is launched as one CUDA graph, for one run of a sampler.

    The second evaluation with the condition, and the second without, are recorded, and all later
    ones replay that, so Python's pace no longer matters. What the velocity reads besides its
    arguments must stay in place meanwhile. Off CUDA, the velocity itself.
    """
    if device.type != "cuda":
        return velocity
    pool = torch.cuda.graph_pool_handle()
    runs = {conditional: _Recorded(velocity, conditional, pool) for conditional in (True, False)}

    def replay(x: State, time: Tensor, conditional: bool) -> State:
        return runs[conditional](x, time)

    return replay


class _Recorded:
    """One branch of a velocity. What it returns is overwritten when it is called again."""

    def __init__(self, velocity: Velocity, conditional: bool, pool: Any) -> None:
        self._velocity, self._conditional, self._pool = velocity, conditional, pool
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: State = ()
        self._outputs: State = ()

    def __call__(self, x: State, time: Tensor) -> State:
        self._calls += 1
        if self._calls == 2:
            self._record(x, time)
        if self._graph is None:  # the first time, libraries and tables are made ready as usual
            return self._velocity(x, time, self._conditional)
        for kept, given in zip(self._inputs, (*x, time), strict=True):
            kept.copy_(given)
        self._graph.replay()
        return self._outputs

    def _record(self, x: State, time: Tensor) -> None:
        self._inputs = tuple(tensor.clone() for tensor in (*x, time))
        *kept, now = self._inputs
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                self._outputs = self._velocity(tuple(kept), now, self._conditional)
        except RuntimeError as exc:
            log.warning("cannot record the sampler's steps; launching them one by one: %s", exc)
        else:
            self._graph = graph
