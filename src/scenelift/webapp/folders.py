"""Where things lie below the data folder.

queue.sqlite3       the queue
worker-0.lock       held by the worker of a slot
incoming/ID/        an upload that is being received or checked
jobs/ID/            photo, shown.jpg, thumbnail.jpg, found/ (masks), stages/, scene/ (the output)
trash/              being deleted
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from scenelift.io.files import prepare_output_folder

__all__ = ["DataFolder", "JobFolder"]


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The files of one job."""

    path: Path

    @property
    def photo(self) -> Path:
        """The upload, byte for byte."""
        return self.path / "photo"

    @property
    def shown(self) -> Path:
        """The photo as the models see it, for browsers."""
        return self.path / "shown.jpg"

    @property
    def thumbnail(self) -> Path:
        return self.path / "thumbnail.jpg"

    @property
    def found(self) -> Path:
        """Masks and overlay, as `scenelift segment` writes them."""
        return self.path / "found"

    @property
    def stages(self) -> Path:
        """What the search for objects returned, exactly."""
        return self.path / "stages"

    @property
    def scene(self) -> Path:
        """The output folder of the run."""
        return self.path / "scene"


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder of a server."""

    path: Path

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
    def trash(self) -> Path:
        return self.path / "trash"

    def prepare(self) -> None:
        """Create the folders; what uploads and deletions left when they were killed goes.

        Raises:
            OutputError: they cannot be created or written.
        """
        for leftover in (self.incoming, self.trash):
            shutil.rmtree(leftover, ignore_errors=True)
        # Photos are private: nobody else on this machine gets to read them.
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.jobs, self.incoming, self.trash):
            folder.mkdir(exist_ok=True)
        prepare_output_folder(self.incoming)

    def lock(self, slot: int) -> Path:
        return self.path / f"worker-{slot}.lock"

    def job(self, job_id: str) -> JobFolder:
        return JobFolder(self.jobs / job_id)

    def remove(self, folder: Path) -> None:
        """Delete a folder so that no half of it is ever seen under its name."""
        if folder.exists():
            self.trash.mkdir(exist_ok=True)
            doomed = self.trash / uuid.uuid4().hex
            folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
