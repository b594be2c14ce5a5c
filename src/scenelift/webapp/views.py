"""A job of the queue as the interface shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic import ValidationError

from scenelift.formats import media_type
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.stage_names import TITLES
from scenelift.webapp.estimate import expected_seconds, stages_of
from scenelift.webapp.jobs import JobRow, unreadable
from scenelift.webapp.models import EditState, File, Job, JobStage, Photo

__all__ = ["edit_state", "file_url", "job_seconds", "job_view"]


def job_view(
    job: JobRow,
    positions: Mapping[str, int],
    typical: Mapping[str, float] | None = None,
    starts_in: float | None = None,
) -> Job:
    """The public face of a job; one that makes no sense to this version is shown as failed.

    Args:
        positions: of waiting jobs, see `Queue.positions`.
        typical: what the stages of its quality take here, see `Queue.typical_seconds`.
        starts_in: seconds until its turn, where they can be told.
    """
    told = typical or {}
    try:
        return _view(job, positions, told, starts_in)
    except (ValidationError, LookupError, TypeError, ValueError, OverflowError):
        return _view(unreadable(job), positions, told, None)


def _view(
    job: JobRow,
    positions: Mapping[str, int],
    typical: Mapping[str, float],
    starts_in: float | None,
) -> Job:
    done, options = job.has_scene, job.request.options()
    overlay = "overlay.png" if done else "found/overlay.png"
    return Job(
        id=job.id,
        state=job.shown_state,
        created=_time(job.created),
        started=_time(job.started) if job.started else None,
        finished=_time(job.finished) if job.finished else None,
        prompt=job.request.prompt,
        seed=options.seeds.seed,
        quality=options.backends.quality,
        stage="" if job.task == "edit" else job.stage,
        stages=[
            JobStage(name=name, title=TITLES[name], seconds=seconds)
            for name, seconds in job_seconds(job, typical).items()
        ],
        starts_in_seconds=starts_in,
        finding=job.request.review and job.selection is None,
        fraction=1.0 if job.task == "edit" else job.fraction,
        eta_seconds=job.eta if job.state == "running" else None,
        attempt=job.attempt,
        position=None if done else positions.get(job.id),
        notes=job.notes,
        error=job.error,
        objects=[o.public(file_url(job.id, o.mask) if o.mask else None) for o in job.objects],
        image=Photo(width=job.width, height=job.height, url=file_url(job.id, "shown.jpg")),
        overlay_url=file_url(job.id, overlay) if job.objects else None,
        thumbnail_url=file_url(job.id, "thumbnail.jpg"),
        manifest_url=file_url(job.id, MANIFEST_NAME) if done else None,
        files=[
            File(
                name=f["path"],
                bytes=f["bytes"],
                sha256=f["sha256"],
                media_type=media_type(f["path"]),
                url=file_url(job.id, f["path"]),
            )
            for f in job.files
        ],
        edit=edit_state(job) if done else None,
    )


def job_seconds(job: JobRow, typical: Mapping[str, float]) -> dict[str, float | None]:
    """Stage of the task at hand -> what it takes here, see `expected_seconds`."""
    objects = sum(o.index is not None for o in job.objects)
    if job.selection is not None:  # until the worker has put them together
        objects = max(objects, len(job.selection.keep) + len(job.selection.add))
    return expected_seconds(stages_of(job.request, job.selection), typical, objects)


def edit_state(job: JobRow) -> EditState:
    """How far the edits of a job's scene are written."""
    state = "failed" if job.edit_error else "written"
    if job.task == "edit":
        state = "writing" if job.state == "running" else "waiting"
    return EditState(
        state=state,
        revision=job.revision,
        written=job.written,
        fraction=job.fraction,
        error=job.edit_error,
    )


def file_url(job_id: str, path: str) -> str:
    """Where a file of a job is."""
    return f"/api/jobs/{job_id}/files/{quote(path)}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
