"""Records a network's kernel launches on a CUDA device, and replays them with new inputs.

A segmentation network launches thousands of small kernels; the device waits for Python between
them. A recorded graph is launched as one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["ConstantsOnHost", "Replayed"]

log = logging.getLogger(__name__)


class ConstantsOnHost(TorchFunctionMode):
    """Context: `torch.tensor` makes its constants on the host, whatever device is asked for.

    Copying one to the device waits for the device, which a recording must not; and so does
    reading it back, which is all that SAM 3 does with its only constant, a feature map's size.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.tensor:
            kwargs = kwargs | {"device": "cpu"}
        return func(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Replayed:
    """A function of CUDA tensors, recorded once for each shape of its inputs.

    The tensors it returns are overwritten by the next call with inputs of the same shape. Whatever
    else the function reads must stay where it is in memory. Where recording fails, the function
    is called as it is from then on.

    Args:
        function: from tensors to tensors; must not wait for the device.
        pool: memory shared with other recordings that never run at the same time.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], pool: Any) -> None:
        self._function, self._pool = function, pool
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}
        self._failed = False

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self._failed:
            return self._function(*inputs)
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._recordings:
            try:
                self._recordings[shapes] = self._record(inputs)
            except RuntimeError as exc:
                self._failed = True
                log.warning("cannot record %s; running it step by step: %s", self._function, exc)
                return self._function(*inputs)
        recording = self._recordings[shapes]
        for target, source in zip(recording.inputs, inputs, strict=True):
            target.copy_(source)
        recording.graph.replay()
        return recording.outputs

    def _record(self, inputs: tuple[Tensor, ...]) -> _Recording:
        clones = tuple(tensor.clone() for tensor in inputs)
        with ConstantsOnHost():
            # Libraries allocate their workspaces on first use, which cannot be recorded.
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self._function(*clones)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                outputs = self._function(*clones)
        return _Recording(graph, clones, outputs)
