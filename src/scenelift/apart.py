"""Call functions in a helper process, for libraries that block Python while they compute.

fast-simplification and xatlas do, for tenths of a second an object: meanwhile no thread could feed
a GPU. Where none computes, and where there is no helper to be had, the call is made here. Results
are the same.

    python -m scenelift.apart      is the helper: it answers calls from its standard input
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, BinaryIO, TypeVar

__all__ = ["apart", "calls_apart"]

log = logging.getLogger(__name__)

R = TypeVar("R")

_enabled: ContextVar[bool] = ContextVar("calls apart", default=False)


@contextlib.contextmanager
def calls_apart(enabled: bool = True) -> Iterator[None]:
    """Start the helper process; within the block, `apart` uses it in this thread."""
    token = _enabled.set(enabled)
    if enabled:
        _HELPER.start()
    try:
        yield
    finally:
        _enabled.reset(token)


def apart(function: Callable[..., R], *arguments: Any) -> R:
    """Call a function: in the helper process within `calls_apart`, else here.

    Args:
        function: of a module's top level.
        arguments: can be pickled; they are small beside what the call costs.
    """
    if _enabled.get():
        try:
            return _HELPER.call(function, arguments)
        except (OSError, EOFError, pickle.UnpicklingError) as exc:
            log.info("the helper process is gone (%s); computing here", exc)
            _HELPER.stop()
    return function(*arguments)


class _Helper:
    """A helper process of this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._lock:
            self._running()

    def call(self, function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
        """Call a function in the helper; its errors are raised here."""
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            request = (function.__module__, function.__qualname__, arguments)
            pickle.dump(request, process.stdin, protocol=5)
            process.stdin.flush()
            fine, value = pickle.load(process.stdout)  # noqa: S301 - our own child's
        if not fine:
            raise value
        return value

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # of what it did not read
                assert pipe is not None
                pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            # Not by multiprocessing, which would run the caller's own script again.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scenelift.apart"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        return self._process


_HELPER = _Helper()
atexit.register(_HELPER.stop)
if hasattr(os, "register_at_fork"):  # the parent's helper is the parent's
    os.register_at_fork(after_in_child=_HELPER.__init__)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer calls until no more come."""
    while True:
        try:
            module, name, arguments = pickle.load(requests)  # noqa: S301 - our own parent's
        except EOFError:
            return
        try:
            answer = True, getattr(importlib.import_module(module), name)(*arguments)
        except Exception as exc:
            log.debug("a call failed", exc_info=True)
            answer = False, exc
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


if __name__ == "__main__":
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever prints must not answer
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent ends it
        _serve(sys.stdin.buffer, out)
