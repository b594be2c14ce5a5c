"""Changes that several sides of the queue make, each inside a transaction of theirs."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from scenelift.webapp.errors import NotFound
from scenelift.webapp.jobs.rows import JobRow, job_from_row
from scenelift.webapp.models import State

__all__ = ["finish_job", "get_job", "queue_edit", "requeue_job", "write_event"]


def get_job(c: sqlite3.Connection, job_id: str, owner: str | None) -> JobRow:
    row = c.execute("SELECT * FROM jobs WHERE id = ? AND NOT deleting", (job_id,)).fetchone()
    if row is None or (owner is not None and row["owner"] != owner):
        raise NotFound("There is no such job. It may have been deleted.")
    return job_from_row(row)


def finish_job(
    c: sqlite3.Connection, job_id: str, state: State, error: Mapping[str, Any] | None = None
) -> None:
    task = c.execute("SELECT task FROM jobs WHERE id = ?", (job_id,)).fetchone()["task"]
    if task == "edit":
        _finish_edit(c, job_id, error)
        return
    fraction = "fraction = 1, " if state == "done" else ""
    c.execute(
        f"UPDATE jobs SET {fraction}state = ?, finished = ?, error = ?, worker = NULL, "
        "lease = NULL, cancel = NULL, eta = NULL WHERE id = ?",
        (state, None if state == "review" else time.time(), _dump(error), job_id),
    )
    write_event(c, job_id, state, message=str(error["detail"]) if error else "")


def _finish_edit(c: sqlite3.Connection, job_id: str, error: Mapping[str, Any] | None) -> None:
    """The job is done as before, with its new files or, where that failed, with the old ones."""
    done = "state = 'done', task = 'lift', fraction = 1, stage = '', finished = ?, "
    free = "worker = NULL, lease = NULL, cancel = NULL, eta = NULL, edit_error = ? WHERE id = ?"
    c.execute(f"UPDATE jobs SET {done}{free}", (time.time(), _dump(error), job_id))
    if error:
        write_event(c, job_id, "edit_failed", message=str(error["detail"]))
        return
    c.execute("UPDATE jobs SET written = taken WHERE id = ?", (job_id,))
    newer = c.execute("SELECT 1 FROM jobs WHERE id = ? AND revision > taken", (job_id,)).fetchone()
    if newer:
        queue_edit(c, job_id)
    else:
        write_event(c, job_id, "edited")


def queue_edit(c: sqlite3.Connection, job_id: str) -> None:
    """Let a finished job wait for a worker to write its files again."""
    c.execute(
        "UPDATE jobs SET state = 'queued', task = 'edit', attempt = 0, outages = 0, stage = '', "
        "fraction = 0, eta = NULL, edit_error = NULL WHERE id = ?",
        (job_id,),
    )
    write_event(c, job_id, "edit_queued")


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
        "state": "done" if job["task"] == "edit" else job["state"],
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
