"""Runs stages of different objects at the same time; no other module does.

While the GPU reconstructs an object, the ones before it are finished: their meshes thinned,
decimated, unwrapped and baked, mostly by the CPU. Meanwhile `early_work` does what later stages
need and what is known already, and `in_turn` stores results. Stages do not know of each other.
Results, their order and their bytes are those of one object, and one stage, after the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol, TypeVar

from scenelift.apart import calls_apart
from scenelift.device import memory_cap
from scenelift.threads import core_count, quick_turns

__all__ = ["Begin", "early_work", "in_turn", "overlapped"]

T = TypeVar("T")
R = TypeVar("R")

# Objects that are finished at the same time. Beside a GPU with room for both two are, on so many
# cores: with one at a time each of 27 objects took 1.3 times as long, each of four about as long.
AT_ONCE = 1
AT_ONCE_BESIDE_GPU, ENOUGH_CORES, ENOUGH_ROOM = 2, 8, 10 << 30
AHEAD = 2  # objects that wait for it: a decoded mesh and its splats take some 100 MB
WAITING = 2  # results of objects that are to be stored, as large
# Threads for early work: a quarter of the cores, as it should delay nothing that is on the way.
EARLY = max(1, min(4, core_count() // 4))


def overlapped(
    items: Iterable[int],
    first: Callable[[int], T],
    then: Callable[[int, T], R],
    *,
    device: str = "cpu",
    meanwhile: Callable[[], object] = lambda: None,
) -> list[R]:
    """Compute `then(k, first(k))` for every k.

    `first` is called here, in order; `then` in other threads, meanwhile. Where either raises, no
    further call begins, those under way are waited for, and the error is raised: of several that
    of the earliest k.

    Args:
        items: the numbers; the next one is asked for when `first` is free to take it.
        first, then: the two steps of each.
        device: what `then` computes on; on CUDA it gets streams of its own, so that it does not
            wait for what `first` has queued.
        meanwhile: called here now and then while nothing is left but to wait; may raise.
    """
    results: list[Future[R]] = []
    at_once = _at_once(device)

    def work(k: int, first_result: T) -> R:
        with _own_stream(device), calls_apart(device.startswith("cuda")):
            return then(k, first_result)

    def wait_for(most: int) -> None:
        """Wait until at most so many are unfinished; errors are raised as soon as they are seen."""
        while True:
            for result in results:
                if result.done():
                    result.result()
            unfinished = [result for result in results if not result.done()]
            if len(unfinished) <= most:
                return
            meanwhile()
            wait(unfinished, timeout=0.05, return_when=FIRST_COMPLETED)

    with quick_turns(), ThreadPoolExecutor(at_once, thread_name_prefix="finish") as pool:
        try:
            for k in items:
                results.append(pool.submit(work, k, first(k)))
                wait_for(at_once + AHEAD)
            wait_for(0)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [result.result() for result in results]


def _at_once(device: str) -> int:
    """How many objects are finished at the same time."""
    if not device.startswith("cuda") or core_count() < ENOUGH_CORES:
        return AT_ONCE
    import torch

    cap = memory_cap(torch.device(device))
    return AT_ONCE if cap is not None and cap < ENOUGH_ROOM else AT_ONCE_BESIDE_GPU


@contextmanager
def in_turn() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Context: another thread makes calls, one after the other, while this one goes on.

    All of them are made, whatever happens here. An error is raised where a later call is asked for,
    or on leaving. Whoever asks while `WAITING` others wait, waits too.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="in turn")
    calls: deque[Future[object]] = deque()
    lock = threading.Lock()

    def catch_up(most: int) -> None:
        while calls and (calls[0].done() or len(calls) > most):
            calls.popleft().result()

    def later(call: Callable[[], object]) -> None:
        with lock:
            catch_up(WAITING)
            calls.append(pool.submit(call))

    try:
        yield later
    finally:
        pool.shutdown()
    catch_up(0)


class Begin(Protocol):
    """Begins work early; what it returns gives the result, or raises the error, where needed."""

    def __call__(self, work: Callable[[], T], /) -> Callable[[], T]: ...


@contextmanager
def early_work() -> Iterator[Begin]:
    """Context: work for a later stage is done beside what this thread does.

    An error stays with its work until the result is asked for. Work that has not begun by then is
    done by whoever asks. On leaving, what has not begun never does, and the rest is waited for: it
    must heed cancellation by itself.
    """
    pool = ThreadPoolExecutor(EARLY, thread_name_prefix="early")

    def begin(work: Callable[[], T]) -> Callable[[], T]:
        future = pool.submit(work)
        return lambda: work() if future.cancel() else future.result()

    try:
        yield begin
    finally:
        pool.shutdown(cancel_futures=True)


def _own_stream(device: str) -> AbstractContextManager[object]:
    if not device.startswith("cuda"):
        return nullcontext()
    import torch

    return torch.cuda.stream(_stream(device, threading.current_thread().name))


@cache
def _stream(device: str, thread: str) -> Any:
    """Return one stream for all objects.

    Memory that is freed stays with its stream, and each new one would take its own.
    """
    import torch

    return torch.cuda.Stream(torch.device(device), priority=-1)
