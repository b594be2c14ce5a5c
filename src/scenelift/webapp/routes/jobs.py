"""Jobs: submit, look, stop, choose, run again, delete."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from scenelift.errors import InputError
from scenelift.io.files import write_json
from scenelift.prompts import box_in_pixels, in_pixels
from scenelift.types import Prompt
from scenelift.webapp.bodies import JsonRoute
from scenelift.webapp.errors import Conflict, NotReady
from scenelift.webapp.folders import JobFolder
from scenelift.webapp.jobs import JobRow, NewJob, new_job_id
from scenelift.webapp.mask_runs import Runs
from scenelift.webapp.models import (
    MAX_BOXES,
    NOTHING_LEFT,
    Box,
    Choice,
    Click,
    Clicked,
    Job,
    JobList,
    JobOptions,
    JobRequest,
    Look,
    Rerun,
    Selection,
    check_indices,
    error_answers,
    parse_phrases,
)
from scenelift.webapp.records import write_record
from scenelift.webapp.services import Owner, Services, Use
from scenelift.webapp.uploads import (
    FORM_SCHEMA,
    Upload,
    check_free_space,
    check_limits,
    receive_upload,
)
from scenelift.webapp.views import job_seconds, job_view

__all__ = ["JobId", "accept_upload", "router", "starts_in", "typical_seconds"]

router = APIRouter(
    route_class=JsonRoute,
    prefix="/api/jobs",
    tags=["jobs"],
    responses=error_answers(
        (400, "not a form or not JSON"),
        (401, "token missing or wrong"),
        (403, "from another site"),
        (404, "no such job of yours"),
        (409, "not in this state"),
        (413, "too large"),
        (415, "not a form"),
        (422, "a value cannot be used"),
        (429, "too many"),
        (503, "quality not available"),
        (507, "disk full"),
    ),
)

# Fewer are a slip of the brush.
LEAST_PIXELS = 4

JobId = Annotated[str, Path(min_length=32, max_length=32, pattern="^[0-9a-f]{32}$")]


@router.post("", status_code=202, openapi_extra=FORM_SCHEMA)
async def submit(request: Request, use: Use, owner: Owner) -> Job:
    """Queue a photo."""
    row = await accept_upload(request, use, owner)
    return await asyncio.to_thread(_view, use, row)


@router.get("")
def list_jobs(
    use: Use,
    owner: Owner,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")] = None,
) -> JobList:
    """The caller's own jobs, newest first."""
    last = use.queue.last_event()
    rows = use.queue.of_owner(owner, limit=limit, before=before)
    positions = use.queue.positions()
    return JobList(jobs=[job_view(row, positions) for row in rows], last_event_id=last)


@router.get("/{job_id}")
def get_job(job_id: JobId, use: Use, owner: Owner) -> Job:
    """One job."""
    return _view(use, use.queue.get(job_id, owner))


@router.delete("/{job_id}", status_code=204)
def delete_job(job_id: JobId, use: Use, owner: Owner) -> None:
    """Remove a job and its files; a running one is stopped first. Works on a full disk too."""
    try:
        use.queue.delete(job_id, owner)
    except sqlite3.OperationalError as exc:
        if "full" not in str(exc):
            raise
        _make_room(use, use.queue.get(job_id, owner))
        use.queue.delete(job_id, owner)
    use.housekeeper.remove_deleted()


@router.post("/{job_id}/cancel")
def cancel_job(job_id: JobId, use: Use, owner: Owner) -> Job:
    """Stop a job. A running one is `cancelled` within a second."""
    return _view(use, _write_back(use, use.queue.cancel(job_id, owner)))


@router.post("/{job_id}/continue")
def continue_job(job_id: JobId, choice: Choice, use: Use, owner: Owner) -> Job:
    """Reconstruct the chosen objects, and those that were drawn, clicked or painted."""
    most = use.settings.max_objects
    if len(choice.add) + len(choice.masks) > most:
        raise InputError(
            f"{len(choice.add) + len(choice.masks)} objects were added; a job takes {most}."
        )
    check_free_space(use.data, use.settings.min_free_bytes)
    _check_choice(choice, use.queue.get(job_id, owner))
    selection = Selection.model_validate(choice.model_dump(exclude={"masks"}))
    masks_file = use.data.job(job_id).drawn_masks(f"drawn-{new_job_id()}.json")
    if choice.masks:
        selection = selection.model_copy(update={"drawn": masks_file.name})
        write_json(masks_file, [mask.model_dump(mode="json") for mask in choice.masks])
    try:
        row = use.queue.select(job_id, owner, selection, use.limits)
    except BaseException:
        masks_file.unlink(missing_ok=True)
        raise
    return _view(use, _write_back(use, row))


def _check_choice(choice: Choice, job: JobRow) -> None:
    """Refuse what the review does not offer while there is still a review to change.

    Raises:
        InputError: an index is of no object, a box or a mask does not fit the photo, or nothing is
            left.
    """
    if job.state != "review":
        return  # the queue says so
    count = sum(o.index is not None for o in job.objects)
    check_indices((*choice.keep, *choice.names), count)
    if not (choice.keep or choice.add or choice.masks):
        raise InputError(NOTHING_LEFT)
    boxes = tuple(box.to_prompt() for box in choice.add)
    in_pixels(Prompt(boxes=boxes), job.width, job.height)
    for one in choice.masks:
        _check_proportions(one.mask, job)
        if sum(one.mask.runs[1::2]) < LEAST_PIXELS:
            name = repr(one.label) if one.label else "without a name"
            raise InputError(
                f"The mask {name} covers {sum(one.mask.runs[1::2])} pixels, which is no object. "
                "Paint it, or leave it out."
            )


def _check_proportions(runs: Runs, job: JobRow) -> None:
    if abs(runs.width * job.height - runs.height * job.width) > max(job.width, job.height):
        raise InputError(
            f"A mask is {runs.width} × {runs.height} pixels, and the photo {job.width} × "
            f"{job.height}: they must have the same proportions."
        )


@router.post("/{job_id}/click")
def click(job_id: JobId, click: Click, use: Use, owner: Owner) -> Clicked:
    """Return the mask of one object that was pointed at; nothing of it is stored."""
    job = use.queue.get(job_id, owner)
    if job.state != "review":
        raise Conflict(f"This job is {job.state}; clicks are answered for a job in review.")
    click = _in_pixels(click, job)
    reply = use.supervisor.clicks.ask(
        owner,
        {
            "job": job_id,
            "quality": job.request.options(use.settings.options).backends.quality,
            "click": click.model_dump(mode="json"),
        },
        busy_slots=use.supervisor.busy_slots(),
    )
    if problem := reply.get("problem"):
        detail = str(problem.get("detail", "The click could not be answered."))
        raise InputError(detail) if problem.get("status", 500) < 500 else NotReady(detail)
    return Clicked.model_validate(reply["answer"])


def _in_pixels(click: Click, job: JobRow) -> Click:
    """Convert points and box of a click to pixels of the photo.

    Raises:
        InputError: one lies outside the photo, or could mean pixels and parts of it.
    """
    if click.mask is not None:
        _check_proportions(click.mask, job)
    points = tuple(p.to_prompt() for p in click.points)
    prompt, _ = in_pixels(Prompt(points=points), job.width, job.height)
    at = [
        mark_lists.model_copy(update={"point": p.point})
        for mark_lists, p in zip(click.points, prompt.points, strict=True)
    ]
    box = None if click.box is None else box_in_pixels(click.box, job.width, job.height)[0]
    return click.model_copy(update={"points": tuple(at), "box": box})


@router.post("/{job_id}/look")
def look_again(job_id: JobId, boxes: Look, use: Use, owner: Owner) -> Job:
    """Find the objects again with boxes that were drawn, and stop for another review."""
    job = use.queue.get(job_id, owner)
    prompt = job.request.prompt
    new_boxes = [Box(box=b.box, label=b.label, positive=True) for b in boxes.add]
    together = prompt.model_copy(update={"boxes": (*prompt.boxes, *new_boxes)})
    if len(together.boxes) > MAX_BOXES:
        raise InputError(f"A job takes up to {MAX_BOXES} boxes; this one has as many as that.")
    in_pixels(together.to_prompt(), job.width, job.height)
    request = job.request.model_copy(update={"prompt": together})
    check_free_space(use.data, use.settings.min_free_bytes)
    row = use.queue.look_again(job_id, owner, request, use.limits)
    return _view(use, _write_back(use, row))


@router.post("/{job_id}/rerun", status_code=202)
def rerun_job(job_id: JobId, changes: Rerun, use: Use, owner: Owner) -> Job:
    """Queue the same photo again, with another seed or prompt."""
    check_free_space(use.data, use.settings.min_free_bytes)
    old = use.queue.get(job_id, owner)
    if not old.readable:
        raise Conflict("The record of this job cannot be read. Upload the photo again.")
    request = _request_of_rerun(old, changes, use)
    folder = JobFolder(use.data.incoming / new_job_id())
    folder.path.mkdir(parents=True)
    before = use.data.job(job_id)
    for source, target in (
        (before.photo, folder.photo),
        (before.display_photo, folder.display_photo),
        (before.thumbnail, folder.thumbnail),
    ):
        try:
            os.link(source, target)
        except FileNotFoundError as exc:
            raise Conflict("The photo of this job is gone. Upload it again.") from exc
    return _view(
        use,
        _enqueue(
            Upload(
                id=folder.path.name,
                folder=folder,
                request=request,
                width=old.width,
                height=old.height,
            ),
            use,
            owner,
        ),
    )


async def accept_upload(request: Request, use: Services, owner: str) -> JobRow:
    """Receive a form and queue it.

    Raises:
        SceneliftError: it was refused; nothing of it is left.
    """
    settings = use.settings
    # What can be refused before the photo is sent is.
    await asyncio.to_thread(_check_room, use, owner)
    upload = await receive_upload(request, settings, use.data, use.decoder)
    try:
        await asyncio.to_thread(use.qualities.check, upload.request.options().backends.quality)
        return await asyncio.to_thread(_enqueue, upload, use, owner)
    finally:
        await asyncio.to_thread(shutil.rmtree, upload.folder.path, ignore_errors=True)


def _check_room(use: Services, owner: str) -> None:
    check_free_space(use.data, use.settings.min_free_bytes)
    use.queue.check_room(owner, use.limits)


def _enqueue(upload: Upload, use: Services, owner: str) -> JobRow:
    """Move an upload into place, then queue it: a queued job always has its photo."""
    home = use.data.job(upload.id)
    upload.folder.path.rename(home.path)
    try:
        in_pixels(upload.request.prompt.to_prompt(), upload.width, upload.height)
        row = use.queue.add(
            NewJob(
                id=upload.id,
                owner=owner,
                request=upload.request,
                width=upload.width,
                height=upload.height,
            ),
            use.limits,
        )
    except BaseException:
        use.data.remove(home.path)
        raise
    return _write_back(use, row)


def _write_back(use: Services, row: JobRow) -> JobRow:
    """Write the job's record into its folder, as the queue has it."""
    write_record(use.data.job(row.id), row)
    return row


def _make_room(use: Services, job: JobRow) -> None:
    """Free the reserved disk space, and the files of this job, which is about to be deleted."""
    use.data.give_up_reserve()
    if job.state != "running":
        use.data.remove(use.data.job(job.id).path)


def _request_of_rerun(old: JobRow, changes: Rerun, use: Services) -> JobRequest:
    request = old.request
    # Boxes that were drawn in the review are as much part of what was asked for as the prompt's.
    boxes = (
        [Box(box=b.box, label=b.label, positive=True) for b in old.selection.add]
        if old.selection
        else []
    )
    prompt = request.prompt.model_copy(update={"boxes": (*request.prompt.boxes, *boxes)})
    if changes.text_prompt is not None:
        phrases = parse_phrases(
            changes.text_prompt, use.settings.max_phrases, whole=request.prompt.phrases
        )
        prompt = prompt.model_copy(update={"phrases": phrases})
    if changes.boxes is not None:
        prompt = prompt.model_copy(update={"boxes": changes.boxes})
    if changes.points is not None:
        prompt = prompt.model_copy(update={"points": changes.points})
    if len(prompt.boxes) > MAX_BOXES:
        raise InputError(
            f"The prompt and the review have {len(prompt.boxes)} boxes together; a job takes up to "
            f"{MAX_BOXES}. Give `boxes`, with those that matter."
        )
    options = changes.model_dump(include=set(JobOptions.model_fields), exclude_none=True)
    new_request = request.model_copy(update={**options, "prompt": prompt})
    use.qualities.check(new_request.options().backends.quality)
    return check_limits(new_request, use.settings)


def _view(use: Services, job: JobRow) -> Job:
    if job.state not in ("queued", "running"):
        return job_view(job, {})
    waits = job.state == "queued"
    return job_view(
        job,
        use.queue.positions() if waits else {},
        typical_seconds(use, job),
        starts_in(use, job),
    )


def typical_seconds(use: Services, job: JobRow) -> dict[str, float]:
    """Map stages of the job's quality to what they take here, as far as it is known."""
    quality = job.request.options(use.settings.options).backends.quality
    return use.queue.typical_seconds(quality)


def starts_in(use: Services, job: JobRow) -> float | None:
    """Estimate the seconds until a worker is free, from earlier jobs; None where not known."""
    if job.state != "queued":
        return None
    total = 0.0
    for before in use.queue.before(job.number):
        left = before.eta
        if before.state == "queued":
            times = job_seconds(before, typical_seconds(use, before)).values()
            left = None if None in times else sum(t for t in times if t is not None)
        if left is None:
            return None
        total += left
    return round(total / len(use.settings.devices), 1)
