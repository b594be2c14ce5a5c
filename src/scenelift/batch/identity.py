"""Identify workers, and tell which are alive: by process here, by the server's clock elsewhere."""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["CLOCK_PREFIX", "ServerClock", "WorkerIdentity", "process_is_gone"]

PROC = Path("/proc")
CLOCK_PREFIX = ".clock-"
CLOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerIdentity:
    """A process that works on items.

    Attributes:
        name: unique among all workers of all time; part of file names.
        host: name of its machine, for people.
        machine: boot and process namespace; equal where process numbers mean the same. "" where
            the system does not tell.
        pid: process number.
        started: when the process started, in ticks since boot; tells it from a later process
            with the same number.
        job: the scheduler's name for the job it runs in, "" outside of one.
    """

    name: str
    host: str
    machine: str
    pid: int
    started: int
    job: str

    @classmethod
    def here(cls) -> WorkerIdentity:
        """Make a new identity for this process."""
        host, pid = socket.gethostname().split(".")[0], os.getpid()
        return cls(
            name=f"{host}-{pid}-{secrets.token_hex(3)}",
            host=host,
            machine=_machine(),
            pid=pid,
            started=_start_ticks(pid) or 0,
            job=_job(),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def process_is_gone(worker: dict[str, Any]) -> bool:
    """Return whether a worker has surely ended: it ran on this machine and its process is gone."""
    machine = worker.get("machine")
    if not machine or machine != _machine():
        return False
    return _start_ticks(int(worker["pid"])) != worker["started"]


class ServerClock:
    """The file server's time, with which the ages of its files are compared.

    Clocks of nodes may differ by more than a lease. The server's is read off a file that it stamps
    itself, once a minute; in between, this machine's monotonic clock goes on from there.

    Args:
        folder: on the file system in question.
        name: of a file there that nobody else has.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{CLOCK_PREFIX}{name}"
        self._offset, self._sync_time = 0.0, -float("inf")

    def now(self) -> float:
        """Return seconds since the epoch by the server's clock."""
        here = time.monotonic()
        if here - self._sync_time > CLOCK_SECONDS:
            # Gone again at once: a worker that is killed leaves none.
            try:
                self._file.touch()
                os.utime(self._file)
                self._offset, self._sync_time = self._file.stat().st_mtime - here, here
            finally:
                self._file.unlink(missing_ok=True)
        return here + self._offset


def _machine() -> str:
    with suppress(OSError):
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(PROC / 'self/ns/pid').readlink()}"
    return ""


def _start_ticks(pid: int) -> int | None:
    """Return when a process started; None if it does not exist or is a zombie."""
    with suppress(OSError, ValueError, IndexError):
        # The command's name, in parentheses, may hold spaces and parentheses itself.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    return None


def _job() -> str:
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
