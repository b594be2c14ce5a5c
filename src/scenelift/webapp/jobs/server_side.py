"""What the server does with jobs: watch, report, and remove."""

from __future__ import annotations

import json
from typing import Any, get_args

from scenelift.webapp.jobs.changes import select_jobs, write_event
from scenelift.webapp.jobs.database import QueueFile
from scenelift.webapp.jobs.rows import EventRow, JobRow, job_from_row
from scenelift.webapp.models import State
from scenelift.webapp.objects import objects_json

__all__ = ["ServerSide"]


class ServerSide(QueueFile):
    """The queue for the server: every owner's jobs, events, workers, timings."""

    def running(self) -> list[tuple[JobRow, float]]:
        """List every running job with the end of its lease."""
        with self.connection() as c:
            rows = c.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall()
        return [(job_from_row(row), row["lease"]) for row in rows]

    def workers(self) -> list[dict[str, Any]]:
        """List the latest report of every worker."""
        with self.connection() as c:
            return [dict(row) for row in c.execute("SELECT * FROM workers ORDER BY slot")]

    def typical_seconds(self, quality: str) -> dict[str, float]:
        """Return typical seconds of the stages of a quality on this server."""
        with self.connection() as c:
            rows = c.execute(
                "SELECT stage, typical FROM timings WHERE quality = ?", (quality,)
            ).fetchall()
        return {row["stage"]: row["typical"] for row in rows}

    def before(self, number: int) -> list[JobRow]:
        """List the jobs that run, or wait for a turn before that one's."""
        with self.connection() as c:
            return select_jobs(
                c,
                "state = 'running' OR (state = 'queued' AND NOT deleting AND number < ?) "
                "ORDER BY number",
                (number,),
            )

    def stage_totals(self) -> list[tuple[str, str, float, int]]:
        """List rows of quality, stage, total seconds and count."""
        with self.connection() as c:
            rows = c.execute("SELECT quality, stage, total, count FROM timings").fetchall()
        return [tuple(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Count the jobs in each state."""
        with self.connection() as c:
            rows = c.execute(
                "SELECT state, count(*) AS n FROM jobs WHERE NOT deleting GROUP BY state"
            ).fetchall()
        return dict.fromkeys(get_args(State), 0) | {row["state"]: row["n"] for row in rows}

    def oldest_waiting(self) -> float | None:
        """Return when the job was created that has waited longest."""
        with self.connection() as c:
            row = c.execute("SELECT min(created) AS t FROM jobs WHERE state = 'queued'").fetchone()
        return row["t"]

    def last_activity(self) -> float:
        """Return when anything was last written here, 0 if it never was."""
        with self.connection() as c:
            row = c.execute(
                "SELECT max((SELECT coalesce(max(created), 0) FROM jobs "
                "WHERE typeof(created) = 'real'), "
                "(SELECT coalesce(max(time), 0) FROM events), "
                "(SELECT coalesce(max(seen), 0) FROM workers)) AS t"
            ).fetchone()
        return float(row["t"]) if isinstance(row["t"], int | float) else 0.0

    def last_event(self) -> int:
        """Return the number of the newest event ever written, 0 before the first."""
        with self.connection() as c:
            # The sequence outlives deleted rows, so that a number is never given twice.
            row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return row["seq"] if row else 0

    def events_after(self, seq: int, owner: str, limit: int = 500) -> list[EventRow]:
        """List the owner's events after a number, oldest first."""
        with self.connection() as c:
            rows = c.execute(
                "SELECT seq, data FROM events WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
                (owner, seq, limit),
            ).fetchall()
        return [EventRow(row["seq"], row["data"]) for row in rows]

    def ids(self) -> set[str]:
        """List the ids of all jobs, those being deleted included."""
        with self.connection() as c:
            return {row["id"] for row in c.execute("SELECT id FROM jobs")}

    def of_id(self, job_id: str) -> list[JobRow]:
        """Return the job of that id, whoever owns it; empty if it is missing or being deleted."""
        with self.connection() as c:
            return select_jobs(c, "id = ? AND NOT deleting", (job_id,))

    def restore(self, job: JobRow, edits: bytes | None = None) -> None:
        """Restore a job from another queue's file, with the edits of its scene."""
        values = {
            "id": job.id,
            "owner": job.owner,
            "state": job.state,
            "request": job.request.model_dump_json(),
            "selection": job.selection.model_dump_json() if job.selection else None,
            "width": job.width,
            "height": job.height,
            "created": job.created,
            "finished": job.finished,
            "fraction": job.fraction,
            "objects": objects_json(job.objects),
            "notes": json.dumps(job.notes),
            "error": json.dumps(job.error) if job.error else None,
            "files": json.dumps(job.files),
            "task": job.task,
            "revision": job.revision,
            "taken": job.written,
            "written": job.written,
        }
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        with self.transaction() as c:
            c.execute(f"INSERT INTO jobs ({columns}) VALUES ({marks})", tuple(values.values()))
            if edits is not None:
                c.execute("INSERT INTO edits VALUES (?, ?)", (job.id, edits))
            write_event(c, job.id, job.state)

    def jobs_to_remove(self) -> list[str]:
        """List deleted jobs that no worker runs: their files can be removed."""
        with self.connection() as c:
            rows = c.execute("SELECT id FROM jobs WHERE deleting AND state != 'running'").fetchall()
        return [row["id"] for row in rows]

    def finished_jobs(self) -> list[JobRow]:
        """List jobs that wait for nothing but their owner's review, oldest first."""
        with self.connection() as c:
            return select_jobs(
                c,
                "state IN ('done', 'failed', 'cancelled', 'review') AND NOT deleting "
                "ORDER BY coalesce(finished, created), number",
            )

    def purge(self, job_id: str) -> None:
        """Remove a job whose files are gone."""
        with self.transaction() as c:
            c.execute("DELETE FROM jobs WHERE id = ? AND state != 'running'", (job_id,))
            for table in ("edits", "exports"):
                c.execute(f"DELETE FROM {table} WHERE job NOT IN (SELECT id FROM jobs)")

    def forget_events(self, before: float) -> None:
        """Remove old events of jobs that no longer exist."""
        with self.transaction() as c:
            c.execute(
                "DELETE FROM events WHERE time < ? AND job NOT IN (SELECT id FROM jobs)", (before,)
            )
