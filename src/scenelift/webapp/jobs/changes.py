"""Reads and changes that several sides of the queue share, each inside their transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scenelift.webapp.errors import NotFound
from scenelift.webapp.jobs.rows import JobRow, Task, job_from_row
from scenelift.webapp.models import State

__all__ = [
    "export_names",
    "finish_job",
    "get_job",
    "queue_task",
    "requeue_job",
    "select_jobs",
    "write_event",
]


def get_job(c: sqlite3.Connection, job_id: str, owner: str | None) -> JobRow:
    row = c.execute("SELECT * FROM jobs WHERE id = ? AND NOT deleting", (job_id,)).fetchone()
    if row is None or (owner is not None and row["owner"] != owner):
        raise NotFound("There is no such job. It may have been deleted.")
    return job_from_row(row)


def select_jobs(c: sqlite3.Connection, where: str, values: Sequence[Any] = ()) -> list[JobRow]:
    rows = c.execute(f"SELECT * FROM jobs WHERE {where}", values).fetchall()
    return [job_from_row(row) for row in rows]


def export_names(c: sqlite3.Connection, job_id: str) -> list[str]:
    """List the names of the files that are still to be made of a job's scene, in order."""
    rows = c.execute("SELECT name FROM exports WHERE job = ? ORDER BY number", (job_id,)).fetchall()
    return [row["name"] for row in rows]


def finish_job(
    c: sqlite3.Connection, job_id: str, state: State, error: Mapping[str, Any] | None = None
) -> None:
    task = c.execute("SELECT task FROM jobs WHERE id = ?", (job_id,)).fetchone()["task"]
    if task != "lift":
        _finish_task(c, job_id, task, state, error)
        return
    fraction = "fraction = 1, " if state == "done" else ""
    c.execute(
        f"UPDATE jobs SET {fraction}state = ?, finished = ?, error = ?, worker = NULL, "
        "lease = NULL, cancel = NULL, eta = NULL WHERE id = ?",
        (state, None if state == "review" else time.time(), _dump(error), job_id),
    )
    write_event(c, job_id, state, message=str(error["detail"]) if error else "")


def _finish_task(
    c: sqlite3.Connection, job_id: str, task: Task, state: State, error: Mapping[str, Any] | None
) -> None:
    """Mark the job as done again, with its new files or, after a failure, with the old ones."""
    c.execute(
        "UPDATE jobs SET state = 'done', task = 'lift', fraction = 1, stage = '', finished = ?, "
        f"worker = NULL, lease = NULL, cancel = NULL, eta = NULL, {task}_error = ? WHERE id = ?",
        (time.time(), _dump(error), job_id),
    )
    if task == "edit":
        # Cancelled edits stay, unwritten, and are not tried again by themselves.
        change = "written = taken" if state == "done" else "taken = revision"
        c.execute(f"UPDATE jobs SET {change} WHERE id = ?", (job_id,))
    elif state != "done":
        c.execute("DELETE FROM exports WHERE job = ?", (job_id,))
    following = _following_task(c, job_id)
    if following is not None:
        queue_task(c, job_id, following)
        return
    kinds = {"edit": "edited", "export": "exported"}
    kind = f"{task}_failed" if error else kinds[task] if state == "done" else f"{task}_cancelled"
    write_event(c, job_id, kind, message=str(error["detail"]) if error else "")


def _following_task(c: sqlite3.Connection, job_id: str) -> Task | None:
    """Find what is still to do with a finished job: edits first, as exports use their files."""
    row = c.execute(
        "SELECT revision > taken AS edits, id IN (SELECT job FROM exports) AS exports "
        "FROM jobs WHERE id = ?",
        (job_id,),
    ).fetchone()
    return "edit" if row["edits"] else "export" if row["exports"] else None


def queue_task(c: sqlite3.Connection, job_id: str, task: Task) -> None:
    """Let a finished job wait for a worker that writes files of its scene."""
    c.execute(
        "UPDATE jobs SET state = 'queued', task = ?, attempt = 0, outages = 0, stage = '', "
        f"fraction = 0, eta = NULL, {task}_error = NULL WHERE id = ?",
        (task, job_id),
    )
    write_event(c, job_id, f"{task}_queued")


def requeue_job(c: sqlite3.Connection, job_id: str, reason: str, *, counts: bool) -> None:
    """Let a job wait again; `counts` says whether its last attempt was one."""
    c.execute(
        "UPDATE jobs SET state = 'queued', worker = NULL, lease = NULL, attempt = attempt - ? "
        "WHERE id = ?",
        (0 if counts else 1, job_id),
    )
    write_event(c, job_id, "requeued", message=reason)


def write_event(
    c: sqlite3.Connection,
    job_id: str,
    kind: str,
    *,
    stage: str = "",
    object_index: int | None = None,
    stage_fraction: float = 0.0,
    message: str = "",
) -> None:
    job = c.execute(
        "SELECT owner, state, task, fraction, eta, deleting FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if job["deleting"] and kind != "deleted":
        return  # for its owner it is gone
    data = {
        "job": job_id,
        "kind": kind,
        "state": job["state"] if job["task"] == "lift" else "done",
        "stage": stage,
        "object_index": object_index,
        "fraction": round(job["fraction"], 4),
        "stage_fraction": round(stage_fraction, 4),
        "eta_seconds": None if job["eta"] is None else round(job["eta"], 1),
        "message": message,
    }
    c.execute(
        "INSERT INTO events (owner, job, time, data) VALUES (?, ?, ?, ?)",
        (job["owner"], job_id, time.time(), json.dumps(data)),
    )


def _dump(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)
