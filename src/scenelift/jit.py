"""Compilation of the CPU kernels by numba, and the threads that run them.

Machine code is cached in `NUMBA_CACHE_DIR` where that is set, else beside this package, else in the
user's cache folder. In a container where none of them can be written, kernels still compile, once
for every process.

Kernels that work on many items take the first and the end of a range of them, and `spread` runs
ranges side by side in Python's threads. numba could do so too (`parallel=True`), but compiles such
a kernel for one to four seconds more, allows one caller at a time, and does not survive a fork.
"""

from __future__ import annotations

import functools
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numba
import numpy as np
from numba.core import config, event
from numpy.typing import ArrayLike, NDArray

__all__ = ["compiled", "kernel_array", "on_compilation", "shared_by", "spread", "thread_count"]

logger = logging.getLogger(__name__)

# Items differ in work: with more ranges than threads, all are done at about the same time.
RANGES_PER_THREAD = 8

_callers: ContextVar[int] = ContextVar("callers that share the threads", default=1)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: compile on the first call, cached on disk where some folder can be written.

    No `fastmath`: every run and every thread count gives the same bytes. `error_model="numpy"`
    makes a division by zero an infinity, as everywhere else in the package. Kernels hold no lock of
    Python's while they run.
    """
    try:
        return numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError as exc:  # numba found no folder that it can write
        logger.info("%s is compiled in every process: %s", function.__name__, exc)
        return numba.njit(function, nogil=True, error_model="numpy")


class _Once(event.Listener):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell, self._has_run = tell, False

    def on_start(self, event: event.Event) -> None:
        if not self._has_run:
            self._has_run = True
            self._tell()

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def on_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Context: call `tell` once if a kernel is compiled meanwhile, from the thread that does.

    A kernel that is read from the cache is not compiled.
    """
    listener = _Once(tell)
    with event.install_listener("numba:compile", listener):  # pyright: ignore[reportUnknownMemberType]
        yield


def spread(kernel: Callable[..., Any], count: int, *arguments: Any) -> None:
    """Call `kernel(first, end, *arguments)` on ranges that make up 0…count, side by side.

    Args:
        kernel: a compiled one; whatever it writes for one item, it writes for no other.
    """
    threads = thread_count()
    if threads == 1 or count < 2:
        kernel(0, count, *arguments)
        return
    kernel(0, 0, *arguments)  # compiles, once
    ends = np.linspace(0, count, min(count, RANGES_PER_THREAD * threads) + 1).astype(int).tolist()
    ranges = itertools.pairwise(ends)

    def work() -> None:
        for first, end in ranges:  # whoever is done takes the next one
            kernel(first, end, *arguments)

    others = [_pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


def thread_count() -> int:
    """Count the threads that `spread` uses: `NUMBA_NUM_THREADS`, or one for each of our cores.

    Less within `shared_by`.
    """
    return max(1, _every_thread() // _callers.get())


def _every_thread() -> int:
    settings: Any = config  # made when numba is imported: types do not know them
    return settings.NUMBA_NUM_THREADS


@contextmanager
def shared_by(callers: int) -> Iterator[None]:
    """Context: `spread` in this thread leaves cores to others that call it at the same time.

    Kernels of a millisecond gain little from every core, and handing ranges to threads holds
    Python's lock, for which the callers wait.
    """
    token = _callers.set(max(1, callers))
    try:
        yield
    finally:
        _callers.reset(token)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_every_thread(), thread_name_prefix="kernel")


if hasattr(os, "register_at_fork"):  # threads stay behind in the parent
    os.register_at_fork(after_in_child=_pool.cache_clear)


def kernel_array(array: ArrayLike, dtype: type) -> NDArray[Any]:
    """Return the array as kernels want it, copied only where needed.

    A read-only or strided array is another type to numba, and would compile a second kernel.
    """
    return np.require(array, dtype, ["C", "A", "W"])
