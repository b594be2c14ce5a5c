"""What owners do with jobs: add, look, cancel, delete, choose."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from scenelift.webapp.errors import Conflict, NotAllowedYet, Outdated
from scenelift.webapp.jobs.changes import (
    export_names,
    finish_job,
    get_job,
    queue_task,
    select_jobs,
    write_event,
)
from scenelift.webapp.jobs.database import QueueFile
from scenelift.webapp.jobs.rows import UNLIMITED, JobRow, Limits, NewJob
from scenelift.webapp.models import JobRequest, Selection

__all__ = ["OwnerSide"]


class OwnerSide(QueueFile):
    """The queue as a caller of the interface sees it; jobs of others do not exist for them."""

    def add(self, job: NewJob, limits: Limits = UNLIMITED) -> JobRow:
        """Queue a job. Once this returns, the job will end done or failed with a reason.

        Raises:
            NotAllowedYet: the queue, or the owner's share of it, is full.
        """
        with self.transaction() as c:
            self._check_room(c, job.owner, limits)
            c.execute(
                "INSERT INTO jobs (id, owner, state, request, width, height, created) "
                "VALUES (?, ?, 'queued', ?, ?, ?, ?)",
                (
                    job.id,
                    job.owner,
                    job.request.model_dump_json(),
                    job.width,
                    job.height,
                    time.time(),
                ),
            )
            write_event(c, job.id, "queued")
        return self.get(job.id)

    def check_room(self, owner: str, limits: Limits) -> None:
        """Refuse before an upload what `add` would refuse after it.

        Raises:
            NotAllowedYet: the queue, or the owner's share of it, is full.
        """
        with self.connection() as c:
            self._check_room(c, owner, limits)

    def get(self, job_id: str, owner: str | None = None) -> JobRow:
        """Return a job.

        Args:
            owner: who asks; jobs of others do not exist for them. None may see all.

        Raises:
            NotFound: there is none of that id that this owner may see.
        """
        with self.connection() as c:
            return get_job(c, job_id, owner)

    def of_owner(self, owner: str, *, limit: int, before: str | None = None) -> list[JobRow]:
        """List an owner's jobs, newest first, from the one after `before`.

        Raises:
            NotFound: `before` names no job of this owner.
        """
        with self.connection() as c:
            below = get_job(c, before, owner).number if before else 2**62
            return select_jobs(
                c,
                "owner = ? AND number < ? AND NOT deleting ORDER BY number DESC LIMIT ?",
                (owner, below, limit),
            )

    def positions(self) -> dict[str, int]:
        """Map every waiting job to its place in the queue, from 1."""
        with self.connection() as c:
            rows = c.execute(
                "SELECT id FROM jobs WHERE state = 'queued' AND NOT deleting ORDER BY number"
            ).fetchall()
        return {row["id"]: place for place, row in enumerate(rows, 1)}

    def cancel(self, job_id: str, owner: str) -> JobRow:
        """Stop a job: at once where it waits, through its worker where it runs.

        Of a finished one, what is being written of its scene is stopped, and the job stays done.

        Raises:
            NotFound: see `get`.
        """
        with self.transaction() as c:
            job = get_job(c, job_id, owner)
            if job.state in ("queued", "review"):
                finish_job(c, job_id, "cancelled")
            elif job.state == "running":
                c.execute(
                    "UPDATE jobs SET cancel = coalesce(cancel, ?) WHERE id = ?",
                    (time.time(), job_id),
                )
        return self.get(job_id, owner)

    def delete(self, job_id: str, owner: str) -> None:
        """Hide a job and have it stopped; `purge` follows once nobody works on it.

        Raises:
            NotFound: see `get`.
        """
        with self.transaction() as c:
            get_job(c, job_id, owner)
            c.execute(
                "UPDATE jobs SET deleting = 1, cancel = coalesce(cancel, ?) WHERE id = ?",
                (time.time(), job_id),
            )
            c.execute("DELETE FROM events WHERE job = ?", (job_id,))
            write_event(c, job_id, "deleted")

    def select(
        self, job_id: str, owner: str, selection: Selection, limits: Limits = UNLIMITED
    ) -> JobRow:
        """Queue a reviewed job again, to reconstruct what was chosen.

        Raises:
            NotFound: see `get`.
            Conflict: the job is not waiting for a choice.
            NotAllowedYet: the queue, or the owner's share of it, is full.
        """
        return self._requeue_reviewed(
            job_id, owner, limits, "be continued", "selection", selection.model_dump_json()
        )

    def look_again(
        self, job_id: str, owner: str, request: JobRequest, limits: Limits = UNLIMITED
    ) -> JobRow:
        """Queue a reviewed job again, to find objects by the new request; see `select`."""
        return self._requeue_reviewed(
            job_id, owner, limits, "look again", "request", request.model_dump_json()
        )

    def _requeue_reviewed(
        self, job_id: str, owner: str, limits: Limits, action: str, column: str, value: str
    ) -> JobRow:
        with self.transaction() as c:
            job = get_job(c, job_id, owner)
            if job.state != "review":
                raise Conflict(f"This job is {job.state}; only a job in review can {action}.")
            self._check_room(c, owner, limits)
            c.execute(
                f"UPDATE jobs SET state = 'queued', {column} = ?, attempt = 0, stage = '', "
                "fraction = 0, eta = NULL, finished = NULL WHERE id = ?",
                (value, job_id),
            )
            write_event(c, job_id, "queued")
        return self.get(job_id, owner)

    def edits(self, job_id: str, owner: str) -> tuple[JobRow, bytes | None]:
        """Return a job and the edits that were put last, if there are any.

        Raises:
            NotFound: see `get`.
        """
        with self.connection() as c:
            c.execute("BEGIN")  # both of one moment
            try:
                job = get_job(c, job_id, owner)
                row = c.execute("SELECT document FROM edits WHERE job = ?", (job_id,)).fetchone()
            finally:
                c.execute("ROLLBACK")
        return job, bytes(row["document"]) if row else None

    def put_edits(self, job_id: str, owner: str, document: bytes, *, after: int | None) -> JobRow:
        """Store edits of a finished job, and have a worker write its files from them.

        Args:
            document: they, in their normal form.
            after: the revision that they were made from; None for whichever there is.

        Raises:
            NotFound: see `get`.
            Conflict: the job is not done.
            Outdated: they were made from an earlier revision than the newest.
        """
        with self.transaction() as c:
            job = get_job(c, job_id, owner)
            if not job.has_scene:
                raise Conflict(f"This job is {job.state}; only the scene of a done one is edited.")
            if after is not None and after != job.revision:
                raise Outdated(
                    f"These edits were made from revision {after}, and the newest is "
                    f"{job.revision}: somebody else saved in between, perhaps another tab. Load "
                    "the newest edits, and do yours on them."
                )
            c.execute("INSERT OR REPLACE INTO edits VALUES (?, ?)", (job_id, document))
            c.execute("UPDATE jobs SET revision = revision + 1 WHERE id = ?", (job_id,))
            if job.task == "lift" or (job.task == "export" and job.state == "queued"):
                queue_task(c, job_id, "edit")
        return self.get(job_id, owner)

    def exports(self, job_id: str, owner: str) -> tuple[JobRow, list[str]]:
        """Return a job, and the names of files that are still to be made of its scene.

        Raises:
            NotFound: see `get`.
        """
        with self.transaction() as c:  # both of one moment
            return get_job(c, job_id, owner), export_names(c, job_id)

    def ask_exports(
        self, job_id: str, owner: str, names: Sequence[str], limits: Limits = UNLIMITED
    ) -> JobRow:
        """Have a worker make files of a finished job's scene.

        Args:
            names: of the files, see `output.export`.

        Raises:
            NotFound: see `get`.
            NotAllowedYet: the queue, or the owner's share of it, is full.
            Conflict: the job is not done.
        """
        with self.transaction() as c:
            job = get_job(c, job_id, owner)
            if not job.has_scene:
                raise Conflict(
                    f"This job is {job.state}; files are made of the scene of a done one."
                )
            if job.task == "lift":
                self._check_room(c, owner, limits)
            c.executemany(
                "INSERT OR IGNORE INTO exports (job, name) VALUES (?, ?)",
                [(job_id, name) for name in names],
            )
            c.execute("UPDATE jobs SET export_error = NULL WHERE id = ?", (job_id,))
            if job.task == "lift" and names:
                queue_task(c, job_id, "export")
        return self.get(job_id, owner)

    @staticmethod
    def _check_room(c: sqlite3.Connection, owner: str, limits: Limits) -> None:
        waiting = c.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
        if limits.queued is not None and waiting >= limits.queued:
            raise NotAllowedYet(
                f"{waiting} jobs are waiting, which is all that fit. Try again in a while.", 60
            )
        active = c.execute(
            "SELECT count(*) FROM jobs WHERE owner = ? AND state IN ('queued', 'running')",
            (owner,),
        ).fetchone()[0]
        if limits.active is not None and active >= limits.active:
            raise NotAllowedYet(
                f"You have {active} jobs waiting or running, which is all you may have at once. "
                "Wait for one, or cancel one.",
                30,
            )
