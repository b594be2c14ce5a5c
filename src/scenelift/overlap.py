"""Runs stages of different objects at the same time; no other module does.

While the GPU reconstructs an object, the ones before it are finished: their meshes thinned,
decimated, unwrapped and baked, mostly by the CPU. Where a GPU has room, the first half of the next
object's reconstruction fills the pauses of the second half of the one before. Meanwhile
`early_work` does what later stages need and what is known already, and `in_turn` stores results.
Stages do not know of each other. Results, their order and their bytes are those of one object, and
one stage, after the other.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

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
# Of a second half: in a stream of its own ("streams"), in that of the first ("stream"), or not
# beside the next object's first half.
HALVES: Literal["none", "stream", "streams"] = "streams"
WAITING = 2  # results of objects that are to be stored, as large
# Threads for early work: a quarter of the cores, as it should delay nothing that is on the way.
EARLY = max(1, min(4, core_count() // 4))


def overlapped(
    items: Iterable[int],
    start: Callable[[int], Callable[[], T]],
    then: Callable[[int, T], R],
    *,
    device: str = "cpu",
    halves: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[R]:
    """Compute `then(k, start(k)())` for every k.

    `start` is called here, in order; `then` in other threads, meanwhile. Where any call raises, no
    further one begins, those under way are waited for, and the error is raised: of several that
    of the earliest k.

    Args:
        items: the numbers; the next one is asked for when it is free to be started.
        start: does the first half of an object, and returns the second.
        then: takes what the second half gives.
        device: what is computed on; on CUDA `then` gets a stream of its own, so that it does not
            wait for what the halves have queued.
        halves: call second halves in another thread, in order, so that the next object is started
            beside that. Otherwise they are called here.
        meanwhile: called here now and then while nothing is left but to wait; may raise.
    """
    made: list[Future[T]] = []
    results: list[Future[R]] = []
    at_once = _at_once(device)
    finishing = _lasting_threads(f"finish on {device}", at_once)

    def finish(k: int, reconstructed: Callable[[], T]) -> R:
        shape = reconstructed()
        with (
            _own_stream(device, threading.current_thread().name, -2),
            calls_apart(device.startswith("cuda")),
        ):
            return then(k, shape)

    def wait_for(futures: Sequence[Future[Any]], most: int) -> None:
        """Wait until at most so many are unfinished; errors are raised as soon as they are seen."""
        while True:
            for result in results:
                if result.done():
                    result.result()
            unfinished = [future for future in futures if not future.done()]
            if len(unfinished) <= most:
                return
            meanwhile()
            wait(unfinished, timeout=0.05, return_when=FIRST_COMPLETED)

    with quick_turns():
        try:
            for k in items:
                second_half = start(k)
                if halves and HALVES != "none":
                    made.append(_complete_beside(second_half, device))
                    # Objects are made in this order, so a thread that waits keeps none waiting.
                    results.append(finishing.submit(finish, k, made[-1].result))
                    wait_for(made, 1)
                    made = [future for future in made if not future.done()]  # they hold much
                else:
                    shape = second_half()
                    results.append(finishing.submit(finish, k, lambda shape=shape: shape))
                    del shape
                del second_half
                wait_for(results, at_once + AHEAD + len(made))
            wait_for(results, 0)
        finally:
            under_way: list[Future[Any]] = [*made, *results]
            wait([future for future in under_way if not future.cancel()])
    return [result.result() for result in results]


def _complete_beside(second_half: Callable[[], T], device: str) -> Future[T]:
    """Call a second half in the thread for these, on a stream of its own if there are any."""
    if not device.startswith("cuda"):
        return _lasting_threads("complete", 1).submit(second_half)
    import torch

    here = torch.cuda.current_stream(torch.device(device))
    queued = here.record_event()

    def complete() -> T:
        beside = here if HALVES == "stream" else _stream(device, "complete", -1)
        with torch.cuda.stream(beside):
            beside.wait_event(queued)
            try:
                return second_half()
            finally:
                # Nothing that the first half has given it is still to be read: its memory goes
                # back to the other stream.
                beside.synchronize()

    return _lasting_threads(f"complete on {device}", 1).submit(complete)


@cache
def _lasting_threads(name: str, most: int) -> ThreadPoolExecutor:
    """Return threads that live as long as the process, begun when they are needed first.

    Libraries keep what they have prepared by thread, as PyTorch does its plans of attention on a
    GPU: new threads for each photo would prepare it all again.
    """
    return ThreadPoolExecutor(most, thread_name_prefix=name)


if hasattr(os, "register_at_fork"):  # the parent's threads are not in the child
    os.register_at_fork(after_in_child=_lasting_threads.cache_clear)


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


def _own_stream(device: str, name: str, priority: int) -> AbstractContextManager[object]:
    """Context: what this thread queues on a GPU does not wait for what others do."""
    if not device.startswith("cuda"):
        return nullcontext()
    import torch

    return torch.cuda.stream(_stream(device, name, priority))


@cache
def _stream(device: str, name: str, priority: int) -> Any:
    """Return one stream for all objects.

    Memory that is freed stays with its stream, and each new one would take its own.
    """
    import torch

    return torch.cuda.Stream(torch.device(device), priority=priority)
