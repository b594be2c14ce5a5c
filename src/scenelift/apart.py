"""Calls in helper processes, for libraries that hold Python's lock while they compute.

fast-simplification and xatlas do, for tenths of a second an object: meanwhile no thread could feed
a GPU. Where none computes, and where there is no helper to be had, the call is made here. Results
are the same. Every thread that makes such calls has a helper of its own meanwhile.

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
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, BinaryIO, TypeVar

__all__ = ["apart", "calls_apart"]

log = logging.getLogger(__name__)

R = TypeVar("R")


@contextlib.contextmanager
def calls_apart(enabled: bool = True) -> Iterator[None]:
    """Within it, in this thread, `apart` uses a helper, which is started."""
    if not enabled:
        yield
        return
    helper = _idle.pop() if _idle else _Helper()
    token = _own_helper.set(helper)
    helper.start()
    try:
        yield
    finally:
        _own_helper.reset(token)
        _idle.append(helper)


def apart(function: Callable[..., R], *arguments: Any) -> R:
    """`function(*arguments)`, in a helper where `calls_apart` says so.

    Args:
        function: of a module's top level.
        arguments: can be pickled; they are small beside what the call costs.
    """
    helper = _own_helper.get()
    if helper is not None:
        try:
            return helper.call(function, arguments)
        except (OSError, EOFError, pickle.UnpicklingError) as exc:
            log.info("the helper process is gone (%s); computing here", exc)
            helper.stop()
    return function(*arguments)


class _Helper:
    """A helper process of this one, for one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._running()

    def call(self, function: Callable[..., R], arguments: tuple[Any, ...]) -> R:
        """Raises: what the function does; OSError or EOFError where the process has ended."""
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


_own_helper: ContextVar[_Helper | None] = ContextVar("helper", default=None)
_idle: list[_Helper] = []  # of earlier calls: starting one takes a second


def _stop_idle() -> None:
    while _idle:
        _idle.pop().stop()


atexit.register(_stop_idle)
if hasattr(os, "register_at_fork"):  # the parent's helpers are the parent's
    os.register_at_fork(after_in_child=_idle.clear)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer calls until there are no more."""
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
