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

__all__ = ["finish_job", "get_job", "requeue_job", "write_event"]


def get_job(c: sqlite3.Connection, job_id: str, owner: str | None) -> JobRow:
    row = c.execute("SELECT * FROM jobs WHERE id = ? AND NOT deleting", (job_id,)).fetchone()
    if row is None or (owner is not None and row["owner"] != owner):
        raise NotFound("There is no such job. It may have been deleted.")
    return job_from_row(row)


def finish_job(
    c: sqlite3.Connection, job_id: str, state: State, error: Mapping[str, Any] | None = None
) -> None:
    fraction = "fraction = 1, " if state == "done" else ""
    c.execute(
        f"UPDATE jobs SET {fraction}state = ?, finished = ?, error = ?, worker = NULL, "
        "lease = NULL, cancel = NULL, eta = NULL WHERE id = ?",
        (state, None if state == "review" else time.time(), _dump(error), job_id),
    )
    write_event(c, job_id, state, message=str(error["detail"]) if error else "")


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
        "SELECT owner, state, fraction, eta, deleting FROM jobs WHERE id = ?", (job_id,)
    ).fetchone()
    if job["deleting"] and kind != "deleted":
        return  # for its owner it is gone
    data = {
        "job": job_id,
        "kind": kind,
        "state": job["state"],
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
