"""Runs stages of different objects at the same time; no other module does.

While the GPU reconstructs an object, the ones before it are finished: their meshes thinned,
decimated, unwrapped and baked, mostly by the CPU. Where a GPU has room, the first half of the next
object's reconstruction fills the pauses of the second half of the one before. Meanwhile
`early_work` does what later stages need and what is known already, and `in_turn` stores results.
Stages do not know of each other. Results, their order and their bytes are those of one object, and
one stage, after the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol, TypeVar

from scenelift.apart import calls_apart
from scenelift.device import memory_cap
from scenelift.threads import core_count, quick_turns

__all__ = ["Begin", "early_work", "in_turn", "overlapped"]

T = TypeVar("T")
R = TypeVar("R")

# Objects that are finished at the same time. Beside a GPU with room for both two are, on so many
# cores: one at a time took longer than making the next, and 27 objects 1.3 times as long.
AT_ONCE = 1
AT_ONCE_BESIDE_GPU, ENOUGH_CORES, ENOUGH_ROOM = 2, 8, 10 << 30
AHEAD = 2  # objects that wait for it: a decoded mesh and its splats take some 100 MB
WAITING = 2  # results of objects that are to be stored, as large
# Threads for early work: a quarter of the cores, as it should delay nothing that is on the way.
EARLY = max(1, min(4, core_count() // 4))


def overlapped(
    items: Iterable[int],
    first: Callable[[int, Callable[[], None]], T],
    then: Callable[[int, T], R],
    *,
    device: str = "cpu",
    halves: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> list[R]:
    """Compute `then(k, first(k, half_way))` for every k.

    `first` is called here, in order; `then` in other threads, meanwhile. Where either raises, no
    further call begins, those under way are waited for, and the error is raised: of several that
    of the earliest k.

    Args:
        items: the numbers; the next one is asked for when `first` is free to take it.
        first, then: the two steps of each. `first` calls `half_way` once, or never, and may wait
            there.
        device: what is computed on; on CUDA `then` gets streams of its own, so that it does not
            wait for what `first` has queued.
        halves: call `first` in threads too: while one is past `half_way`, the next one begins. No
            two are before it at a time, or after it.
        meanwhile: called here now and then while nothing is left but to wait; may raise.
    """
    results: list[Future[R]] = []
    at_once = _at_once(device)

    def work(k: int, first_result: T) -> R:
        with _own_stream(device), calls_apart(device.startswith("cuda")):
            return then(k, first_result)

    def look_out() -> None:
        """Raise the error of whatever has failed."""
        for result in results:
            if result.done():
                result.result()

    def wait_for(most: int) -> None:
        """Wait until at most so many are unfinished; errors are raised as soon as they are seen."""
        while True:
            look_out()
            unfinished = [result for result in results if not result.done()]
            if len(unfinished) <= most:
                return
            meanwhile()
            wait(unfinished, timeout=0.05, return_when=FIRST_COMPLETED)

    with ExitStack() as context:
        context.enter_context(quick_turns())
        pool = context.enter_context(ThreadPoolExecutor(at_once, thread_name_prefix="finish"))
        try:
            if halves:
                makers = context.enter_context(_Halves(device))
                numbers = iter(items)
                while True:
                    wait_for(at_once + AHEAD + makers.THREADS - 1)
                    while not makers.is_free(0.05):
                        look_out()
                        meanwhile()
                    k = next(numbers, None)
                    if k is None:
                        break
                    results.append(_followed(makers.submit(first, k), pool, work, k))
            else:
                for k in items:
                    results.append(pool.submit(work, k, first(k, lambda: None)))
                    wait_for(at_once + AHEAD)
            wait_for(0)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [result.result() for result in results]


def _at_once(device: str) -> int:
    if not device.startswith("cuda") or core_count() < ENOUGH_CORES:
        return AT_ONCE
    import torch

    cap = memory_cap(torch.device(device))
    return AT_ONCE if cap is not None and cap < ENOUGH_ROOM else AT_ONCE_BESIDE_GPU


class _Halves:
    """Threads that make objects: one at a time is in the first half, and one in the second.

    On CUDA each half has its stream: the second has precedence, and the first fills its pauses.
    """

    THREADS = 3  # one in each half, and one that waits between them

    def __init__(self, device: str) -> None:
        self._device = device
        self._first, self._second = threading.Semaphore(), threading.Semaphore()
        self._pool = ThreadPoolExecutor(self.THREADS, thread_name_prefix="reconstruct")

    def __enter__(self) -> _Halves:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def is_free(self, seconds: float) -> bool:
        """Whether an object may enter within so many seconds; then one must be submitted."""
        return self._first.acquire(timeout=seconds)

    def submit(self, first: Callable[[int, Callable[[], None]], T], k: int) -> Future[T]:
        return self._pool.submit(self._make, first, k)

    def _make(self, first: Callable[[int, Callable[[], None]], T], k: int) -> T:
        held = self._first

        def half_way() -> None:
            nonlocal held
            _finish_queue(self._device)
            self._first.release()
            held = None
            self._second.acquire()
            held = self._second
            _use_stream(self._device, "second half", -1)

        _use_stream(self._device, "first half", 0)
        try:
            return first(k, half_way)
        finally:
            _finish_queue(self._device)  # nothing that it used is still to be read
            if held is not None:
                held.release()


def _followed(
    before: Future[T], pool: ThreadPoolExecutor, work: Callable[[int, T], R], k: int
) -> Future[R]:
    """Return the future of `work(k, …)`, which is submitted when what it needs is there."""
    outcome: Future[R] = Future()

    def pass_on(done: Future[R]) -> None:
        if done.cancelled():
            outcome.cancel()
        elif error := done.exception():
            outcome.set_exception(error)
        else:
            outcome.set_result(done.result())

    def go_on(done: Future[T]) -> None:
        if done.cancelled():
            outcome.cancel()
        elif error := done.exception():
            outcome.set_exception(error)
        else:
            try:
                pool.submit(work, k, done.result()).add_done_callback(pass_on)
            except RuntimeError:  # the pool is closed, as something has failed
                outcome.cancel()

    before.add_done_callback(go_on)
    return outcome


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

    return torch.cuda.stream(_stream(device, threading.current_thread().name, -2))


def _use_stream(device: str, name: str, priority: int) -> None:
    """Let this thread queue what it computes on a GPU in that stream, from now on."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.set_stream(_stream(device, name, priority))


def _finish_queue(device: str) -> None:
    """Wait until what this thread has queued is computed."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.current_stream(torch.device(device)).synchronize()


@cache
def _stream(device: str, name: str, priority: int) -> Any:
    """Return one stream for all objects.

    Memory that is freed stays with its stream, and each new one would take its own.
    """
    import torch

    return torch.cuda.Stream(torch.device(device), priority=priority)
