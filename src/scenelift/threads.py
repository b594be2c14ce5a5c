"""Work side by side in threads, for what lets go of Python's lock: numpy, compression, files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["core_count", "side_by_side"]

T = TypeVar("T")
R = TypeVar("R")


def core_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def side_by_side(work: Callable[[T], R], items: Iterable[T], *, most: int = 8) -> Generator[R]:
    """Results of `work` for every item, in the items' order, some of them computed ahead.

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
