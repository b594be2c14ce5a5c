"""Files of jobs: those that a job lists, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from scenelift.output.manifest import MANIFEST_NAME
from scenelift.webapp.errors import NotFound
from scenelift.webapp.jobs import JobRow
from scenelift.webapp.models import Problem
from scenelift.webapp.routes.jobs import JobId
from scenelift.webapp.services import Owner, Services, Use

__all__ = ["router", "send_file"]

router = APIRouter(
    tags=["files"],
    responses={
        401: {"model": Problem},
        404: {"model": Problem},
        416: {"description": "no such range"},
    },
)

# Of every job, from the beginning.
OWN: tuple[str, ...] = ("shown.jpg", "thumbnail.jpg")
# Types that no browser runs, whatever the file holds.
TYPES = {
    ".ply": "application/octet-stream",
    ".glb": "model/gltf-binary",
    ".obj": "text/plain",
    ".mtl": "text/plain",
    ".json": "application/json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
}


@router.get("/api/jobs/{job_id}/files/{path:path}", response_class=FileResponse)
def get_file(
    job_id: JobId,
    path: str,
    request: Request,
    use: Use,
    owner: Owner,
    download: Annotated[bool, Query(description="send it as an attachment")] = False,
) -> Response:
    """A file of a job."""
    return _serve(use, use.queue.get(job_id, owner), path, request, download=download)


@router.get("/objects/{job_id}/{path:path}", response_class=FileResponse)
def get_object(job_id: JobId, path: str, request: Request, use: Use, owner: Owner) -> Response:
    """As `/api/jobs/{id}/files/{path}`."""
    return _serve(use, use.queue.get(job_id, owner), path, request, download=False)


def _serve(use: Services, job: JobRow, path: str, request: Request, *, download: bool) -> Response:
    folder = use.data.job(job.id)
    own = path.startswith("found/") or path in OWN
    below = folder.path if own else folder.scene
    return send_file(below, path, _listed(job), request, download=download)


def send_file(
    folder: Path, path: str, listed: Mapping[str, str], request: Request, *, download: bool = False
) -> Response:
    """A file of a folder, if it is one of those that may be asked for.

    Args:
        path: below the folder.
        listed: path -> SHA-256, "" where it is not known, of those that may be.

    Raises:
        NotFound: it is none of them, or not there.
    """
    if path not in listed:
        raise NotFound("This job has no such file.")
    file = folder / path
    # Names come from our own list; a link planted in the folder must still lead nowhere.
    inside = folder.resolve()
    if file.is_symlink() or not file.resolve().is_relative_to(inside) or not file.is_file():
        raise NotFound("This job has no such file any more.")
    status = file.stat()
    etag = f'"{listed[path] or f"{status.st_mtime_ns:x}-{status.st_size:x}"}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        file,
        headers=headers,
        media_type=TYPES.get(file.suffix, "application/octet-stream"),
        filename=file.name if download else None,
    )


def _listed(job: JobRow) -> dict[str, str]:
    """Path -> SHA-256 ("" where it is not known) of everything that may be asked for."""
    listed: dict[str, str] = dict.fromkeys(OWN, "")
    if job.objects:
        listed["found/overlay.png"] = listed["found/instances.json"] = ""
        listed |= {o.mask: "" for o in job.objects if o.mask}
        # Masks of the search stay: a page that shows the progress may ask just when it ends.
        listed |= {o.search_mask: "" for o in job.objects if o.search_mask}
    if job.has_scene:
        listed[MANIFEST_NAME] = ""
        listed |= {f["path"]: f["sha256"] for f in job.files}
    return listed
