"""A data folder with one finished job, whose tasks a test does itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenelift.edit import Edits, ObjectEdit, no_edits
from scenelift.options import ExportOptions, Options
from scenelift.output.manifest import Manifest
from scenelift.output.scene import write_scene
from scenelift.pipeline import Pipeline
from scenelift.progress import CancelToken
from scenelift.scene import Scene
from scenelift.webapp.access import LOCAL_OWNER
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.jobs import JobRow, NewJob, Queue, new_job_id
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.models import JobRequest
from scenelift.webapp.records import restore_jobs, write_edits_record, write_record
from scenelift.webapp.worker import ATTEMPTS

__all__ = ["Desk"]


def no_model(quality: str) -> Pipeline:
    raise AssertionError("no model is needed")


class Desk:
    """A data folder with one finished job, and a worker that does one attempt at a time."""

    SLOT = 7  # which no worker of a server over the same folder has

    def __init__(self, path: Path, scene: Scene | Callable[[Path], Manifest]) -> None:
        """The job's scene, or what writes one into a folder."""
        self.data = DataFolder(path / "data", reserve_bytes=10_000)
        self.data.prepare()
        self.queue = Queue(self.data.database)
        request = JobRequest.model_validate({"prompt": {"phrases": ["red"]}, "quality": "fake"})
        job = NewJob(id=new_job_id(), owner=LOCAL_OWNER, request=request, width=160, height=120)
        self.id, self.folder = job.id, self.data.job(job.id)
        if isinstance(scene, Scene):
            options = ExportOptions(preview_frames=1, preview_size=32)
            manifest = write_scene(scene, self.folder.scene, options=options)
        else:
            manifest = scene(self.folder.scene)
        self.queue.add(job)
        claimed = self.queue.claim(self.SLOT, lease=60)
        assert claimed is not None
        self.files = [file.model_dump() for file in manifest.files]
        self.queue.finish(claimed.claim, "done", files=self.files)
        write_record(self.folder, self.job)

    @classmethod
    def of(cls, data: Path, job_id: str) -> Desk:
        """The same in another process."""
        desk = cls.__new__(cls)
        desk.data, desk.id = DataFolder(data, reserve_bytes=10_000), job_id
        desk.queue, desk.folder = Queue(desk.data.database), desk.data.job(job_id)
        return desk

    @property
    def job(self) -> JobRow:
        return self.queue.get(self.id)

    def edits(self, *entries: ObjectEdit, scale: float | None = None) -> Edits:
        nothing = no_edits(self.folder.scene)
        return nothing.model_copy(update={"objects": entries, "scale": scale})

    def put(self, edits: Edits, after: int | None = None) -> JobRow:
        job = self.queue.put_edits(self.id, LOCAL_OWNER, edits.to_bytes(), after=after)
        write_edits_record(self.folder, job, edits)
        return job

    def attempt(self, token: CancelToken | None = None) -> Attempt:
        """The next attempt, claimed and not begun."""
        job = self.queue.claim(self.SLOT, lease=60)
        assert job is not None
        return ATTEMPTS[job.task](
            self.queue,
            job,
            self.folder,
            no_model,
            token=token or CancelToken(),
            most_objects=9,
            defaults=Options(),
            stopping=lambda: False,
        )

    def forget(self) -> None:
        """Lose the queue's file; a new server takes jobs from their folders."""
        self.queue.close()
        for file in self.data.path.glob("queue.sqlite3*"):
            file.unlink()
        self.queue = Queue(self.data.database)
        restore_jobs(self.data, self.queue, [LOCAL_OWNER])
