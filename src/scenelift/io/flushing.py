"""Brings large files to the disk while they are written, so that the last flush is a short one."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Flusher"]

AFTER = 64 << 20  # bytes


class Flusher:
    """Flushes a file by a thread, each time that so much more was written.

    Args:
        descriptor: of the file, which stays open.
        pool: whose thread; it may wait for the disk.
    """

    def __init__(self, descriptor: int, pool: ThreadPoolExecutor) -> None:
        self._descriptor, self._pool = descriptor, pool
        self._unflushed, self._running = 0, Future[None]()
        self._running.set_result(None)

    def wrote(self, count: int) -> None:
        """Take note of so many more bytes.

        Raises:
            OSError: an earlier flush failed.
        """
        self._unflushed += count
        if self._unflushed < AFTER or not self._running.done() or not hasattr(os, "fdatasync"):
            return
        self._running.result()
        self._unflushed = 0
        self._running = self._pool.submit(os.fdatasync, self._descriptor)

    def wait(self) -> None:
        """Wait for the last flush.

        Raises:
            OSError: it failed.
        """
        self._running.result()
