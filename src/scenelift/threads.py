"""Runs work side by side in threads, for what lets go of Python's lock: numpy, files."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["core_count", "quick_turns", "side_by_side"]

T = TypeVar("T")
R = TypeVar("R")

TURN = 0.0005  # seconds; Python's own are 0.005


def core_count() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


@contextmanager
def quick_turns() -> Iterator[None]:
    """Context: threads take turns at Python's lock ten times as often as usual.

    One that feeds a GPU lets go of the lock with every call, and would wait for it up to five
    milliseconds each time while another thread computes in Python.
    """
    _quick.begin()
    try:
        yield
    finally:
        _quick.end()


class _QuickTurns:
    """Restores the usual interval when the last thread that wanted quick turns ends.

    Two that overlap would otherwise leave each other's interval behind.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._usual = threading.Lock(), 0, 0.0

    def begin(self) -> None:
        with self._lock:
            if self._users == 0:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, TURN))
            self._users += 1

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._usual)


_quick = _QuickTurns()


def side_by_side(work: Callable[[T], R], items: Iterable[T], *, most: int = 8) -> Generator[R]:
    """Yield results of `work` for every item, in order, some of them computed ahead.

    Args:
        work: is called in threads; an error of it is raised here, and the items after it are
            left out.
        items: any number.
        most: threads, if there are so many cores. Twice as many results are held at once.
    """
    threads = min(most, core_count())
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="side-by-side") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
