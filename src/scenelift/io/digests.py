"""Digests of files, taken while they are written: nothing is read again."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, cast

from scenelift.io.flushing import Flusher

__all__ = ["digested", "digests_of_writes"]

# Blocks that are digested by another thread while they are written: shorter ones wait longer for
# it than they take.
LARGE = 1 << 20
AHEAD = 3  # read-only blocks that wait to be digested, while the file is written on

_digests: ContextVar[dict[Path, str] | None] = ContextVar("digests of writes", default=None)


@contextmanager
def digests_of_writes() -> Iterator[dict[Path, str]]:
    """Context: collects the SHA-256 of what `atomic_write` writes in this thread, by its path.

    A file that was not written from front to end is not there.
    """
    digests: dict[Path, str] = {}
    token = _digests.set(digests)
    try:
        yield digests
    finally:
        _digests.reset(token)


@contextmanager
def digested(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to instead, whose digest is kept where `digests_of_writes` wants it.

    A large one goes to the disk meanwhile.

    Args:
        file: open and empty.
        path: by which the digest is kept.
    """
    digests = _digests.get()
    if digests is None:
        yield file
        return
    digests.pop(path, None)  # of what it replaces
    with (
        ThreadPoolExecutor(1, thread_name_prefix="digest") as pool,
        ThreadPoolExecutor(1, thread_name_prefix="flush") as other_pool,
    ):
        flusher = Flusher(file.fileno(), other_pool)
        passed = _Digested(file, pool, flusher)
        yield cast(BinaryIO, passed)
        flusher.wait()
    if passed.is_whole:
        digests[path] = passed.digest.hexdigest()


class _Digested:
    """A file that is written in order; whoever asks more of it gets it, without a digest.

    Attributes:
        digest: of what was written.
        is_whole: whether that is all the file has.
    """

    def __init__(self, file: BinaryIO, pool: ThreadPoolExecutor, flusher: Flusher) -> None:
        self._file, self._pool, self._flusher = file, pool, flusher
        self._waiting: deque[Future[None]] = deque()
        self.digest, self.is_whole = hashlib.sha256(), True

    def write(self, data: Any) -> int:
        block = memoryview(data)
        self._flusher.wrote(block.nbytes)
        if block.nbytes < LARGE and not self._waiting:
            self.digest.update(data)
            return self._file.write(data)
        self._waiting.append(self._pool.submit(self.digest.update, data))
        try:
            return self._file.write(data)
        finally:
            # Who may write over its bytes does not get them back before.
            most = AHEAD if block.readonly else 0
            while len(self._waiting) > most:
                self._waiting.popleft().result()

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self._file.tell()

    def __getattr__(self, name: str) -> Any:
        self.is_whole = False  # it may seek, or write to the file's descriptor
        return getattr(self._file, name)
