"""Choose device and precision of networks: the meaning of `--device` and `--vram`.

PyTorch is imported when a function is called, so that reading options costs nothing.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from scenelift.errors import InputError, SetupError, first_line
from scenelift.options import Precision

if TYPE_CHECKING:
    import torch

__all__ = [
    "choose_device",
    "choose_dtype",
    "clear_device",
    "current_device",
    "keep_blocks_whole",
    "limit_memory",
    "memory_cap",
    "room_on",
    "split_devices",
    "uses_triton",
    "when_cleared",
    "whole_device",
]

# Without `--vram`: most to take, and what is left to others of the free memory.
_USUAL, _RESERVE = 12 << 30, 1 << 30
# What CUDA takes besides what PyTorch hands out: its context, kernels, libraries.
_OUTSIDE = 600 << 20
_LEAST = 1 << 30
_WHOLE_MB = 256  # larger blocks are kept whole where memory is scarce
_caps: dict[int, int] = {}  # of this process, as they are PyTorch's too
_clearing: list[Callable[[torch.device], None]] = []

whole_device = threading.RLock()
"""Held by whoever waits for all that a CUDA device has to do, or gives memory back to CUDA, and by
whoever records a graph in a stream: CUDA refuses the one during the other."""


def choose_device(name: str = "auto") -> torch.device:
    """Return the device that a `--device` option means.

    "auto" takes a CUDA device where there is one, else the CPU. Apple's GPUs ("mps") have to be
    asked for by name: the models were not measured on them. Of several (`split_devices`) it is the
    first, on which everything runs that is not shared among them.

    Raises:
        SetupError: there is no such device here.
    """
    import torch

    if name.lower() == "gpu":
        name = "cuda"  # as other libraries call it
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(split_devices(name)[0])
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as exc:
        raise SetupError(
            f"The device {name!r} cannot be used here: {first_line(exc, 1000)}. "
            f"`--device auto` takes the best there is; `scenelift doctor` lists them."
        ) from exc
    return device


def choose_dtype(device: torch.device, precision: Precision = "auto") -> torch.dtype:
    """Choose the type of large matrices: as requested, else float16 on CUDA and float32 elsewhere.

    Raises:
        SetupError: half precision on a CPU, where it is slower and not supported throughout.
    """
    import torch

    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if device.type == "cpu" and precision != "float32":
        raise SetupError(f"A CPU computes in float32; {precision} needs a GPU (`--device cuda`).")
    return {
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
        "float32": torch.float32,
    }[precision]


def limit_memory(device: torch.device, vram_bytes: int | None) -> int | None:
    """Limit how much of a CUDA device's memory this process may take, whatever model runs.

    What goes beyond raises `torch.OutOfMemoryError`, to which stages answer by smaller pieces and
    by freeing some. Results do not depend on it.

    Args:
        device: where the run computes.
        vram_bytes: what `--vram` said: bytes, or `UNLIMITED`. None is the smaller of 12 GiB and
            what is free now, less a reserve for others.

    Returns:
        Bytes that PyTorch may hold there: CUDA itself takes some of the rest. None without a limit,
        and on other devices.
    """
    import torch

    if device.type != "cuda":
        return None
    index = _index(device)
    free, total = torch.cuda.mem_get_info(index)
    if vram_bytes is None:
        vram_bytes = min(_USUAL, free + torch.cuda.memory_reserved(index) - _RESERVE)
    if vram_bytes >= total:
        torch.cuda.set_per_process_memory_fraction(1.0, index)  # pyright: ignore[reportUnknownMemberType]
        _caps.pop(index, None)
        return None
    budget = max(vram_bytes - _OUTSIDE, _LEAST)
    share = min(1.0, budget / total)
    torch.cuda.set_per_process_memory_fraction(share, index)  # pyright: ignore[reportUnknownMemberType]
    _caps[index] = budget
    return budget


def current_device(device: torch.device) -> AbstractContextManager[object]:
    """Make a CUDA device current within a block, as Triton launches kernels on the current one.

    Other devices have no current one: on a CPU, Triton interprets its kernels where a test asks so.
    """
    import torch

    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def memory_cap(device: torch.device) -> int | None:
    """Return how many bytes `limit_memory` lets PyTorch hold on a device; None if no limit."""
    return _caps.get(_index(device)) if device.type == "cuda" else None


def room_on(device: torch.device) -> int | None:
    """Return how many bytes this process can still take on a CUDA device; None elsewhere."""
    import torch

    if device.type != "cuda":
        return None
    allocated = torch.cuda.memory_allocated(device)
    free, _ = torch.cuda.mem_get_info(device)
    room = free + torch.cuda.memory_reserved(device) - allocated
    cap = memory_cap(device)
    return room if cap is None else min(room, cap - allocated)


def when_cleared(give_back: Callable[[torch.device], None]) -> None:
    """Register what gives back a device's memory that nothing uses at the moment."""
    _clearing.append(give_back)


def clear_device(device: torch.device) -> None:
    """Give back what networks that are not running hold of a device's memory.

    For stages that run beside them: it takes a while until the networks are back.
    """
    for give_back in _clearing:
        give_back(device)


def keep_blocks_whole(device: torch.device) -> None:
    """Let PyTorch no longer split the large blocks of memory that it keeps, from now on.

    A small tensor in a part of a large block keeps all of it from being given back: large decoders
    that fit well otherwise ran out of memory with 4 of 10.6 GiB free in pieces. It costs more calls
    of CUDA, so it begins where memory has run out once. What the user set counts.
    """
    import torch

    if device.type != "cuda" or _allocator_is_set():
        return
    # PyTorch promises neither name: the first is that of later versions.
    names = (
        "_accelerator_setAllocatorSettings",
        "_cuda_cudaCachingAllocator_set_allocator_settings",
    )
    for name in names:
        change = getattr(torch._C, name, None)  # pyright: ignore[reportPrivateUsage]
        if change is not None:
            change(f"max_split_size_mb:{_WHOLE_MB}")
            return


def _allocator_is_set() -> bool:
    return any(os.environ.get(name) for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"))


def split_devices(name: str) -> tuple[str, ...]:
    """Return the devices of a `--device` option: most often one.

    "cuda:0,cuda:2" are two and "cuda:all" is every GPU: one scene's objects are shared among them.

    Raises:
        InputError: one is named twice, or is no GPU.
        SetupError: there is no such device here.
    """
    if name == "cuda:all":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise SetupError("`--device cuda:all`: there is no CUDA device here.")
        return tuple(f"cuda:{k}" for k in range(count))
    names = [part.strip() for part in name.split(",")]
    if len(names) == 1:
        return (name,)
    if len(set(names)) < len(names) or not all(re.fullmatch(r"cuda:\d+", n) for n in names):
        raise InputError(
            f"`--device {name}`: expected different GPUs, such as cuda:0,cuda:1, or cuda:all."
        )
    return tuple(str(choose_device(n)) for n in names)


def _index(device: torch.device) -> int:
    import torch

    return torch.cuda.current_device() if device.index is None else device.index


def uses_triton(device: torch.device) -> bool:
    """Return whether Triton's kernels run on a device; plain tensor operations do on all."""
    return device.type == "cuda" and _has_triton()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
