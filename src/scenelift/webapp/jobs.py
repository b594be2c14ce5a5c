"""The queue: one SQLite file that the server and its workers share.

Whoever is killed, and whenever, the file tells the truth:

- A job is claimed in one transaction, which counts the attempt: a job that kills its worker ends
  after a few attempts.
- A claim is a fence: every write of a worker names its claim, and does nothing once the job has
  been taken away from it.
- A worker holds a lock file while it lives. Who gets the lock knows that every job running in
  that slot is an orphan. The lease is for a worker that lives and does nothing.
- An event is written in the transaction of the change it tells of, and the numbers of events
  grow in the order of the transactions: a watcher that continues after a number misses nothing.
"""

from __future__ import annotations

import json
import queue
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from scenelift.webapp.errors import Conflict, NotAllowedYet, NotFound, WorkerFailed
from scenelift.webapp.models import JobRequest, Selection, State

__all__ = ["Claim", "EventRow", "JobRow", "LeaseLost", "NewJob", "Progress", "Queue", "new_job_id"]

SCHEMA_VERSION = 1
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS jobs (
  number     INTEGER PRIMARY KEY AUTOINCREMENT,
  id         TEXT NOT NULL UNIQUE,
  owner      TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN {get_args(State)}),
  request    TEXT NOT NULL,
  selection  TEXT,
  width      INTEGER NOT NULL,
  height     INTEGER NOT NULL,
  created    REAL NOT NULL,
  started    REAL,
  finished   REAL,
  attempt    INTEGER NOT NULL DEFAULT 0,
  worker     TEXT,
  lease      REAL,
  claimed    REAL,
  cancel     REAL,
  deleting   INTEGER NOT NULL DEFAULT 0,
  stage      TEXT NOT NULL DEFAULT '',
  fraction   REAL NOT NULL DEFAULT 0,
  eta        REAL,
  objects    TEXT NOT NULL DEFAULT '[]',
  notes      TEXT NOT NULL DEFAULT '[]',
  error      TEXT,
  files      TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_by_owner ON jobs (owner, number);
CREATE TABLE IF NOT EXISTS events (
  seq    INTEGER PRIMARY KEY AUTOINCREMENT,
  owner  TEXT NOT NULL,
  job    TEXT NOT NULL,
  time   REAL NOT NULL,
  data   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_owner ON events (owner, seq);
CREATE INDEX IF NOT EXISTS events_by_job ON events (job);
CREATE TABLE IF NOT EXISTS workers (
  slot   INTEGER PRIMARY KEY,
  pid    INTEGER NOT NULL,
  seen   REAL NOT NULL,
  ready  INTEGER NOT NULL,
  memory INTEGER
);
CREATE TABLE IF NOT EXISTS timings (
  quality TEXT NOT NULL,
  stage   TEXT NOT NULL,
  typical REAL NOT NULL,
  total   REAL NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (quality, stage)
);
PRAGMA user_version = {SCHEMA_VERSION};
"""
FINAL = ("done", "failed", "cancelled")
BUSY_SECONDS = 30


class LeaseLost(Exception):
    """The job was taken away from this worker, which must write nothing more about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be queued; its folder is in place."""

    id: str
    owner: str
    request: JobRequest
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's right to one attempt at a job."""

    job: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a worker says about the job it has."""

    kind: str
    stage: str = ""
    object_index: int | None = None
    fraction: float = 0.0
    stage_fraction: float = 0.0
    eta: float | None = None
    message: str = ""
    objects: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as the queue knows it; times are seconds since 1970."""

    number: int
    id: str
    owner: str
    state: State
    request: JobRequest
    selection: Selection | None
    width: int
    height: int
    created: float
    started: float | None
    finished: float | None
    attempt: int
    worker: str | None
    claimed: float | None
    cancel: float | None
    stage: str
    fraction: float
    eta: float | None
    objects: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)

    @property
    def claim(self) -> Claim:
        return Claim(job=self.id, worker=self.worker or "", attempt=self.attempt)


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of the event log."""

    seq: int
    data: str


def new_job_id() -> str:
    """128 random bits as hex: whoever was not told an id cannot find it."""
    return secrets.token_hex(16)


class Queue:
    """Access to the queue's file, from any thread.

    Args:
        path: of the SQLite file; created where there is none. Not on a network file system.
        max_attempts: how often a job that loses its worker is tried.
    """

    def __init__(self, path: Path, *, max_attempts: int = 3) -> None:
        self._path, self._max_attempts = path, max_attempts
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        with self._connection() as c:
            c.execute("PRAGMA journal_mode = WAL")
            version = c.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise Conflict(
                    f"{path} was written by another version (its format is {version}, this one "
                    f"reads {SCHEMA_VERSION}). Choose another data folder."
                )
            c.executescript(SCHEMA)

    # --- what callers do ---------------------------------------------------------------------

    def add(
        self, job: NewJob, *, max_queued: int | None = None, max_active: int | None = None
    ) -> JobRow:
        """Queue a job. Once this returns, the job will end done or failed with a reason.

        Args:
            max_queued: most jobs that may wait, of all owners.
            max_active: most jobs that may wait or run, of this owner.

        Raises:
            NotAllowedYet: the queue, or the owner's share of it, is full.
        """
        with self._transaction() as c:
            self._check_room(c, job.owner, max_queued, max_active)
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
            _event(c, job.id, "queued")
        return self.get(job.id)

    def check_room(self, owner: str, *, max_queued: int, max_active: int) -> None:
        """Refuse before an upload what `add` would refuse after it.

        Raises:
            NotAllowedYet: the queue, or the owner's share of it, is full.
        """
        with self._connection() as c:
            self._check_room(c, owner, max_queued, max_active)

    def get(self, job_id: str, owner: str | None = None) -> JobRow:
        """A job.

        Args:
            owner: who asks; jobs of others do not exist for them. None may see all.

        Raises:
            NotFound: there is none of that id that this owner may see.
        """
        with self._connection() as c:
            return _get(c, job_id, owner)

    def of_owner(self, owner: str, *, limit: int, before: str | None = None) -> list[JobRow]:
        """An owner's jobs, newest first, from the one after `before`.

        Raises:
            NotFound: `before` names no job of this owner.
        """
        with self._connection() as c:
            below = _get(c, before, owner).number if before else 2**62
            rows = c.execute(
                "SELECT * FROM jobs WHERE owner = ? AND number < ? AND NOT deleting "
                "ORDER BY number DESC LIMIT ?",
                (owner, below, limit),
            ).fetchall()
        return [_job(row) for row in rows]

    def positions(self) -> dict[str, int]:
        """Place in the queue, from 1, of every waiting job."""
        with self._connection() as c:
            rows = c.execute(
                "SELECT id FROM jobs WHERE state = 'queued' AND NOT deleting ORDER BY number"
            ).fetchall()
        return {row["id"]: place for place, row in enumerate(rows, 1)}

    def cancel(self, job_id: str, owner: str) -> JobRow:
        """Stop a job: at once where it waits, through its worker where it runs.

        Raises:
            NotFound: see `get`.
        """
        with self._transaction() as c:
            job = _get(c, job_id, owner)
            if job.state in ("queued", "review"):
                _finish(c, job_id, "cancelled")
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
        with self._transaction() as c:
            _get(c, job_id, owner)
            c.execute(
                "UPDATE jobs SET deleting = 1, cancel = coalesce(cancel, ?) WHERE id = ?",
                (time.time(), job_id),
            )
            c.execute("DELETE FROM events WHERE job = ?", (job_id,))
            _event(c, job_id, "deleted")

    def select(self, job_id: str, owner: str, selection: Selection) -> JobRow:
        """Queue a reviewed job again, to reconstruct what was chosen.

        Raises:
            NotFound: see `get`.
            Conflict: the job is not waiting for a choice.
        """
        with self._transaction() as c:
            job = _get(c, job_id, owner)
            if job.state != "review":
                raise Conflict(f"This job is {job.state}; only a job in review can be continued.")
            c.execute(
                "UPDATE jobs SET state = 'queued', selection = ?, attempt = 0, stage = '', "
                "fraction = 0, eta = NULL, finished = NULL WHERE id = ?",
                (selection.model_dump_json(), job_id),
            )
            _event(c, job_id, "queued")
        return self.get(job_id, owner)

    # --- what a worker does --------------------------------------------------------------------

    def claim(self, slot: int, *, lease: float) -> JobRow | None:
        """Take the job that has waited longest, or None. Counts as an attempt.

        Args:
            slot: of the worker; orphans are found by it.
            lease: seconds until `renew` must have been called.
        """
        with self._connection() as c:
            if not c.execute("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1").fetchone():
                return None
        now = time.time()
        with self._transaction() as c:
            row = c.execute(
                "UPDATE jobs SET state = 'running', worker = ?, lease = ?, claimed = ?, "
                "started = coalesce(started, ?), attempt = attempt + 1 WHERE number = ("
                "  SELECT number FROM jobs WHERE state = 'queued' AND NOT deleting "
                "  AND cancel IS NULL ORDER BY number LIMIT 1) RETURNING *",
                (f"{slot}-{secrets.token_hex(8)}", now + lease, now, now),
            ).fetchone()
            if row is None:
                return None
            _event(c, row["id"], "started")
        return _job(row)

    def renew(self, claim: Claim, *, lease: float) -> bool:
        """Extend the lease; returns whether the owner wants the job stopped.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self._transaction() as c:
            self._held(c, claim, "lease = ?", (time.time() + lease,))
            row = c.execute("SELECT cancel FROM jobs WHERE id = ?", (claim.job,)).fetchone()
        return row["cancel"] is not None

    def wants_cancel(self, claim: Claim) -> bool:
        """Whether the job should be stopped; cheap enough to ask ten times a second.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self._connection() as c:
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
        with self._transaction() as c:
            self._held(
                c,
                claim,
                "stage = ?, fraction = ?, eta = ?, objects = ?, notes = ?",
                (
                    progress.stage,
                    progress.fraction,
                    progress.eta,
                    json.dumps(list(progress.objects)),
                    json.dumps(list(progress.notes)),
                ),
            )
            _event(
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
        objects: Sequence[Mapping[str, Any]] | None = None,
        notes: Sequence[str] | None = None,
        files: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End the attempt: "done", "failed", "cancelled", or "review".

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self._transaction() as c:
            self._held(c, claim, "files = ?", (json.dumps(list(files)),))
            for column, value in (("objects", objects), ("notes", notes)):
                if value is not None:
                    c.execute(
                        f"UPDATE jobs SET {column} = ? WHERE id = ?",
                        (json.dumps(list(value)), claim.job),
                    )
            _finish(c, claim.job, state, error)

    def release(self, claim: Claim, reason: str) -> None:
        """Give a job back unfinished, on an orderly stop: the attempt does not count.

        Raises:
            LeaseLost: the job is somebody else's by now.
        """
        with self._transaction() as c:
            self._held(
                c,
                claim,
                "state = 'queued', worker = NULL, lease = NULL, attempt = attempt - 1",
                (),
            )
            _event(c, claim.job, "requeued", message=reason)

    def recover(self, slot: int, reason: str, *, counts: bool = True) -> list[str]:
        """Decide about the jobs of a slot whose worker is certainly dead; returns their ids.

        Cancelled ones end so, those tried too often fail, the others wait again.

        Args:
            reason: how the worker ended, for people.
            counts: whether the attempt counts (the worker died, and was not asked to stop).
        """
        with self._transaction() as c:
            rows = c.execute(
                "SELECT id, attempt, cancel FROM jobs WHERE state = 'running' AND worker GLOB ?",
                (f"{slot}-*",),
            ).fetchall()
            for row in rows:
                if row["cancel"] is not None:
                    _finish(c, row["id"], "cancelled")
                elif counts and row["attempt"] >= self._max_attempts:
                    error = WorkerFailed(
                        f"The worker stopped {row['attempt']} times while it ran this job; the "
                        f"last time {reason}. Try a smaller photo or fewer objects."
                    )
                    _finish(c, row["id"], "failed", error.problem())
                else:
                    c.execute(
                        "UPDATE jobs SET state = 'queued', worker = NULL, lease = NULL, "
                        "attempt = attempt - ? WHERE id = ?",
                        (0 if counts else 1, row["id"]),
                    )
                    _event(c, row["id"], "requeued", message=f"The worker stopped: {reason}.")
        return [row["id"] for row in rows]

    def beat(self, slot: int, pid: int, *, ready: bool, memory: int | None) -> None:
        """Say that the worker of a slot lives."""
        with self._transaction() as c:
            c.execute(
                "INSERT OR REPLACE INTO workers (slot, pid, seen, ready, memory) "
                "VALUES (?, ?, ?, ?, ?)",
                (slot, pid, time.time(), ready, memory),
            )

    def learn(self, quality: str, seconds: Mapping[str, float]) -> None:
        """Remember how long the stages of a job took."""
        with self._transaction() as c:
            for stage, value in seconds.items():
                c.execute(
                    "INSERT INTO timings VALUES (?1, ?2, ?3, ?3, 1) ON CONFLICT DO UPDATE SET "
                    "typical = 0.7 * typical + 0.3 * ?3, total = total + ?3, count = count + 1",
                    (quality, stage, value),
                )

    # --- what the server does ------------------------------------------------------------------

    def running(self) -> list[tuple[JobRow, float]]:
        """Every running job with the end of its lease."""
        with self._connection() as c:
            rows = c.execute("SELECT * FROM jobs WHERE state = 'running'").fetchall()
        return [(_job(row), row["lease"]) for row in rows]

    def workers(self) -> list[dict[str, Any]]:
        """What each worker last said about itself."""
        with self._connection() as c:
            return [dict(row) for row in c.execute("SELECT * FROM workers ORDER BY slot")]

    def typical_seconds(self, quality: str) -> dict[str, float]:
        """How long the stages of a quality take here, as far as it is known."""
        with self._connection() as c:
            rows = c.execute(
                "SELECT stage, typical FROM timings WHERE quality = ?", (quality,)
            ).fetchall()
        return {row["stage"]: row["typical"] for row in rows}

    def stage_totals(self) -> list[tuple[str, str, float, int]]:
        """Quality, stage, seconds together, count."""
        with self._connection() as c:
            rows = c.execute("SELECT quality, stage, total, count FROM timings").fetchall()
        return [tuple(row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        with self._connection() as c:
            rows = c.execute(
                "SELECT state, count(*) AS n FROM jobs WHERE NOT deleting GROUP BY state"
            ).fetchall()
        return dict.fromkeys(get_args(State), 0) | {row["state"]: row["n"] for row in rows}

    def oldest_waiting(self) -> float | None:
        """When the job was created that has waited longest."""
        with self._connection() as c:
            row = c.execute("SELECT min(created) AS t FROM jobs WHERE state = 'queued'").fetchone()
        return row["t"]

    def last_event(self) -> int:
        """Number of the newest event ever written, 0 before the first."""
        with self._connection() as c:
            # The sequence outlives deleted rows, so that a number is never given twice.
            row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return row["seq"] if row else 0

    def events_after(self, seq: int, owner: str, limit: int = 500) -> list[EventRow]:
        """The owner's events after a number, oldest first."""
        with self._connection() as c:
            rows = c.execute(
                "SELECT seq, data FROM events WHERE owner = ? AND seq > ? ORDER BY seq LIMIT ?",
                (owner, seq, limit),
            ).fetchall()
        return [EventRow(row["seq"], row["data"]) for row in rows]

    def ids(self) -> set[str]:
        """Every job there is, those being deleted included."""
        with self._connection() as c:
            return {row["id"] for row in c.execute("SELECT id FROM jobs")}

    def doomed(self) -> list[str]:
        """Deleted jobs that nobody works on: their files can go."""
        with self._connection() as c:
            rows = c.execute("SELECT id FROM jobs WHERE deleting AND state != 'running'").fetchall()
        return [row["id"] for row in rows]

    def ended(self) -> list[JobRow]:
        """Jobs that wait for nothing but their owner's look, oldest first."""
        with self._connection() as c:
            rows = c.execute(
                "SELECT * FROM jobs WHERE state IN ('done', 'failed', 'cancelled', 'review') "
                "AND NOT deleting ORDER BY coalesce(finished, created), number"
            ).fetchall()
        return [_job(row) for row in rows]

    def purge(self, job_id: str) -> None:
        """Forget a job whose files are gone."""
        with self._transaction() as c:
            c.execute("DELETE FROM jobs WHERE id = ? AND state != 'running'", (job_id,))

    def forget_events(self, before: float) -> None:
        """Drop old events of jobs that are no longer there."""
        with self._transaction() as c:
            c.execute(
                "DELETE FROM events WHERE time < ? AND job NOT IN (SELECT id FROM jobs)", (before,)
            )

    def is_intact(self) -> bool:
        """SQLite's own check of the file."""
        with self._connection() as c:
            return c.execute("PRAGMA integrity_check").fetchone()[0] == "ok"

    def close(self) -> None:
        """Close every idle connection."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    # --- inside ----------------------------------------------------------------------------------

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            # A job that was accepted survives a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
        try:
            yield connection
        except sqlite3.Error:
            connection.close()
            raise
        except BaseException:
            self._idle.put(connection)
            raise
        else:
            self._idle.put(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block's changes or none."""
        with self._connection() as c:
            c.execute("BEGIN IMMEDIATE")
            try:
                yield c
                c.execute("COMMIT")
            except BaseException:
                if c.in_transaction:
                    c.execute("ROLLBACK")
                raise

    @staticmethod
    def _held(c: sqlite3.Connection, claim: Claim, change: str, values: Sequence[Any]) -> None:
        """Change a job only while the claim holds."""
        done = c.execute(
            f"UPDATE jobs SET {change} WHERE id = ? AND worker = ? AND attempt = ? "
            "AND state = 'running'",
            (*values, claim.job, claim.worker, claim.attempt),
        )
        if done.rowcount != 1:
            raise LeaseLost(claim.job)

    @staticmethod
    def _check_room(
        c: sqlite3.Connection, owner: str, max_queued: int | None, max_active: int | None
    ) -> None:
        waiting = c.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").fetchone()[0]
        if max_queued is not None and waiting >= max_queued:
            raise NotAllowedYet(
                f"{waiting} jobs are waiting, which is all that fit. Try again in a while.", 60
            )
        active = c.execute(
            "SELECT count(*) FROM jobs WHERE owner = ? AND state IN ('queued', 'running')",
            (owner,),
        ).fetchone()[0]
        if max_active is not None and active >= max_active:
            raise NotAllowedYet(
                f"You have {active} jobs waiting or running, which is all you may have at once. "
                "Wait for one, or cancel one.",
                30,
            )


def _get(c: sqlite3.Connection, job_id: str, owner: str | None) -> JobRow:
    row = c.execute("SELECT * FROM jobs WHERE id = ? AND NOT deleting", (job_id,)).fetchone()
    if row is None or (owner is not None and row["owner"] != owner):
        raise NotFound("There is no such job. It may have been deleted.")
    return _job(row)


def _finish(
    c: sqlite3.Connection, job_id: str, state: State, error: Mapping[str, Any] | None = None
) -> None:
    fraction = "fraction = 1, " if state == "done" else ""
    c.execute(
        f"UPDATE jobs SET {fraction}state = ?, finished = ?, error = ?, worker = NULL, "
        "lease = NULL, cancel = NULL, eta = NULL WHERE id = ?",
        (state, None if state == "review" else time.time(), _dump(error), job_id),
    )
    _event(c, job_id, state, message=str(error["detail"]) if error else "")


def _event(
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


def _job(row: sqlite3.Row) -> JobRow:
    return JobRow(
        number=row["number"],
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        request=JobRequest.model_validate_json(row["request"]),
        selection=Selection.model_validate_json(row["selection"]) if row["selection"] else None,
        width=row["width"],
        height=row["height"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        attempt=row["attempt"],
        worker=row["worker"],
        claimed=row["claimed"],
        cancel=row["cancel"],
        stage=row["stage"],
        fraction=row["fraction"],
        eta=row["eta"],
        objects=json.loads(row["objects"]),
        notes=json.loads(row["notes"]),
        error=json.loads(row["error"]) if row["error"] else None,
        files=json.loads(row["files"]),
    )
