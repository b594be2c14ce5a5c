"""Links to scenes for people without a token, and scenes as one page to send."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.background import BackgroundTask

from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.page import export_page, viewer_page
from scenelift.webapp.bodies import JsonRoute
from scenelift.webapp.errors import Conflict, Forbidden, NotFound
from scenelift.webapp.jobs import JobRow
from scenelift.webapp.models import NewShare, ShareState, error_answers
from scenelift.webapp.routes.files import send_file
from scenelift.webapp.routes.jobs import JobId
from scenelift.webapp.services import Owner, Services, Use
from scenelift.webapp.sharing import Share, end_share, make_share, share_of, shared_job
from scenelift.webapp.uploads import check_free_space

__all__ = ["router"]

router = APIRouter(
    route_class=JsonRoute,
    tags=["share"],
    responses=error_answers(
        (401, "token missing or wrong"),
        (403, "not allowed here"),
        (404, "no such job of yours, or no such link"),
        (409, "no scene"),
    ),
)

Secret = Annotated[str, Path(max_length=100)]
DAY = 24 * 3600.0
# What shows the scene; the photo, its masks and what was asked for are not part of it.
SHARED_FILES = re.compile(
    r"(scene\.[a-z.]+|scene_[^/]*\.png|preview\.[a-z0-9]+|background\.[a-z]+)"
)
SHOWN_OF_OBJECTS = ("splats", "mesh")


@router.get("/api/jobs/{job_id}/share")
def get_share(job_id: JobId, use: Use, owner: Owner) -> ShareState:
    """Whether there is a link to this scene, and until when."""
    use.queue.get(job_id, owner)
    return _state(share_of(use.data, job_id))


@router.post("/api/jobs/{job_id}/share")
def post_share(job_id: JobId, new: NewShare, use: Use, owner: Owner) -> ShareState:
    """Make a link to this scene; its address is shown only now. An earlier link ends."""
    most = use.settings.share_days
    if most <= 0:
        raise Forbidden("This server makes no links to scenes: SCENELIFT_SHARE_DAYS allows it.")
    if not use.queue.get(job_id, owner).has_scene:
        raise Conflict("This job has no scene yet that could be shown.")
    check_free_space(use.data, use.settings.min_free_bytes)
    secret, share = make_share(use.data, job_id, min(new.days, most) * DAY)
    return _state(share, f"/shared/{secret}/")


@router.delete("/api/jobs/{job_id}/share", status_code=204)
def delete_share(job_id: JobId, use: Use, owner: Owner) -> None:
    """End the link to this scene."""
    use.queue.get(job_id, owner)
    end_share(use.data, job_id)


@router.get("/api/jobs/{job_id}/scene.html", response_class=FileResponse)
def get_page(job_id: JobId, use: Use, owner: Owner) -> Response:
    """The scene and its viewer as one HTML file, to keep or send."""
    job = use.queue.get(job_id, owner)
    if not job.has_scene:
        raise Conflict("This job has no scene yet.")
    check_free_space(use.data, use.settings.min_free_bytes)
    folder = tempfile.TemporaryDirectory(dir=use.data.spool)
    try:
        page = FilePath(folder.name) / "scene.html"
        export_page(use.data.job(job_id).scene, viewer_page(), page)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        page,
        media_type="text/html",
        filename="scene.html",
        background=BackgroundTask(folder.cleanup),
    )


@router.get("/shared/{secret}/", response_class=HTMLResponse)
def get_shared_page(secret: Secret, use: Use) -> Response:
    """The viewer over a scene that was shared."""
    shared_job(use.data, secret)
    page, policy = _page()
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return HTMLResponse(page, headers=headers | {"X-Robots-Tag": "noindex"})


@router.get("/shared/{secret}/{path:path}", response_class=FileResponse)
def get_shared_file(secret: Secret, path: str, request: Request, use: Use) -> Response:
    """A file of a scene that was shared."""
    job = _job_of_share(use, secret)
    manifest = _manifest(use, job)
    if path == MANIFEST_NAME:
        return JSONResponse(manifest, headers={"Cache-Control": "no-store"})
    digests = {file["path"]: file["sha256"] for file in manifest["files"]}
    return send_file(use.data.job(job.id).scene, path, digests, request)


def _job_of_share(use: Services, secret: str) -> JobRow:
    jobs = use.queue.of_id(shared_job(use.data, secret))
    if not jobs or not jobs[0].has_scene:
        raise NotFound("The scene of this link is gone.")
    return jobs[0]


def _manifest(use: Services, job: JobRow) -> dict[str, Any]:
    """Return what a shared scene's page shows: its shapes and places, nothing of its making."""
    text = (use.data.job(job.id).scene / MANIFEST_NAME).read_bytes()
    manifest: dict[str, Any] = json.loads(text)
    object_files: set[str] = set()
    for thing in manifest["objects"]:
        thing["files"] = {k: v for k, v in thing["files"].items() if k in SHOWN_OF_OBJECTS}
        thing["notes"] = []
        object_files |= set(thing["files"].values())
    files = manifest["files"]
    manifest["files"] = [
        f for f in files if f["path"] in object_files or SHARED_FILES.fullmatch(f["path"])
    ]
    manifest["prompt"] = {"phrases": [], "boxes": [], "points": []}
    manifest["notes"] = manifest["dropped"] = manifest["failed"] = []
    return manifest


@cache
def _page() -> tuple[str, str]:
    """Return the viewer alone, and a policy that allows its own script and no other."""
    page = viewer_page()
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    ]
    policy = (
        f"default-src 'none'; script-src {' '.join(hashes)} 'wasm-unsafe-eval'; worker-src blob:; "
        "connect-src 'self' blob: data:; img-src 'self' blob: data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy


def _state(share: Share | None, url: str | None = None) -> ShareState:
    expires = datetime.fromtimestamp(share.expires, UTC) if share else None
    return ShareState(expires=expires, url=url)
