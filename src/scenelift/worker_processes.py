"""Starts and stops worker processes of the web app and of batches, from both sides.

A worker stops at SIGTERM, and when the process that started it is gone: its standard input closes
then, even on kill -9. Whoever starts one keeps that input open.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

__all__ = [
    "LastingThread",
    "end_worker",
    "join_or_exit",
    "on_stop_request",
    "start_worker",
    "stop_workers",
]

log = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]
POLL_SECONDS = 0.1


def start_worker(
    command: Sequence[str], output: IO[bytes] | None = None, *, inherits: Sequence[int] = ()
) -> Process:
    """Start a worker; its output goes to a file, or where ours goes.

    Args:
        inherits: further file descriptors of ours that it has too.
    """
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=output, stderr=output, pass_fds=inherits
    )


def end_worker(process: Process) -> None:
    """Make sure that a worker is dead, and release its resources."""
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


def stop_workers(processes: Sequence[Process], seconds: float) -> None:
    """Ask workers to stop, and end those that take longer."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + seconds
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        if process.poll() is None:
            log.warning("worker %d did not stop in time and is killed", process.pid)
        end_worker(process)


def on_stop_request(
    stop: Callable[[], object],
    *,
    with_parent: bool,
    take: Callable[[bytes], object] | None = None,
) -> None:
    """In a worker: call `stop` at SIGTERM, and where wanted once the parent process is gone.

    Args:
        take: called with every line that the parent writes to our standard input.
    """
    # Ctrl-C reaches every process of a terminal; whoever started us then says what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: stop())

    def watch() -> None:
        # A file of our own: Python closes its standard input at the end, and aborts where a thread
        # is reading it.
        for line in os.fdopen(os.dup(sys.stdin.fileno()), "rb"):
            if take is not None:
                take(line)
        stop()

    if with_parent:
        threading.Thread(target=watch, daemon=True, name="parent").start()


class LastingThread:
    """A thread that runs one piece of work after another, and lives on between them.

    Libraries keep what they have prepared by thread, as PyTorch does its plans of attention on a
    GPU: a new thread for each piece would prepare it all again.
    """

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, daemon=True, name=name).start()

    def start(self, work: Callable[[], object]) -> None:
        """Begin with a piece of work; the one before has ended."""
        self._idle.clear()
        self._work.put(work)

    def is_alive(self) -> bool:
        """Whether it is at work."""
        return not self._idle.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until its work is done, at most so many seconds."""
        self._idle.wait(timeout)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:
                log.exception("work in a thread failed")
            finally:
                del work  # and what it holds
                self._idle.set()


def join_or_exit(
    thread: threading.Thread | LastingThread,
    *,
    stopping: Callable[[], bool],
    seconds: float,
    give_back: Callable[[], object],
    tick: Callable[[], object] = lambda: None,
) -> None:
    """In a worker: wait for a thread, but not for ever once the worker is to stop.

    The work runs in a thread so that signals are answered while it is deep in compiled code.

    Args:
        thread: has been started.
        stopping: whether the worker is to stop.
        seconds: how long the thread may go on then, before this process exits.
        give_back: called before it does.
        tick: called ten times a second.
    """
    give_up: float | None = None
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        tick()
        if stopping():
            give_up = give_up or time.monotonic() + seconds
            if time.monotonic() > give_up:
                log.warning("a stage did not stop in time")
                give_back()
                os._exit(0)
