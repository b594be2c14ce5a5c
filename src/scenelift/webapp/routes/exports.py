"""Files made of a finished job's scene on demand, and all of them as one ZIP: docs/exports.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from scenelift.errors import SetupError
from scenelift.formats import EXTRA_FORMATS, extra_file, parts_of
from scenelift.io.ffmpeg import find_ffmpeg
from scenelift.options import ExportOptions, PreviewFormat
from scenelift.options.readers import read_formats
from scenelift.output.export import Export, Format, Picture, Turntable, export_of
from scenelift.output.manifest import MANIFEST_NAME, Manifest, read_manifest
from scenelift.output.sizes import expected_bytes
from scenelift.webapp.bodies import JsonRoute
from scenelift.webapp.errors import Conflict, NotFound, StorageFull
from scenelift.webapp.exports import ExportRecord, exports_of, remove_exports
from scenelift.webapp.folders import JobFolder
from scenelift.webapp.housekeeping import folder_bytes
from scenelift.webapp.jobs import JobRow
from scenelift.webapp.models import NewExports, SceneExports, SceneFormat, error_answers
from scenelift.webapp.packing import snapshot, zip_stream
from scenelift.webapp.routes.jobs import JobId, starts_in, typical_seconds
from scenelift.webapp.services import Owner, Services, Use
from scenelift.webapp.uploads import check_free_space
from scenelift.webapp.views import export_state, file_view

__all__ = ["router"]

router = APIRouter(
    route_class=JsonRoute,
    tags=["exports"],
    responses=error_answers(
        (401, "token missing or wrong"),
        (403, "from another site"),
        (404, "no such job of yours, or no such file"),
        (409, "no scene, or files are being written"),
    ),
)


@router.get("/api/jobs/{job_id}/exports")
def get_exports(job_id: JobId, use: Use, owner: Owner) -> SceneExports:
    """The formats that the scene has, those it may be written as, and how large they are."""
    return _answer(use, *use.queue.exports(job_id, owner))


@router.post(
    "/api/jobs/{job_id}/exports",
    status_code=202,
    responses=error_answers(
        (422, "a value cannot be used"),
        (429, "too many jobs"),
        (501, "a package or program is missing here"),
        (507, "no room"),
    ),
)
def post_exports(job_id: JobId, new: NewExports, use: Use, owner: Owner) -> SceneExports:
    """Make further files of the scene; existing ones are not made again."""
    job = use.queue.get(job_id, owner)
    folder, manifest, record = _scene(use, job)
    exports = _exports_of_request(new)
    there = {file.path for file in manifest.files} | record.made.keys()
    names = [export.name for export in exports if export.name not in there]
    _check_share(use, folder, manifest, exports)
    use.queue.ask_exports(job_id, owner, names, use.limits)
    return _answer(use, *use.queue.exports(job_id, owner))


@router.delete("/api/jobs/{job_id}/exports", status_code=204)
def delete_exports(job_id: JobId, use: Use, owner: Owner) -> None:
    """Remove all files that were made of the scene on demand."""
    job = use.queue.get(job_id, owner)
    if job.task == "export":
        raise Conflict("Files of this scene are being made. Stop that first: POST …/cancel.")
    remove_exports(_scene(use, job)[0])


@router.get("/api/jobs/{job_id}/scene.zip", response_class=StreamingResponse)
def get_zip(
    job_id: JobId,
    use: Use,
    owner: Owner,
    name: Annotated[
        tuple[str, ...], Query(max_length=2000, description="of files; all where none is named")
    ] = (),
) -> StreamingResponse:
    """Files of the scene as one ZIP, each with those that belong to it."""
    job = use.queue.get(job_id, owner)

    def choose() -> Mapping[str, Path]:
        folder, manifest, record = _scene(use, job)
        paths = {file.path: folder.exports / file.path for file in record.files.values()}
        paths |= {file.path: folder.scene / file.path for file in manifest.files}
        paths[MANIFEST_NAME] = folder.scene / MANIFEST_NAME
        if not name:
            return paths
        for each in name:
            if each not in paths:
                raise NotFound(f"This scene has no file {each[:80]!r}.")
        names = {path for each in name for path in (each, *parts_of(each, paths))}
        return {path: paths[path] for path in names}

    folder = snapshot(_scene(use, job)[0].scene, choose, use.data.spool)
    return StreamingResponse(
        zip_stream(Path(folder.name)),
        media_type="application/zip",
        headers={"Content-Disposition": 'attachment; filename="scene.zip"'},
        background=BackgroundTask(folder.cleanup),
    )


def _scene(use: Services, job: JobRow) -> tuple[JobFolder, Manifest, ExportRecord]:
    """List what a job's scene is written as.

    Raises:
        Conflict: it has none, or its files are changing places.
    """
    if not job.has_scene:
        raise Conflict(f"This job is {job.state}; files are made of the scene of a done one.")
    folder = use.data.job(job.id)
    try:
        record = exports_of(folder)
    except OSError as exc:
        if not folder.scene.is_dir():
            raise Conflict(
                "The files of this scene are gone from the server's disk. Run the job again: POST "
                "…/rerun."
            ) from exc
        raise Conflict("The files of this scene are being written. Try again soon.") from exc
    return folder, read_manifest(folder.scene), record


def _exports_of_request(new: NewExports) -> list[Export]:
    """Read the exports that a request asks for.

    Raises:
        InputError: a format is unknown, or a loop has too many pixels.
        SetupError: a package or program that it needs is not installed here.
    """
    loops: list[Turntable | Picture] = [turntable.to_export() for turntable in new.turntables]
    loops += [picture.to_export() for picture in new.pictures]
    for loop in loops:
        loop.options(ExportOptions())
    if any(turntable.format == "mp4" for turntable in new.turntables):
        find_ffmpeg()
    return [
        *(Format(kind=kind) for kind in read_formats(new.formats)),
        *(splats.to_export() for splats in new.splats),
        *loops,
    ]


def _check_share(use: Services, job: JobFolder, manifest: Manifest, exports: list[Export]) -> None:
    """Refuse files too large to keep: an owner's oldest jobs make room, this one cannot.

    Raises:
        StorageFull: the owner's share of the disk, or the disk itself, is too small.
    """
    check_free_space(use.data, use.settings.min_free_bytes)
    expected = sum(expected_bytes(export, manifest) for export in exports)
    room = use.settings.owner_bytes - folder_bytes(job.path)
    if expected > room:
        raise StorageFull(
            f"These files take about {expected / 1e6:.0f} MB, and this job may grow by "
            f"{max(room, 0) / 1e6:.0f} MB. Ask for fewer, or remove what was made before."
        )


def _answer(use: Services, job: JobRow, waiting: list[str]) -> SceneExports:
    _, manifest, record = _scene(use, job)
    of_run = {file.path: file for file in manifest.files}
    paths = record.files | of_run

    def about(kind: str) -> SceneFormat:
        name = extra_file(kind)
        there = name in paths
        files = [paths[p] for p in (name, *parts_of(name, paths))] if there else []
        return SceneFormat(
            format=kind,
            name=name,
            readers=EXTRA_FORMATS[kind].readers,
            state="made" if there else "waiting" if name in waiting else "absent",
            files=[file_view(job.id, file.model_dump()) for file in files],
            expected_bytes=sum(file.bytes for file in files)
            if there
            else expected_bytes(Format(kind=kind), manifest),
            refused=None if there else _lacks(kind) or record.refused.get(name),
        )

    formats = [about(kind) for kind in EXTRA_FORMATS]
    loops = [
        file_view(job.id, file.model_dump())
        for name, files in record.made.items()
        if not isinstance(export_of(name), Format)
        for file in files
    ]
    return SceneExports(
        **export_state(job, starts_in(use, job), typical_seconds(use, job)).model_dump(),
        formats=formats,
        loops=loops,
        waiting=waiting,
        refused=record.refused,
        turntable_formats=_turntable_formats(),
        zip_url=f"/api/jobs/{job.id}/scene.zip",
        zip_bytes=sum(file.bytes for file in paths.values()),
    )


def _lacks(kind: str) -> str | None:
    """Explain why this installation cannot make a format."""
    try:
        read_formats([kind])
    except SetupError as exc:
        return str(exc)
    return None


def _turntable_formats() -> list[PreviewFormat]:
    try:
        find_ffmpeg()
    except SetupError:
        return ["gif", "webp"]
    return ["gif", "webp", "mp4"]
