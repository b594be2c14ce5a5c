"""Make a network ready for a device: types of its tensors, implementations, compilation.

What is fast where is decided here, so that the networks say only what they compute. None of it
changes the result by more than rounding.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from scenelift.device import memory_cap, whole_device
from scenelift.models.layers.sparse import use_sparse_conv
from scenelift.models.ops.sparse_conv import best_sparse_conv
from scenelift.models.slat.precision import tensor_types
from scenelift.models.slat.sampling import State, Velocity
from scenelift.options import BackendOptions
from scenelift.weights.home import scenelift_home

__all__ = [
    "RecordedMemory",
    "Recordings",
    "accelerate",
    "as_cuda_graph",
    "default_dtype",
    "prepare",
    "tensors_in",
]

log = logging.getLogger(__name__)

_SLACK = 1 << 29  # bytes that other threads may ask for while one records

M = TypeVar("M", bound=nn.Module)
P = TypeVar("P")


def default_dtype(device: torch.device) -> torch.dtype:
    """Choose the large matrices' type: float16 on a GPU, as published, and float32 elsewhere."""
    return torch.float16 if device.type == "cuda" else torch.float32


def accelerate(network: nn.Module, device: torch.device, *, compile: bool = False) -> None:
    """Let a network use what is fastest on a device, whether or not it is there already.

    Args:
        network: any network of the models.
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
        network: any network of the models, changed in place.
        device: where it is to run.
        dtype: float16, bfloat16 or float32; None chooses by the device.
        compile: see `accelerate`.

    Returns:
        The network.
    """
    tensors = dict(network.named_parameters(remove_duplicate=False))
    types = tensor_types(tensors, dtype or default_dtype(device))
    on_device: dict[tuple[int, torch.dtype, torch.Size], Tensor] = {}
    for name, parameter in tensors.items():
        key = (parameter.data_ptr(), types[name], parameter.shape)
        if key not in on_device:
            # Tensor by tensor, so that at most one of them is on the device in both types.
            on_device[key] = parameter.data.to(device).to(types[name])
        parameter.data = on_device[key]
    network.to(device)  # buffers
    network.eval().requires_grad_(False)
    accelerate(network, device, compile=compile)
    return network


@runtime_checkable
class _Flow(Protocol):
    varying_tokens: bool


def _compile_blocks(network: nn.Module) -> None:
    """Compile one block of a flow; the others have the same code and sizes, and share it."""
    if isinstance(network, _Flow):
        keep_what_is_compiled()
        for block in network.get_submodule("blocks").children():
            block.compile(dynamic=network.varying_tokens)


def keep_what_is_compiled() -> None:
    """Let the next process find all that this one compiles, and trace each block but once.

    PyTorch names what it keeps by the code's graph, its own version and the GPU, so nothing in
    there is ever out of date.
    """
    # Imported here: it takes a second, for those alone who compile.
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(scenelift_home() / "compiled"))
    # Attention of few queries chooses its kernel by name (`layers.attention.attend`). PyTorch does
    # not know that the name, which is in the graph, is all that this choice depends on, and traces
    # what has such calls anew in every process.
    if hasattr(inductor, "unsafe_marked_cacheable_functions"):  # not before PyTorch 2.8
        inductor.unsafe_marked_cacheable_functions = {
            **inductor.unsafe_marked_cacheable_functions,
            "torch.nn.attention._backend_from_string": "1",
            "torch.nn.attention._sdpa_kernel": "1",
        }
    # Where sizes vary, numbers such as the epsilon of a norm are taken to vary too; once they turn
    # out not to, the block is traced a second time, and what was found until then is not kept.
    dynamo.specialize_float = True


def as_cuda_graph(
    velocity: Velocity, device: torch.device, memory: RecordedMemory | None = None
) -> Velocity:
    """A velocity that is launched as one CUDA graph, for one run of a sampler.

    The second evaluation under each condition, and the second without, are recorded, and all later
    ones replay that, so Python's pace no longer matters. What the velocity reads besides its
    arguments must stay in place meanwhile. Off CUDA, the velocity itself.

    Args:
        velocity: of one network.
        device: where it runs.
        memory: of that network's recordings for the objects before, none of which is replayed any
            more; None takes new memory.
    """
    if device.type != "cuda":
        return velocity
    shared = memory or RecordedMemory()
    shared.begin()
    runs: dict[int | None, _Recording] = {}

    def replay(x: State, time: Tensor, view: int | None) -> State:
        if view not in runs:
            runs[view] = _Recording(velocity, view, shared)
        return runs[view](x, time)

    return replay


class RecordedMemory:
    """Memory that graphs of one network share: those of a velocity, and of one object's after
    another's.

    New memory for each object would be asked of CUDA each time, and the old given back, for which
    the device has to stand still.

    Attributes:
        broken: whether a recording has failed in there, for the velocity that began last.
    """

    def __init__(self) -> None:
        self.broken = False
        self._handle: Any = None
        self._numbers = 0  # of the largest state that it has served
        # PyTorch keeps the memory for as long as there is a graph that uses it.
        self._graphs: list[Any] = []
        self._earlier: list[Any] = []

    def begin(self) -> None:
        """Another velocity will be recorded: the graphs so far are no longer replayed."""
        self._earlier += self._graphs
        self._graphs = []
        self._handle = None if self.broken else self._handle
        self.broken = False

    @contextmanager
    def recording(self, graph: Any, state: State, device: torch.device) -> Iterator[None]:
        """Context: what is launched is recorded.

        Args:
            graph: a new one.
            state: that the velocity is given; larger ones take larger pieces, which earlier ones
                have not left.
            device: where it runs.
        """
        numbers = sum(tensor.numel() for tensor in state)
        with whole_device:
            is_new = self._handle is None or numbers > self._numbers
            if is_new:
                self._earlier.clear()
                self._handle, self._numbers = torch.cuda.graph_pool_handle(), numbers
            if is_new or _is_tight(device):
                torch.cuda.synchronize(device)
                torch.cuda.empty_cache()
            with torch.cuda.stream(_recording_stream(device)):
                # Not `torch.cuda.graph`, which waits for the device and gives memory back.
                graph.capture_begin(pool=self._handle, capture_error_mode="thread_local")
                try:
                    yield
                finally:
                    graph.capture_end()
        self._graphs.append(graph)
        self._earlier.clear()

    def end(self, stream: Any) -> None:
        """Undo what is left behind where a recording has failed.

        PyTorch may stay on the recording's stream, and its allocator goes on recording into the
        pool: no other recording could use that, and memory that is free would never be given back.
        """
        self.broken = True
        torch.cuda.set_stream(stream)
        with suppress(RuntimeError):  # it may have ended
            torch._C._cuda_endAllocateToPool(stream.device.index, self._handle)  # pyright: ignore
        with whole_device:
            torch.cuda.synchronize(stream.device)


class Recordings:
    """Recorded velocities of one network for objects that differ in nothing but their contexts.

    What is recorded is launched step by step once before, and once meanwhile. So the first object's
    graphs serve those after it: these read its context's memory, to which the others' contexts are
    copied. To be dropped when the network leaves the device, as graphs read its weights too.
    """

    def __init__(self) -> None:
        self._latest: tuple[object, Any, Velocity] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the stored context."""
        return 0 if self._latest is None else sum(t.nbytes for t in tensors_in(self._latest[1]))

    def of(
        self,
        begin: Callable[[Sequence[tuple[P, ...]]], Velocity],
        contexts: Iterable[Iterable[P]],
        sizes: object,
        device: torch.device,
    ) -> Velocity:
        """Return `as_cuda_graph(begin(contexts), device)`, or an earlier one with these contexts.

        Args:
            begin: gives the velocity under contexts; whatever else that reads does not depend on
                the object.
            contexts: each by its parts, which are tensors or tuples of such. They may be made as
                they are asked for: no more than one part then is there twice.
            sizes: what the sizes of states and contexts depend on.
            device: where it runs.
        """
        if device.type != "cuda":
            return begin([tuple(context) for context in contexts])
        if self._latest is not None and self._latest[0] == sizes:
            _, places, velocity = self._latest
            for place, context in zip(places, contexts, strict=True):
                _overwrite(place, context)
            return velocity
        self._latest = None  # its memory first
        places = [tuple(context) for context in contexts]
        velocity = as_cuda_graph(begin(places), device)
        self._latest = sizes, places, velocity
        return velocity


def _overwrite(places: Iterable[Any], parts: Iterable[Any]) -> None:
    """Copy the tensors of some parts into those of others, part by part."""
    for place, part in zip(places, parts, strict=True):
        for destination, tensor in zip(tensors_in(place), tensors_in(part), strict=True):
            destination.copy_(tensor)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """List a tensor itself, or those in lists and tuples, however deep."""
    if isinstance(value, Tensor):
        yield value
    else:
        for part in value:
            yield from tensors_in(part)


class _Recording:
    """One branch of a velocity. What it returns is overwritten when it is called again."""

    def __init__(self, velocity: Velocity, view: int | None, memory: RecordedMemory) -> None:
        self._velocity, self._view, self._memory = velocity, view, memory
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: State = ()
        self._outputs: State = ()

    def __call__(self, x: State, time: Tensor) -> State:
        self._calls += 1
        if self._calls == 2 and not self._memory.broken:
            self._record(x, time)
        if self._graph is None:  # the first time, libraries and tables are made ready as usual
            return self._velocity(x, time, self._view)
        for target, source in zip(self._inputs, (*x, time), strict=True):
            target.copy_(source)
        self._graph.replay()
        return self._outputs

    def _record(self, x: State, time: Tensor) -> None:
        self._inputs = tuple(tensor.clone() for tensor in (*x, time))
        *state, now = self._inputs
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream(time.device)
        try:
            with self._memory.recording(graph, x, stream.device):
                self._outputs = self._velocity(tuple(state), now, self._view)
        except RuntimeError as exc:
            log.warning("cannot record the sampler's steps; launching them one by one: %s", exc)
        else:
            self._graph = graph
            return
        # Outside the handler, whose frames hold what was to be recorded.
        self._inputs, self._outputs = (), ()
        self._memory.end(stream)


def _is_tight(device: torch.device) -> bool:
    """Whether little memory can still be taken: during a recording none is given back for it."""
    cap = memory_cap(device)
    return cap is not None and torch.cuda.memory_reserved(device) + _SLACK > cap


@cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all recordings: their memory is for it alone."""
    return torch.cuda.Stream(device)
