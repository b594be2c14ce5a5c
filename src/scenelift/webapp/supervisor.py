"""Keeps the workers alive, and ends attempts that they do not end themselves.

A thread of the server. It starts a process a slot, replaces those that die (at once the first
time, then more slowly), and kills those that hold on to a cancelled job, are silent beyond their
lease, or take longer than a job may.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scenelift.webapp.click_line import ClickLines
from scenelift.webapp.jobs import JobRow, Queue
from scenelift.webapp.repeats import Repeats
from scenelift.worker_processes import end_worker, start_worker, stop_workers

__all__ = ["Supervisor"]

log = logging.getLogger(__name__)

TICK_SECONDS = 0.1
LONGEST_BACKOFF = 30.0
# A worker that lived this long was well when it started: its successor starts at once.
HEALTHY_SECONDS = 30.0


@dataclass(slots=True)
class _Slot:
    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    next_start: float = 0.0
    quick_deaths: int = 0
    killed_because: str = ""


@dataclass(slots=True)
class _Watched:
    """An attempt as this process has observed it, in seconds of a clock that nobody can set.

    Attributes:
        began: first seen.
        lease: as it was when last renewed.
        renewed: when that was seen.
        cancelled: when the wish to stop it was first seen.
    """

    began: float
    lease: float
    renewed: float
    cancelled: float | None = None


class Supervisor:
    """Starts, watches and replaces workers.

    Args:
        command: the command line of a slot's worker.
        slots: number of workers.
        cancel_seconds: how long a cancelled job may go on.
        job_seconds: how long an attempt may take.
        lease_seconds: how long a worker may be silent.
        stop_seconds: how long a worker may take to stop.
    """

    def __init__(
        self,
        queue: Queue,
        command: Callable[[int], Sequence[str]],
        slots: int,
        *,
        cancel_seconds: float,
        job_seconds: float,
        lease_seconds: float = 60.0,
        stop_seconds: float,
    ) -> None:
        self._queue, self._command = queue, command
        self._cancel_seconds, self._job_seconds = cancel_seconds, job_seconds
        self._stop_seconds, self._lease_seconds = stop_seconds, lease_seconds
        self._watched: dict[str, _Watched] = {}
        self._repeats = Repeats(log)
        self._slots = [_Slot(number) for number in range(slots)]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self.restarts = 0
        self.clicks = ClickLines()

    @property
    def alive(self) -> int:
        """Number of worker processes that run."""
        return sum(s.process is not None and s.process.poll() is None for s in self._slots)

    @property
    def pids(self) -> list[int]:
        return [s.process.pid for s in self._slots if s.process is not None]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the workers; the next server continues their jobs."""
        self._stopping.set()
        self._thread.join()
        running = [slot for slot in self._slots if slot.process is not None]
        stop_workers([slot.process for slot in running if slot.process], self._stop_seconds)
        for slot in running:
            slot.process = None
            # If not, the next server finds them running without a worker, and knows what to do.
            with self._repeats.outlive("jobs could not be given back"):
                self._queue.recover(slot.number, "the server stopped", counts=False)

    def _run(self) -> None:
        while not self._stopping.is_set():
            # A full disk, no more files or processes, a row that makes no sense: this thread
            # outlives it, and tries again at the next tick.
            for slot in self._slots:
                with self._repeats.outlive("a worker cannot be started or replaced"):
                    self._keep(slot)
            with self._repeats.outlive("running jobs cannot be looked after"):
                self._end_overdue()
            self._stopping.wait(TICK_SECONDS)

    def _keep(self, slot: _Slot) -> None:
        if slot.process is not None and slot.process.poll() is not None:
            reason = slot.killed_because or _explain(slot.process.returncode)
            # First: should it fail, the process is still known to be dead at the next tick.
            self._queue.recover(slot.number, reason)
            end_worker(slot.process)
            slot.process = None
            lived = time.monotonic() - slot.started
            if slot.killed_because or lived > HEALTHY_SECONDS:
                slot.quick_deaths = 0
            else:
                slot.quick_deaths += 1
            delay = 0.0
            if slot.quick_deaths:
                delay = min(LONGEST_BACKOFF, 0.1 * 2 ** (slot.quick_deaths - 1))
            log.warning("worker %d ended: %s; next start in %.1f s", slot.number, reason, delay)
            slot.next_start, slot.killed_because = time.monotonic() + delay, ""
            self.restarts += 1
        if slot.process is None and time.monotonic() >= slot.next_start:
            slot.started = time.monotonic()
            answers, for_worker = os.pipe()
            try:
                command = [*self._command(slot.number), "--answers", str(for_worker)]
                slot.process = start_worker(command, inherits=[for_worker])
            except BaseException:
                os.close(answers)
                raise
            finally:
                os.close(for_worker)
            self.clicks.opened(slot.number, slot.process, answers)

    def _end_overdue(self) -> None:
        running = self._queue.running()
        attempts = {job.worker or "": job for job, _ in running}
        self._watched = {name: w for name, w in self._watched.items() if name in attempts}
        for job, lease in running:
            reason = self._overdue(job, lease)
            slot = self._slot_of(job)
            if reason is None:
                continue
            log.warning("job %s: %s", job.id, reason)
            if slot is None:
                # Of a server with more workers than this one: nobody will renew that lease.
                self._queue.recover(int((job.worker or "0").partition("-")[0]), reason)
            elif slot.process is not None:
                slot.killed_because = reason
                slot.process.kill()
                slot.process.wait()
                self._keep(slot)

    def _overdue(self, job: JobRow, lease: float) -> str | None:
        now = time.monotonic()
        watched = self._watched.setdefault(job.worker or "", _Watched(now, lease, now))
        if lease != watched.lease:
            watched.lease, watched.renewed = lease, now
        if job.cancel is not None and watched.cancelled is None:
            watched.cancelled = now
        if watched.cancelled is not None and now > watched.cancelled + self._cancel_seconds:
            return "a cancelled stage did not stop"
        if now > watched.renewed + self._lease_seconds:
            return "it was silent for too long"
        if now > watched.began + self._job_seconds:
            return f"it took longer than {self._job_seconds:g} s"
        return None

    def busy_slots(self) -> set[int]:
        """Slots whose worker has a job."""
        return {int((job.worker or "0").partition("-")[0]) for job, _ in self._queue.running()}

    def _slot_of(self, job: JobRow) -> _Slot | None:
        for slot in self._slots:
            if (job.worker or "").startswith(f"{slot.number}-"):
                return slot
        return None


def _explain(code: int) -> str:
    """Explain how a process ended."""
    if code == -signal.SIGKILL:
        return "it was killed, perhaps because memory ran out"
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return f"it exited with code {code}"
