"""Files of jobs: those that a job lists, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from scenelift.formats import media_type
from scenelift.output.manifest import MANIFEST_NAME, FileModel
from scenelift.webapp.errors import NotAcceptable, NotFound
from scenelift.webapp.exports import exports_of
from scenelift.webapp.folders import JobFolder
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


@router.get(
    "/api/jobs/{job_id}/scene",
    response_class=FileResponse,
    responses={406: {"model": Problem}},
)
def get_scene(job_id: JobId, request: Request, use: Use, owner: Owner) -> Response:
    """The scene in the first type of `Accept` that it was written as; `scene.glb` for any."""
    job = use.queue.get(job_id, owner)
    if not job.has_scene:
        raise NotFound("This job has no scene yet.")
    files = {media_type(f["path"]): f["path"] for f in reversed(job.files) if _whole(f["path"])}
    path = next(
        (
            files[t]
            for t in _acceptable_types(request.headers.get("accept", "*/*"), files)
            if t in files
        ),
        None,
    )
    if path is None:
        raise NotAcceptable(f"This scene was written as {', '.join(sorted(files))}.")
    response = _serve(use, job, path, request, download=False)
    response.headers["Vary"] = "Accept"
    return response


def _whole(path: str) -> bool:
    """Tell whether a file holds the scene itself, in a type with a name of its own."""
    return (
        path.startswith("scene.")
        and media_type(path).startswith("model/")
        and (not path.endswith(".mtl"))
    )


def _acceptable_types(accept: str, files: Mapping[str, str]) -> list[str]:
    """List types that a client takes, most wanted first; any model is the first of the files."""
    weights: dict[str, float] = {}
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    any_model = "model/gltf-binary" if "model/gltf-binary" in files else next(iter(files), "")
    kinds = sorted((k for k, w in weights.items() if w > 0), key=lambda k: -weights[k])
    return [any_model if kind in ("*/*", "model/*") else kind for kind in kinds]


@router.get("/objects/{job_id}/{path:path}", response_class=FileResponse)
def get_object(job_id: JobId, path: str, request: Request, use: Use, owner: Owner) -> Response:
    """As `/api/jobs/{id}/files/{path}`."""
    return _serve(use, use.queue.get(job_id, owner), path, request, download=False)


def _serve(use: Services, job: JobRow, path: str, request: Request, *, download: bool) -> Response:
    folder = use.data.job(job.id)
    own, digests = path.startswith("found/") or path in OWN, _digests_of_job(job)
    if path not in digests and job.has_scene:
        export_digests = {file.path: file.sha256 for file in _export_files(folder).values()}
        if path in export_digests:
            return send_file(folder.exports, path, export_digests, request, download=download)
    below = folder.path if own else folder.scene
    return send_file(below, path, digests, request, download=download)


def _export_files(folder: JobFolder) -> Mapping[str, FileModel]:
    """List files made of a job's scene on demand."""
    try:
        return exports_of(folder).files
    except OSError:
        return {}  # the scene is just being replaced by an edited one


def send_file(
    folder: Path, path: str, digests: Mapping[str, str], request: Request, *, download: bool = False
) -> Response:
    """A file of a folder, if it is one of those that may be asked for.

    Args:
        path: below the folder.
        digests: path -> SHA-256, "" where it is not known, of those that may be.

    Raises:
        NotFound: it is none of them, or not there.
    """
    if path not in digests:
        raise NotFound("This job has no such file.")
    file = folder / path
    # Names come from our own list; a link planted in the folder must still lead nowhere.
    inside = folder.resolve()
    if file.is_symlink() or not file.resolve().is_relative_to(inside) or not file.is_file():
        raise NotFound("This job has no such file any more.")
    status = file.stat()
    etag = f'"{digests[path] or f"{status.st_mtime_ns:x}-{status.st_size:x}"}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        file,
        headers=headers,
        media_type=media_type(file.name),
        filename=file.name if download else None,
    )


def _digests_of_job(job: JobRow) -> dict[str, str]:
    """Map paths to SHA-256 ("" where it is not known), for everything that may be asked for."""
    digests: dict[str, str] = dict.fromkeys(OWN, "")
    if job.objects:
        digests["found/overlay.png"] = digests["found/instances.json"] = ""
        digests |= {o.mask: "" for o in job.objects if o.mask}
        # Masks of the search stay: a page that shows the progress may ask just when it ends.
        digests |= {o.search_mask: "" for o in job.objects if o.search_mask}
    if job.has_scene:
        digests[MANIFEST_NAME] = ""
        digests |= {f["path"]: f["sha256"] for f in job.files}
    return digests
