"""What workers do with jobs: claim, renew the claim, report progress, end."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scenelift.webapp.errors import WorkerFailed
from scenelift.webapp.jobs.changes import export_names, finish_job, requeue_job, write_event
from scenelift.webapp.jobs.database import QueueFile
from scenelift.webapp.jobs.rows import Claim, JobRow, Progress, job_from_row
from scenelift.webapp.models import State
from scenelift.webapp.objects import StoredObject, objects_json

__all__ = ["LeaseLost", "WorkerSide"]


MAX_OUTAGES = 10


class LeaseLost(Exception):
    """The job was taken from this worker, which must write nothing more about it."""


class WorkerSide(QueueFile):
    """The queue for a worker.

    Args:
        path: see `QueueFile`.
        max_attempts: how often a job that loses its worker is tried.
    """

    def __init__(self, path: Path, *, max_attempts: int = 3) -> None:
        super().__init__(path)
        self._max_attempts = max_attempts

    def claim(self, slot: int, *, lease: float) -> JobRow | None:
        """Take the job that has waited longest, or None. Counts as an attempt.

        Args:
            slot: of the worker; orphans are found by it.
            lease: seconds until `renew` must have been called.
        """
        with self.connection() as c:
            if not c.execute("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1").fetchone():
                return None
        now = time.time()
        with self.transaction() as c:
            while True:
                row = c.execute(
                    "UPDATE jobs SET state = 'running', worker = ?, lease = ?, claimed = ?, "
                    "started = coalesce(started, ?), attempt = attempt + 1 WHERE number = ("
                    "  SELECT number FROM jobs WHERE state = 'queued' AND NOT deleting "
                    "  AND cancel IS NULL ORDER BY number LIMIT 1) RETURNING *",
                    (f"{slot}-{secrets.token_hex(8)}", now + lease, now, now),
                ).fetchone()
                if row is None:
                    return None
                job = job_from_row(row)
                if job.readable:
                    break
                # It cannot be run and must not stop those behind it.
                finish_job(c, row["id"], "failed", job.error)
            write_event(c, row["id"], "started")
        return job

    def renew(self, claim: Claim, *, lease: float) -> bool:
        """Extend the lease; returns whether the owner wants the job stopped.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(c, claim, "lease = ?", (time.time() + lease,))
            row = c.execute("SELECT cancel FROM jobs WHERE id = ?", (claim.job,)).fetchone()
        return row["cancel"] is not None

    def wants_cancel(self, claim: Claim) -> bool:
        """Tell whether the job should be stopped; cheap enough to ask ten times a second.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.connection() as c:
            row = c.execute(
                "SELECT cancel FROM jobs WHERE id = ? AND worker = ? AND attempt = ? "
                "AND state = 'running'",
                (claim.job, claim.worker, claim.attempt),
            ).fetchone()
        if row is None:
            raise LeaseLost(claim.job)
        return row["cancel"] is not None

    def record(self, claim: Claim, progress: Progress) -> None:
        """Store how far the job is, and tell its watchers.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(
                c,
                claim,
                "stage = ?, fraction = ?, eta = ?, objects = ?, notes = ?",
                (
                    progress.stage,
                    progress.fraction,
                    progress.eta,
                    objects_json(progress.objects),
                    json.dumps(list(progress.notes)),
                ),
            )
            write_event(
                c,
                claim.job,
                progress.kind,
                stage=progress.stage,
                object_index=progress.object_index,
                stage_fraction=progress.stage_fraction,
                message=progress.message,
            )

    def finish(
        self,
        claim: Claim,
        state: State,
        *,
        error: Mapping[str, Any] | None = None,
        objects: Sequence[StoredObject] | None = None,
        notes: Sequence[str] | None = None,
        files: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """End the attempt: "done", "failed", "cancelled", or "review".

        What is not given stays as it is.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        values: dict[str, str | None] = {"eta": None}
        if files is not None:
            values["files"] = json.dumps(list(files))
        if objects is not None:
            values["objects"] = objects_json(objects)
        if notes is not None:
            values["notes"] = json.dumps(list(notes))
        columns = ", ".join(f"{column} = ?" for column in values)
        with self.transaction() as c:
            self._update_claimed(c, claim, columns, tuple(values.values()))
            finish_job(c, claim.job, state, error)

    def release(self, claim: Claim, reason: str) -> None:
        """Give a job back unfinished, on an orderly stop: the attempt does not count.

        One that its owner had asked to stop ends here; nobody would take it up again.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(c, claim, "lease = NULL", ())
            row = c.execute("SELECT cancel FROM jobs WHERE id = ?", (claim.job,)).fetchone()
            if row["cancel"] is not None:
                finish_job(c, claim.job, "cancelled")
            else:
                requeue_job(c, claim.job, reason, counts=False)

    def recover(
        self, slot: int, reason: str, *, counts: bool = True, outage: bool = False
    ) -> list[str]:
        """Recover the jobs of a slot whose worker is certainly dead; returns their ids.

        Cancelled ones end so, those tried too often fail, the others wait again.

        Args:
            reason: how the worker ended, for people.
            counts: whether the attempt counts (the worker died, and was not asked to stop).
            outage: the server died too, or the machine: hardly by the job's fault. It does not
                count as an attempt, but `MAX_OUTAGES` of them are enough.
        """
        with self.transaction() as c:
            rows = c.execute(
                "SELECT id, attempt, outages, cancel FROM jobs "
                "WHERE state = 'running' AND worker GLOB ?",
                (f"{slot}-*",),
            ).fetchall()
            for row in rows:
                if row["cancel"] is not None:
                    finish_job(c, row["id"], "cancelled")
                elif outage and row["outages"] + 1 < MAX_OUTAGES:
                    c.execute("UPDATE jobs SET outages = outages + 1 WHERE id = ?", (row["id"],))
                    requeue_job(c, row["id"], f"The server stopped: {reason}.", counts=False)
                elif outage:
                    error = WorkerFailed(
                        f"The server stopped {MAX_OUTAGES} times while it ran this job; the last "
                        f"time {reason}. Ask who runs it, or try a smaller photo."
                    )
                    finish_job(c, row["id"], "failed", error.problem())
                elif counts and row["attempt"] >= self._max_attempts:
                    error = WorkerFailed(
                        f"The worker stopped {row['attempt']} times while it ran this job; the "
                        f"last time {reason}. Try a smaller photo or fewer objects."
                    )
                    finish_job(c, row["id"], "failed", error.problem())
                else:
                    requeue_job(c, row["id"], f"The worker stopped: {reason}.", counts=counts)
        return [row["id"] for row in rows]

    def take_edits(self, claim: Claim) -> bytes:
        """Return the newest edits of a job, from which its files are written next.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(c, claim, "taken = revision", ())
            row = c.execute("SELECT document FROM edits WHERE job = ?", (claim.job,)).fetchone()
        return bytes(row["document"])

    def next_exports(self, claim: Claim) -> list[str]:
        """List the names of the files that are still to be made of a job's scene, in order.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(c, claim, "task = task", ())
            return export_names(c, claim.job)

    def export_done(self, claim: Claim, name: str) -> None:
        """Record that a file was made, or cannot be.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(c, claim, "task = task", ())
            c.execute("DELETE FROM exports WHERE job = ? AND name = ?", (claim.job, name))

    def tell(self, claim: Claim, kind: str, stage: str, fraction: float, eta: float | None) -> None:
        """Report how far edits or exports are written; nothing else about the job changes.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self.transaction() as c:
            self._update_claimed(
                c, claim, "stage = ?, fraction = ?, eta = ?", (stage, fraction, eta)
            )
            write_event(c, claim.job, kind, stage=stage, stage_fraction=fraction)

    def beat(self, slot: int, pid: int, *, ready: bool, memory: int | None) -> None:
        """Record the heartbeat of a slot's worker."""
        with self.transaction() as c:
            c.execute(
                "INSERT OR REPLACE INTO workers (slot, pid, seen, ready, memory) "
                "VALUES (?, ?, ?, ?, ?)",
                (slot, pid, time.time(), ready, memory),
            )

    def learn(self, quality: str, seconds: Mapping[str, float]) -> None:
        """Record how long the stages of a job took."""
        with self.transaction() as c:
            for stage, value in seconds.items():
                c.execute(
                    "INSERT INTO timings VALUES (?1, ?2, ?3, ?3, 1) ON CONFLICT DO UPDATE SET "
                    "typical = 0.7 * typical + 0.3 * ?3, total = total + ?3, count = count + 1",
                    (quality, stage, value),
                )

    @staticmethod
    def _update_claimed(
        c: sqlite3.Connection, claim: Claim, change: str, values: Sequence[Any]
    ) -> None:
        """Change a job only while the claim holds."""
        cursor = c.execute(
            f"UPDATE jobs SET {change} WHERE id = ? AND worker = ? AND attempt = ? "
            "AND state = 'running'",
            (*values, claim.job, claim.worker, claim.attempt),
        )
        if cursor.rowcount != 1:
            raise LeaseLost(claim.job)
