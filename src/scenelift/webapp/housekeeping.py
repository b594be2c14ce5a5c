"""What goes away by itself: deleted jobs, old ones, and what no job owns."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import Queue

__all__ = ["Housekeeper", "folder_bytes"]

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
# An upload is moved into place just before its job is queued.
ORPHAN_SECONDS = 600.0
KEEP_EVENTS_SECONDS = 24 * 3600.0


class Housekeeper:
    """A thread of the server that tidies the data folder once a minute.

    Args:
        keep_seconds: how long a job is kept after it ended.
        max_bytes: what all jobs together may take.
    """

    def __init__(
        self, data: DataFolder, queue: Queue, *, keep_seconds: float, max_bytes: int
    ) -> None:
        self._data, self._queue = data, queue
        self._keep_seconds, self._max_bytes = keep_seconds, max_bytes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)
        self.stored_bytes = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def tidy(self) -> None:
        """One round."""
        self.remove_deleted()
        self._remove_orphans()
        self._remove_old()
        self._queue.forget_events(time.time() - KEEP_EVENTS_SECONDS)

    def remove_deleted(self) -> None:
        """Remove deleted jobs that nobody works on, files first."""
        for job_id in self._queue.doomed():
            self._data.remove(self._data.job(job_id).path)
            self._queue.purge(job_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.tidy()
            except Exception:
                # The next round may do better; the server goes on meanwhile.
                log.exception("the data folder could not be tidied")
            self._stopping.wait(INTERVAL_SECONDS)

    def _remove_orphans(self) -> None:
        """Folders without a job: a server was killed between moving an upload and queueing it."""
        folders = [f for f in self._data.jobs.iterdir() if f.is_dir()]
        known = self._queue.ids()
        for folder in folders:
            if folder.name not in known and _age(folder) > ORPHAN_SECONDS:
                self._data.remove(folder)

    def _remove_old(self) -> None:
        ended = self._queue.ended()
        sizes = {job.id: folder_bytes(self._data.job(job.id).path) for job in ended}
        total = sum(sizes.values())
        for job in ended:
            folder = self._data.job(job.id)
            if job.state in ("failed", "cancelled"):
                shutil.rmtree(folder.scene, ignore_errors=True)
            too_old = time.time() - (job.finished or job.created) > self._keep_seconds
            if too_old or total > self._max_bytes:
                log.info("job %s is removed: %s", job.id, "old" if too_old else "no room")
                self._queue.delete(job.id, job.owner)
                total -= sizes[job.id]
        self.stored_bytes = total
        self.remove_deleted()


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0
