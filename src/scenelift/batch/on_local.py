"""`--on local`: worker processes on this machine, replaced when they die.

An array task of SLURM is one of these too.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.ledger import Ledger
from scenelift.batch.progress import BatchProgress
from scenelift.errors import InputError, OutputError, SetupError
from scenelift.worker_processes import end_worker, start_worker, stop_workers

__all__ = ["LocalWorkers"]

log = logging.getLogger(__name__)

# Workers that die before they claim anything: the set-up is at fault, and no item.
DEATHS_AT_START = 3
STOP_SECONDS = 30.0
LOG_TAIL_BYTES = 2000


@dataclass(slots=True)
class _Slot:
    number: int
    process: subprocess.Popen[bytes] | None = None
    log: Path = Path()


class LocalWorkers:
    """Keeps a number of worker processes running while there are items for them.

    Args:
        plan: name of the plan.
        workers: processes.
        devices: one each, in turn; empty for the batch's own.
        start: where in the list to begin, in 0…1.
        span: share of the list that these workers begin in; they do not stop at its end.
    """

    def __init__(
        self,
        folder: BatchFolder,
        plan: str,
        *,
        workers: int = 1,
        devices: Sequence[str] = (),
        start: float = 0.0,
        span: float = 1.0,
    ) -> None:
        if workers < 1:
            raise InputError(f"--workers must be at least 1, got {workers}.")
        self._folder, self._plan, self._devices = folder, plan, list(devices)
        self._start, self._span = start, span
        self._slots = [_Slot(k) for k in range(workers)]
        # Several workers share the cores; a single one knows best itself.
        self._threads = max(1, _cores() // workers) if workers > 1 else 0
        self._deaths_at_start = 0
        self._ledger = Ledger(folder, WorkerIdentity.here())

    @property
    def name(self) -> str:
        n = len(self._slots)
        return f"{n} worker{'s' if n > 1 else ''} here"

    @property
    def pids(self) -> list[int]:
        """Process numbers of the running workers."""
        return [s.process.pid for s in self._slots if s.process is not None]

    def tick(self, progress: BatchProgress) -> None:
        """Replace workers that ended, as long as items are waiting.

        Raises:
            SetupError: workers cannot work here.
            OutputError: they cannot write.
        """
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is not None:
                self._count_death(slot)
        idle = [slot for slot in self._slots if slot.process is None]
        if idle:
            free = self._free_items(progress, len(self._slots))
            busy = len(self._slots) - len(idle)
            for slot in idle[: max(0, free - busy) if busy else free]:
                self._spawn(slot)

    def wait(self, seconds: float) -> None:
        """Wait a while."""
        time.sleep(seconds)

    def stop(self) -> None:
        """Make the workers give back their items, wait for them, and kill those that do not end."""
        stop_workers([s.process for s in self._slots if s.process is not None], STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the workers at once."""
        for slot in self._slots:
            if slot.process is not None:
                end_worker(slot.process)
                slot.process = None

    def _free_items(self, progress: BatchProgress, enough: int) -> int:
        """Count the items that no worker has, up to `enough`."""
        free = 0
        for item in progress.open_items():
            entry = progress.entries.get(item.id)
            free += not (entry and entry.state == "claimed" and self._ledger.alive(entry))
            if free >= enough:
                break
        return free

    def _spawn(self, slot: _Slot) -> None:
        start = self._start + self._span * slot.number / len(self._slots)
        stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{slot.number}"
        slot.log = self._folder.logs / f"{self._ledger.worker.host}-{stamp}.log"
        command = [sys.executable, "-m", "scenelift.batch.worker"]
        command += ["--out", str(self._folder.root), "--plan", self._plan, "--parent"]
        command += ["--start", f"{start % 1.0:.6f}", "--threads", str(self._threads)]
        command += ["--problem", str(slot.log.with_suffix(".json"))]
        if self._devices:
            command += ["--device", self._devices[slot.number % len(self._devices)]]
        with slot.log.open("ab") as log_file:
            slot.process = start_worker(command, log_file)

    def _count_death(self, slot: _Slot) -> None:
        """Record that a worker ended; raise its error if workers keep ending at once."""
        process = slot.process
        assert process is not None
        end_worker(process)
        slot.process = None
        code = process.returncode
        problem = slot.log.with_suffix(".json")
        if problem.is_file():
            detail = json.loads(problem.read_bytes())["detail"]
            raise (OutputError if code == OutputError.exit_code else SetupError)(detail)
        if code == 0:
            self._deaths_at_start = 0
            return
        has_claimed = any(self._folder.journals.glob(f"*-{process.pid}-*.jsonl"))
        log.warning("worker %d ended with %d, see %s", process.pid, code, slot.log)
        self._deaths_at_start = 0 if has_claimed else self._deaths_at_start + 1
        if self._deaths_at_start >= DEATHS_AT_START:
            raise SetupError(
                f"Workers end with code {code} before they take an item. The end of {slot.log}:\n"
                f"{_tail(slot.log)}"
            )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tail(path: Path) -> str:
    with suppress(OSError):
        return path.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return ""
