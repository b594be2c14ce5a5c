"""Removes deleted and old jobs, those beyond a quota, and leftovers of uploads."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scenelift.webapp.clock import ClockWatch
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import JobRow, Queue
from scenelift.webapp.records import holds_work, write_missing_records
from scenelift.webapp.repeats import Repeats

__all__ = ["Housekeeper", "folder_bytes"]

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# Deleted jobs go as soon as their worker has let go of them.
DELETED_SECONDS = 1.0
# An upload is moved into place just before its job is queued.
ORPHAN_SECONDS = 600.0
KEEP_EVENTS_SECONDS = 24 * 3600.0


class Housekeeper:
    """A thread of the server that tidies the data folder once a minute.

    Args:
        keep_seconds: how long a job is kept after it ended.
        max_bytes: what all jobs together may take.
        owner_bytes: what the jobs of one owner may take; None for `max_bytes`.
    """

    def __init__(
        self,
        data: DataFolder,
        queue: Queue,
        *,
        keep_seconds: float,
        max_bytes: int,
        owner_bytes: int | None = None,
    ) -> None:
        self._data, self._queue = data, queue
        self._keep_seconds, self._max_bytes = keep_seconds, max_bytes
        self._owner_bytes = max_bytes if owner_bytes is None else owner_bytes
        self._clock = ClockWatch(queue.last_activity())
        self._repeats = Repeats(log)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self.stored_bytes = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def tidy(self) -> None:
        """Tidy once: remove deleted, orphaned and old jobs, and old events."""
        self._data.keep_reserve()
        self.remove_deleted()
        by_age = self._clock.trusted()
        if by_age:
            self._remove_orphans()
        self._remove_old(by_age)
        if by_age:
            self._queue.forget_events(time.time() - KEEP_EVENTS_SECONDS)

    def remove_deleted(self) -> None:
        """Remove deleted jobs that no worker is running, files first."""
        for job_id in self._queue.jobs_to_remove():
            self._data.remove(self._data.job(job_id).path)
            self._queue.purge(job_id)

    def _run(self) -> None:
        with self._repeats.outlive("jobs could not be written down beside their photos"):
            write_missing_records(self._data, self._queue)
        while not self._stopping.is_set():
            # The next round may do better; the server goes on meanwhile.
            with self._repeats.outlive("the data folder could not be tidied"):
                self.tidy()
            due = time.monotonic() + INTERVAL_SECONDS
            while time.monotonic() < due and not self._stopping.wait(DELETED_SECONDS):
                with self._repeats.outlive("deleted jobs could not be removed"):
                    self.remove_deleted()

    def _remove_orphans(self) -> None:
        """Remove photos without a job: a server was killed between moving and queueing an upload.

        A folder with anything more is never taken for a leftover: the queue may have been lost.
        """
        folders = [f for f in self._data.jobs.iterdir() if f.is_dir()]
        ids = self._queue.ids()
        for folder in folders:
            if folder.name in ids or _age(folder) <= ORPHAN_SECONDS:
                continue
            if not holds_work(self._data.job(folder.name)):
                self._data.remove(folder)

    def _remove_old(self, by_age: bool) -> None:
        finished_jobs = self._queue.finished_jobs()
        sizes = {job.id: folder_bytes(self._data.job(job.id).path) for job in finished_jobs}
        for job in finished_jobs:
            if job.readable and job.state in ("failed", "cancelled"):
                shutil.rmtree(self._data.job(job.id).scene, ignore_errors=True)
        remaining = list(finished_jobs)
        if by_age:
            now = time.time()
            # A row that this version cannot read may be another version's: it is for its owner.
            old = [
                job
                for job in finished_jobs
                if job.readable and now - (job.finished or job.created) > self._keep_seconds
            ]
            removed_ids = {job.id for job in old}
            remaining = [job for job in finished_jobs if job.id not in removed_ids]
            self._remove(old, "old")
        remaining = self._keep_quotas(remaining, sizes)
        self.stored_bytes = sum(sizes[job.id] for job in remaining)
        self.remove_deleted()

    def _keep_quotas(self, jobs: Sequence[JobRow], sizes: dict[str, int]) -> list[JobRow]:
        """Remove the oldest jobs of owners beyond their quota, then of those with the most.

        So whoever has less than an equal share loses nothing to what others do.

        Args:
            jobs: oldest first.

        Returns:
            The jobs that stay.
        """
        bytes_of_owner: Counter[str] = Counter()
        for job in jobs:
            bytes_of_owner[job.owner] += sizes[job.id]
        remaining = list(jobs)
        while bytes_of_owner:
            owner, most = bytes_of_owner.most_common(1)[0]
            if most <= self._owner_bytes and bytes_of_owner.total() <= self._max_bytes:
                break
            victim = next((job for job in remaining if job.owner == owner and job.readable), None)
            if victim is None:
                del bytes_of_owner[owner]  # nothing of theirs may go
                continue
            remaining = [job for job in remaining if job is not victim]
            bytes_of_owner[owner] -= sizes[victim.id]
            self._remove([victim], "no room")
        return remaining

    def _remove(self, jobs: Sequence[JobRow], why: str) -> None:
        for job in jobs:
            log.info("job %s is removed: %s", job.id, why)
            self._queue.delete(job.id, job.owner)


def folder_bytes(folder: Path) -> int:
    """Sum up the sizes of all files below a folder; those that vanish meanwhile do not count.

    A file of two names, as an edited scene and its original share them, counts once.
    """
    total, linked = 0, set[tuple[int, int]]()
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        which = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and path.is_file():
            if which in linked:
                continue
            linked.add(which)
        total += status.st_size
    return total


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0
