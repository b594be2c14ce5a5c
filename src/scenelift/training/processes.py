"""Runs one process a GPU, as torchrun starts them: who this one is, and what all share."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from scenelift.errors import SetupError, first_line

__all__ = ["is_first", "join", "leave", "own_device", "slowest", "terminated"]

_joins = itertools.count()


def is_first() -> bool:
    """Whether this process writes files and prints; one that is alone does."""
    return os.environ.get("RANK", "0") == "0"


def own_device(name: str) -> torch.device:
    """Return the device of a name; "cuda" is this process's own GPU.

    Raises:
        SetupError: there is no such GPU that PyTorch can use.
    """
    # PyTorch 2.11 and later set no device without an index.
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if name == "cuda" else name)
    if device.type == "cuda":
        try:
            torch.cuda.set_device(device)
        except (RuntimeError, AssertionError, AttributeError) as exc:  # the last: a CPU build
            raise SetupError(
                f"The device {name!r} cannot be used here: {first_line(exc, 200)}. "
                "`--device cpu` trains without a GPU."
            ) from exc
    return device


def join(device: torch.device) -> tuple[int, int]:
    """Join the other processes, where there are any; after `leave`, they can join again.

    Returns:
        Rank of this process, and their number.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        # The store outlives a group and keeps its members' addresses. Whoever joined again first
        # would call a closed port if it found those, so each group has its own part of the store.
        store, rank, world = next(rendezvous("env://"))
        own = dist.PrefixStore(  # pyright: ignore[reportPrivateImportUsage] - documented as this
            f"group{next(_joins)}", store
        )
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=own, rank=rank, world_size=world)
    return (dist.get_rank(), world) if world > 1 else (0, 1)


def leave(device: torch.device) -> None:
    """Wait until all processes arrive here, and leave the group; one that is alone does nothing."""
    if dist.is_initialized():
        dist.barrier(device_ids=[device.index] if device.type == "cuda" else None)
        dist.destroy_process_group()


def slowest(seconds: float, device: torch.device) -> float:
    """Return the longest time of all processes, so that all keep one schedule and end together."""
    if not dist.is_initialized():
        return seconds
    clock = torch.tensor(seconds, device=device)
    dist.all_reduce(clock, dist.ReduceOp.MAX)
    return float(clock)


@contextmanager
def terminated() -> Iterator[Callable[[], bool]]:
    """Context: SIGTERM ends nothing in here, but is remembered; gives what tells of it."""
    event = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
