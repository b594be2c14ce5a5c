"""Records of jobs in their folders, should the queue's file be lost, damaged or restored.

`job.json` beside the photo holds what was asked for and whose it is. It is written after the queue
was, which remains the truth; only folders that the queue does not know are read.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scenelift.edit import Edits, no_edits, parse_edits
from scenelift.errors import InputError, OutputError
from scenelift.io.files import write_bytes, write_json
from scenelift.output.folder import ORIGINAL
from scenelift.output.manifest import MANIFEST_NAME, Manifest, read_manifest
from scenelift.webapp.folders import DataFolder, JobFolder
from scenelift.webapp.jobs import JobRow, Queue
from scenelift.webapp.models import JobRequest, Selection
from scenelift.webapp.objects import of_manifest

__all__ = [
    "holds_work",
    "open_queue",
    "restore_jobs",
    "write_edits_record",
    "write_missing_records",
    "write_record",
]

log = logging.getLogger(__name__)

VERSION = 1
JOB_ID = re.compile(r"[0-9a-f]{32}")
# What a folder has before its job is queued.
UPLOADED = frozenset({"photo", "shown.jpg", "thumbnail.jpg"})


def write_record(folder: JobFolder, job: JobRow) -> None:
    """Write a job's record as the queue has it; a full disk is no reason to fail."""
    if not job.readable:
        return
    record = {
        "version": VERSION,
        "id": job.id,
        "owner": job.owner,
        "state": job.shown_state,
        "created": job.created,
        "finished": job.finished,
        "width": job.width,
        "height": job.height,
        "request": job.request.model_dump(mode="json"),
        "selection": job.selection.model_dump(mode="json") if job.selection else None,
        "notes": job.notes,
        "error": job.error,
    }
    try:
        write_json(folder.record, record)
    except OutputError as exc:
        log.warning("job %s could not be written down: %s", job.id, exc)


def write_edits_record(folder: JobFolder, job: JobRow, edits: Edits) -> None:
    """Write the edits of a job's scene, with their revision; else as `write_record`."""
    try:
        value = {"revision": job.revision, "edits": edits.model_dump(mode="json")}
        write_bytes(folder.edits, json.dumps(value).encode())
    except OutputError as exc:
        log.warning("edits of job %s could not be written down: %s", job.id, exc)


def write_missing_records(data: DataFolder, queue: Queue) -> None:
    """Write missing records: of jobs that an earlier version or a killed server queued."""
    for job_id in queue.ids():
        folder = data.job(job_id)
        if folder.path.is_dir() and not folder.record.exists():
            for job in queue.of_id(job_id):
                write_record(folder, job)


def holds_work(folder: JobFolder) -> bool:
    """Tell whether a folder has anything of value: more than a photo that just arrived."""
    return any(path.name not in UPLOADED for path in folder.path.iterdir())


def open_queue(data: DataFolder, *, max_attempts: int) -> Queue:
    """Open the queue of a data folder; a damaged file is set aside, and a new one begun.

    Raises:
        QueueTooNew: a later version wrote the file.
        sqlite3.OperationalError: it cannot be opened at the moment: locked, or no room.
    """
    try:
        queue = Queue(data.database, max_attempts=max_attempts)
        if queue.is_intact():
            return queue
        queue.close()
    except sqlite3.OperationalError as exc:
        if data.database.is_dir() or "no such" not in str(exc):
            raise
    except sqlite3.DatabaseError:
        pass
    aside = data.database.with_name(
        f"{data.database.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    )
    for suffix in ("", "-wal", "-shm"):
        part = data.database.with_name(data.database.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.warning(
        "The queue's file was damaged. It is kept as %s, and jobs are taken from their folders.",
        aside,
    )
    return Queue(data.database, max_attempts=max_attempts)


def restore_jobs(data: DataFolder, queue: Queue, owners: Sequence[str]) -> list[str]:
    """Put jobs back into the queue whose folders are there; returns their ids.

    Finished ones are finished, the others wait again.

    Args:
        owners: who may call here. A folder that does not say whose it is becomes theirs if there is
            only one; otherwise it stays, and nobody sees it.
    """
    ids = queue.ids()
    restored: list[JobRow] = []
    for path in data.jobs.iterdir():
        if path.name in ids or not JOB_ID.fullmatch(path.name) or not path.is_dir():
            continue
        folder = data.job(path.name)
        if not holds_work(folder):
            continue
        try:
            restored.append(_job(folder, path.name, owners))
        except (
            *(InputError, OSError, ValueError, TypeError, KeyError),
            *(OverflowError, RecursionError),
        ) as exc:
            log.warning("%s stays, but no job could be made of it: %s", path, exc)
    for job in sorted(restored, key=lambda job: job.created):
        queue.restore(job, _edits_record(data.job(job.id))[1])
        write_record(data.job(job.id), job)
    if restored:
        log.warning(
            "%d jobs that the queue did not know were taken from their folders", len(restored)
        )
    return [job.id for job in restored]


def _job(folder: JobFolder, job_id: str, owners: Sequence[str]) -> JobRow:
    """Read a job from its folder.

    Raises:
        InputError, OSError, ValueError, TypeError, KeyError: no job can be made of it.
    """
    manifest = _manifest(folder.scene)
    revision, edits = _edits_record(folder)
    unwritten = (
        manifest is not None and edits is not None and not _are_edits_applied(folder.scene, edits)
    )
    if folder.record.exists():
        record = json.loads(folder.record.read_bytes())
        if record["version"] > VERSION:
            raise ValueError("its job.json was written by a later version")
        request = JobRequest.model_validate(record["request"])
    elif manifest is None:
        raise ValueError("it says neither what was asked for, nor holds a scene")
    else:
        record = _from_scene(folder.path, manifest, owners)
        request = _request(manifest)
    state: Any = record["state"]
    results: dict[str, Any] = {}
    size = (int(record["width"]), int(record["height"]))
    if not all(0 <= side < 2**31 for side in size):
        raise ValueError(f"{size} is no size of a photo")
    if manifest is not None:
        state = "queued" if unwritten else "done"
        results = {
            "objects": of_manifest(manifest, size),
            "notes": manifest.notes,
            "files": [file.model_dump() for file in manifest.files],
        }
    elif state not in ("failed", "cancelled"):
        state = "queued"  # what was found so far is on disk, and not looked for again
    final = state != "queued"
    values: dict[str, Any] = {
        "number": 0,
        "id": job_id,
        "owner": str(record["owner"]),
        "state": state,
        "request": request,
        "selection": _selection(record["selection"]),
        "width": size[0],
        "height": size[1],
        "created": _seconds(record["created"]),
        "started": None,
        "finished": _seconds(record["finished"] or time.time()) if final else None,
        "attempt": 0,
        "worker": None,
        "claimed": None,
        "cancel": None,
        "stage": "",
        "fraction": 1.0 if state == "done" else 0.0,
        "eta": None,
        "task": "edit" if unwritten else "lift",
        "revision": revision,
        "written": revision - unwritten,
        "notes": [str(note) for note in record["notes"]],
        "error": record["error"] if state == "failed" else None,
        **results,
    }
    return JobRow(**values)


def _manifest(scene: Path) -> Manifest | None:
    if (scene / MANIFEST_NAME).exists():
        return read_manifest(scene)
    # A server was killed while edited files changed places: its scene is made again from these.
    if (scene / ORIGINAL / MANIFEST_NAME).exists():
        return read_manifest(scene / ORIGINAL)
    return None


def _edits_record(folder: JobFolder) -> tuple[int, bytes | None]:
    """Read the revision and document of a folder's edits; 0 and None without any."""
    try:
        value = json.loads(folder.edits.read_bytes())
        revision, edits = int(value["revision"]), parse_edits(json.dumps(value["edits"]))
    except FileNotFoundError:
        if not (folder.scene / MANIFEST_NAME).exists() and (folder.scene / ORIGINAL).is_dir():
            return 1, no_edits(folder.scene).to_bytes()  # neither file outlived it
        return 0, None
    except (InputError, OSError, ValueError, TypeError, LookupError, RecursionError) as exc:
        log.warning("%s is left out: %s", folder.edits, exc)
        return 0, None
    return (revision, edits.to_bytes()) if 0 < revision < 2**31 else (0, None)


def _are_edits_applied(scene: Path, document: bytes) -> bool:
    """Tell whether a scene's files are those of its edits."""
    if not (scene / MANIFEST_NAME).exists():
        return False
    edited = read_manifest(scene).edited
    edits = parse_edits(document)
    return edits.empty if edited is None else edited.edits == edits.sha256


def _from_scene(folder: Path, manifest: Manifest, owners: Sequence[str]) -> dict[str, Any]:
    if len(owners) != 1:
        raise ValueError("it does not say whose it is, and there are several tokens")
    when = (folder / "scene" / MANIFEST_NAME).stat().st_mtime
    return {
        "owner": owners[0],
        "state": "done",
        "created": when,
        "finished": when,
        "width": manifest.camera.width,
        "height": manifest.camera.height,
        "selection": None,
        "notes": [],
        "error": None,
    }


def _request(manifest: Manifest) -> JobRequest:
    prompt = manifest.prompt
    boxes = [box.model_dump() for box in prompt.boxes]
    return JobRequest.model_validate(
        {
            "prompt": {"phrases": prompt.phrases, "boxes": boxes, "min_score": prompt.min_score},
            "seed": manifest.seed,
            "quality": manifest.quality,
        }
    )


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds < 1e12:
        raise ValueError(f"{seconds} is no time")
    return seconds


def _selection(value: Any) -> Selection | None:
    return None if value is None else Selection.model_validate(value)
