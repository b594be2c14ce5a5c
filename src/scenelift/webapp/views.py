"""A job of the queue as the interface shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from scenelift.formats import media_type
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.stage_names import TITLES
from scenelift.webapp.estimate import expected_seconds, stages_of
from scenelift.webapp.jobs import JobRow, Task, unreadable
from scenelift.webapp.models import EditState, ExportState, File, Job, JobStage, Photo

__all__ = ["edit_state", "export_state", "file_url", "file_view", "job_seconds", "job_view"]


def job_view(
    job: JobRow,
    positions: Mapping[str, int],
    typical: Mapping[str, float] | None = None,
    starts_in: float | None = None,
) -> Job:
    """Describe a job for the interface; one that this version cannot read is shown as failed.

    Args:
        positions: of waiting jobs, see `Queue.positions`.
        typical: what the stages of its quality take here, see `Queue.typical_seconds`.
        starts_in: seconds until its turn, where they can be told.
    """
    typical_seconds = typical or {}
    try:
        return _view(job, positions, typical_seconds, starts_in)
    except (ValidationError, LookupError, TypeError, ValueError, OverflowError):
        return _view(unreadable(job), positions, typical_seconds, None)


def _view(
    job: JobRow,
    positions: Mapping[str, int],
    typical: Mapping[str, float],
    starts_in: float | None,
) -> Job:
    has_scene, options = job.has_scene, job.request.options()
    overlay = "overlay.png" if has_scene else "found/overlay.png"
    return Job(
        id=job.id,
        state=job.shown_state,
        created=_time(job.created),
        started=_time(job.started) if job.started else None,
        finished=_time(job.finished) if job.finished else None,
        prompt=job.request.prompt,
        seed=options.seeds.seed,
        quality=options.backends.quality,
        stage=job.stage if job.task == "lift" else "",
        stages=[
            JobStage(name=name, title=TITLES[name], seconds=seconds)
            for name, seconds in _stage_seconds(job, typical).items()
        ],
        starts_in_seconds=starts_in if job.task == "lift" else None,
        finding=job.request.review and job.selection is None,
        fraction=job.fraction if job.task == "lift" else 1.0,
        eta_seconds=job.eta if job.state == "running" and job.task == "lift" else None,
        attempt=job.attempt,
        position=None if has_scene else positions.get(job.id),
        notes=job.notes,
        error=job.error,
        objects=[o.public(file_url(job.id, o.mask) if o.mask else None) for o in job.objects],
        image=Photo(width=job.width, height=job.height, url=file_url(job.id, "shown.jpg")),
        overlay_url=file_url(job.id, overlay) if job.objects else None,
        thumbnail_url=file_url(job.id, "thumbnail.jpg"),
        manifest_url=file_url(job.id, MANIFEST_NAME) if has_scene else None,
        files=[file_view(job.id, f) for f in job.files],
        edit=edit_state(job, starts_in, typical) if has_scene else None,
        export=export_state(job, starts_in, typical) if has_scene else None,
    )


def job_seconds(job: JobRow, typical: Mapping[str, float]) -> dict[str, float | None]:
    """Map parts of the current task to what they take here, see `expected_seconds`."""
    return _stage_seconds(job, typical) if job.task == "lift" else {job.task: typical.get(job.task)}


def _stage_seconds(job: JobRow, typical: Mapping[str, float]) -> dict[str, float | None]:
    """Map stages of a run to what they take here."""
    objects = sum(o.index is not None for o in job.objects)
    if job.selection is not None:  # until the worker has put them together
        objects = max(objects, len(job.selection.keep) + len(job.selection.add))
    return expected_seconds(stages_of(job.request, job.selection), typical, objects)


def edit_state(
    job: JobRow, starts_in: float | None = None, typical: Mapping[str, float] | None = None
) -> EditState:
    """Describe how far edits of a job's scene are written; arguments as of `job_view`."""
    state = "failed" if job.edit_error else "written"
    if job.task == "edit":
        state = "writing" if job.state == "running" else "waiting"
    elif job.revision > job.taken:
        state = "waiting"  # until what is being made is made
    elif job.revision > job.written and not job.edit_error:
        state = "cancelled"
    return EditState(
        state=state,
        revision=job.revision,
        written=job.written,
        fraction=job.fraction if job.task == "edit" else 1.0,
        eta_seconds=_eta(job, "edit", starts_in, typical or {}),
        error=job.edit_error,
    )


def export_state(
    job: JobRow, starts_in: float | None = None, typical: Mapping[str, float] | None = None
) -> ExportState:
    """Describe how far files of a job's scene are made; arguments as of `job_view`."""
    state = "failed" if job.export_error else "idle"
    if job.task == "export":
        state = "writing" if job.state == "running" else "waiting"
    return ExportState(
        state=state,
        fraction=job.fraction if job.task == "export" else 1.0,
        eta_seconds=_eta(job, "export", starts_in, typical or {}),
        error=job.export_error,
    )


def _eta(
    job: JobRow, task: Task, starts_in: float | None, typical: Mapping[str, float]
) -> float | None:
    if job.task != task:
        return None
    if job.state == "running":
        return job.eta
    takes = typical.get(task)
    return None if starts_in is None or takes is None else starts_in + takes


def file_view(job_id: str, file: Mapping[str, Any]) -> File:
    """Describe a file of a job, from its entry in a manifest."""
    return File(
        name=file["path"],
        bytes=file["bytes"],
        sha256=file["sha256"],
        media_type=media_type(file["path"]),
        url=file_url(job_id, file["path"]),
    )


def file_url(job_id: str, path: str) -> str:
    """Return the URL of a file of a job."""
    return f"/api/jobs/{job_id}/files/{quote(path)}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
