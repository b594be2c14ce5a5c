"""The call that waits for its result: one request, one scene."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from scenelift.webapp.jobs import JobRow
from scenelift.webapp.models import Generated, Problem
from scenelift.webapp.problems import MEDIA_TYPE
from scenelift.webapp.routes.jobs import accept_upload
from scenelift.webapp.services import Owner, Services, Use
from scenelift.webapp.uploads import FORM_SCHEMA

__all__ = ["router"]

router = APIRouter(tags=["generate"])


@router.post(
    "/api/generate_3d",
    openapi_extra=FORM_SCHEMA,
    response_model=Generated,
    responses={
        code: {"model": Problem}
        for code in (400, 401, 403, 409, 413, 415, 422, 429, 500, 503, 504, 507)
    },
)
async def generate_3d(request: Request, use: Use, owner: Owner) -> Generated | JSONResponse:
    """Queue a photo and wait for its scene. The job stays in the list of jobs.

    A job that fails answers with its problem, which has `success` and `message` too.
    """
    began = time.monotonic()
    row = await accept_upload(request, use, owner)
    job = await _wait(use, row, owner)
    elapsed = time.monotonic() - began
    if job.state == "done":
        return _generated(job, elapsed)
    problem = job.error or _not_done(job, elapsed)
    extra = {
        "success": False,
        "message": problem["detail"],
        "job_id": job.id,
        "elapsed_time": round(elapsed, 2),
        "instance": request.url.path,
    }
    return JSONResponse(problem | extra, problem["status"], media_type=MEDIA_TYPE)


async def _wait(use: Services, row: JobRow, owner: str) -> JobRow:
    """Return the job once it has ended or waits for its owner, or when time is up."""
    deadline = time.monotonic() + use.settings.wait_seconds
    last_seq = 0
    while row.state in ("queued", "running"):
        remaining = deadline - time.monotonic()
        if remaining <= 0 or use.feed.closed:
            break
        last_seq = await use.feed.wait(last_seq, min(remaining, 5.0))
        row = await asyncio.to_thread(use.queue.get, row.id, owner)
    return row


def _generated(job: JobRow, elapsed: float) -> Generated:
    def url(path: str) -> str | None:
        there = any(f["path"] == path for f in job.files)
        return f"/objects/{job.id}/{path}" if there else None

    objects = [
        o.public(url(o.mask) if o.mask else None) for o in job.objects if o.state != "dropped"
    ]
    finished_objects = [o for o in objects if o.state == "done"]
    count = f"{len(finished_objects)} object{'' if len(finished_objects) == 1 else 's'}"
    failures = (
        f"; {len(objects) - len(finished_objects)} failed"
        if len(finished_objects) < len(objects)
        else ""
    )
    return Generated(
        success=True,
        job_id=job.id,
        message=f"Reconstructed {count}{failures}.",
        num_objects=len(finished_objects),
        glb_url=url("scene.glb"),
        ply_url=url("scene.ply"),
        obj_url=url("scene.obj"),
        mask_url=url("overlay.png"),
        preview_url=url("preview.gif"),
        objects=objects,
        elapsed_time=round(elapsed, 2),
    )


def _not_done(job: JobRow, elapsed: float) -> dict[str, Any]:
    status, slug, detail = {
        "cancelled": (409, "cancelled", "The job was cancelled."),
        "review": (409, "review", "The job waits for your choice of objects."),
    }.get(
        job.state,
        (
            504,
            "still-working",
            f"Not done after {elapsed:.0f} s; the job goes on, look at /api/jobs/{job.id}.",
        ),
    )
    return {
        "type": f"urn:scenelift:problem:{slug}",
        "title": slug.replace("-", " "),
        "status": status,
        "detail": detail,
    }
