"""Edits of a finished job's scene: docs/edits.md."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import FileResponse

from scenelift.edit import Edits, check_edits, no_edits, parse_edits
from scenelift.errors import InputError
from scenelift.output.manifest import MANIFEST_NAME, read_manifest
from scenelift.output.original import original_of
from scenelift.webapp.bodies import JsonRoute
from scenelift.webapp.errors import Conflict, PreconditionMissing
from scenelift.webapp.jobs import JobRow
from scenelift.webapp.models import SceneEdits, error_answers
from scenelift.webapp.records import write_edits_record
from scenelift.webapp.routes.files import send_file
from scenelift.webapp.routes.jobs import JobId
from scenelift.webapp.services import Owner, Services, Use
from scenelift.webapp.uploads import check_free_space
from scenelift.webapp.views import edit_state

__all__ = ["router"]

router = APIRouter(
    route_class=JsonRoute,
    tags=["edits"],
    responses=error_answers(
        (401, "token missing or wrong"),
        (403, "from another site"),
        (404, "no such job of yours"),
        (409, "no scene, or edits of another one"),
    ),
)

IF_MATCH = re.compile(r'"(\d{1,12})"')
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Edits"}}},
    }
}


@router.get("/api/jobs/{job_id}/edits")
def get_edits(job_id: JobId, use: Use, owner: Owner, response: Response) -> SceneEdits:
    """What was changed of a scene by hand, with its revision as ETag."""
    job, document = use.queue.edits(job_id, owner)
    scene = _scene(use, job)
    edits = parse_edits(document) if document is not None else no_edits(scene)
    return _answer(job, edits, response)


@router.put(
    "/api/jobs/{job_id}/edits",
    openapi_extra=BODY,
    responses=error_answers(
        (412, "not made from the newest edits"),
        (413, "too large"),
        (422, "the edits cannot be used"),
        (428, "without If-Match"),
        (507, "disk full"),
    ),
)
async def put_edits(
    job_id: JobId,
    request: Request,
    use: Use,
    owner: Owner,
    response: Response,
    if_match: Annotated[str | None, Header(description="ETag of the edits these come from")] = None,
) -> SceneEdits:
    """Store edits of a scene, and write all its files again from them."""
    body = await request.body()
    return await asyncio.to_thread(_put, job_id, body, if_match, use, owner, response)


@router.get("/api/jobs/{job_id}/original/{path:path}", response_class=FileResponse)
def get_original(job_id: JobId, path: str, request: Request, use: Use, owner: Owner) -> Response:
    """A file of the scene as its run wrote it, whatever was edited since."""
    job = use.queue.get(job_id, owner)
    original = original_of(_scene(use, job))
    digests = {file.path: file.sha256 for file in read_manifest(original).files}
    return send_file(original, path, digests | {MANIFEST_NAME: ""}, request)


def _put(
    job_id: str, body: bytes, if_match: str | None, use: Services, owner: str, response: Response
) -> SceneEdits:
    scene = _scene(use, use.queue.get(job_id, owner))
    after = _revision(if_match)
    edits = parse_edits(body)
    check_edits(scene, edits)
    check_free_space(use.data, use.settings.min_free_bytes)
    job = use.queue.put_edits(job_id, owner, edits.to_bytes(), after=after)
    write_edits_record(use.data.job(job_id), job, edits)
    return _answer(job, edits, response)


def _scene(use: Services, job: JobRow) -> Path:
    """Return the folder of a job's scene.

    Raises:
        Conflict: it has none.
    """
    if not job.has_scene:
        raise Conflict(f"This job is {job.state}; only the scene of a done one can be edited.")
    return use.data.job(job.id).scene


def _revision(if_match: str | None) -> int | None:
    """Read the revision that edits were made from; None for whichever there is.

    Raises:
        PreconditionMissing: it is not said.
        InputError: it is no ETag of edits.
    """
    if if_match is None:
        raise PreconditionMissing(
            "Say which edits these were made from: If-Match with the ETag that GET gave."
        )
    if if_match.strip() == "*":
        return None
    match = IF_MATCH.fullmatch(if_match.strip())
    if match is None:
        raise InputError(f'If-Match is {if_match[:40]!r}; expected an ETag of GET, as "3".')
    return int(match.group(1))


def _answer(job: JobRow, edits: Edits, response: Response) -> SceneEdits:
    response.headers["ETag"] = f'"{job.revision}"'
    return SceneEdits(
        **edit_state(job).model_dump(),
        edits=edits,
        original_url=f"/api/jobs/{job.id}/original/{MANIFEST_NAME}",
    )
