"""The paths of all files below the data folder.

queue.sqlite3       the queue
worker-0.lock       held by the worker of a slot
incoming/ID/        an upload that is being received or checked
jobs/ID/            photo, job.json (what was asked for), edits.json (what was changed of the scene
                    by hand, where anything was), shown.jpg, thumbnail.jpg, found/ (masks),
                    stages/, scene/ (the output), exports/ (what was made of it on demand)
reserve             room on the disk that is given up when there is no other
shares/             links to scenes
spool/              bodies of uploads while they arrive
trash/              being deleted
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from scenelift.errors import OutputError
from scenelift.io.files import atomic_write

__all__ = ["FULL", "DataFolder", "JobFolder"]

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @property
    def photo(self) -> Path:
        """The upload, byte for byte."""
        return self.path / "photo"

    @property
    def record(self) -> Path:
        """The file with the job's request and owner: see `records.py`."""
        return self.path / "job.json"

    @property
    def edits(self) -> Path:
        """The file with the scene's edits as they were sent last."""
        return self.path / "edits.json"

    @property
    def display_photo(self) -> Path:
        """The photo as the models see it, for browsers."""
        return self.path / "shown.jpg"

    @property
    def thumbnail(self) -> Path:
        return self.path / "thumbnail.jpg"

    @property
    def share(self) -> Path:
        """The link to its scene, if there is one."""
        return self.path / "share.json"

    def drawn_masks(self, name: str) -> Path:
        """Masks that were clicked and painted, as a choice of the queue names them."""
        return self.path / name

    @property
    def search(self) -> Path:
        """Masks and overlay, as `scenelift segment` writes them."""
        return self.path / "found"

    @property
    def stages(self) -> Path:
        """Folder with the exact result of the search for objects."""
        return self.path / "stages"

    @property
    def scene(self) -> Path:
        """The output folder of the run."""
        return self.path / "scene"

    @property
    def exports(self) -> Path:
        """Files made of the scene on demand: see `exports.py`."""
        return self.path / "exports"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder of a server."""

    path: Path
    reserve_bytes: int = 2**18

    @property
    def database(self) -> Path:
        return self.path / "queue.sqlite3"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs"

    @property
    def incoming(self) -> Path:
        return self.path / "incoming"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def reserve(self) -> Path:
        return self.path / "reserve"

    @property
    def shares(self) -> Path:
        """The folder that maps a link's digest to its job."""
        return self.path / "shares"

    @property
    def trash(self) -> Path:
        return self.path / "trash"

    def create(self) -> None:
        """Create the folder, for this user alone.

        Raises:
            OutputError: it cannot be created, or belongs to somebody else.
        """
        # Photos are private: nobody else on this machine gets to read them.
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in (self.path, self.path.resolve()):
                status = path.lstat()
                if status.st_uid not in (os.geteuid(), 0):
                    raise OutputError(
                        f"{path} belongs to another user, who could read and change everything in "
                        "it. Choose another --data."
                    )
            if status.st_uid == os.geteuid() and status.st_mode & 0o022:
                self.path.chmod(status.st_mode & 0o7755)
        except (FileExistsError, NotADirectoryError) as exc:
            raise OutputError(
                f"{self.path} is a file; jobs need a folder. Choose another --data."
            ) from exc
        except OSError as exc:
            raise OutputError(
                f"{self.path} cannot be used: {exc.strerror or exc}. Choose another --data."
            ) from exc

    def prepare(self) -> None:
        """Create the folders in it; remove partial uploads and deletions of killed processes.

        A full disk is no reason to refuse: jobs must be deleted, to make room.

        Raises:
            OutputError: they cannot be created or written.
        """
        self.create()
        for leftover in (self.incoming, self.spool, self.trash):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            self._make_folders()
        except OSError as exc:
            if exc.errno in FULL and self.give_up_reserve():
                self._make_folders()
            elif isinstance(exc, FileExistsError | NotADirectoryError):
                raise OutputError(
                    f"{exc.filename} is a file, and a folder of ours belongs there. Move it, or "
                    "choose another --data."
                ) from exc
            else:
                raise OutputError(
                    f"{self.path} cannot be written: {exc.strerror or exc}. Free some space, or "
                    "choose another --data."
                ) from exc
        self.keep_reserve()

    def keep_reserve(self) -> None:
        """Reserve some disk space, while there is enough."""
        try:
            if shutil.disk_usage(self.path).free < 4 * self.reserve_bytes or self.reserve.exists():
                return
            with atomic_write(self.reserve) as file:
                # Zeros would take no room on file systems that compress.
                file.write(os.urandom(self.reserve_bytes))
        except (OSError, OutputError) as exc:
            log.warning("no room could be held back: %s", exc)

    def give_up_reserve(self) -> bool:
        """Free the reserve for what cannot wait; False where there is none."""
        try:
            self.reserve.unlink()
        except OSError:
            return False
        return True

    def _make_folders(self) -> None:
        for folder in (self.jobs, self.incoming, self.spool, self.trash):
            folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=self.incoming) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()

    def lock(self, slot: int) -> Path:
        return self.path / f"worker-{slot}.lock"

    def job(self, job_id: str) -> JobFolder:
        return JobFolder(self.jobs / job_id)

    def remove(self, folder: Path) -> None:
        """Delete a folder so that no half of it is ever visible under its name."""
        if not folder.exists():
            return
        target = self.trash / uuid.uuid4().hex
        try:
            self.trash.mkdir(exist_ok=True)
            folder.rename(target)
        except OSError as exc:
            if exc.errno not in FULL:
                raise
            target = folder  # without room even for the name of it, half of it is better seen
        shutil.rmtree(target, ignore_errors=True)
