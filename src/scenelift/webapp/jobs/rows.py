"""The queue's rows as Python values."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from scenelift.webapp.errors import UnreadableJob
from scenelift.webapp.models import JobRequest, Selection, State
from scenelift.webapp.objects import StoredObject, read

__all__ = [
    "UNLIMITED",
    "Claim",
    "EventRow",
    "JobRow",
    "Limits",
    "NewJob",
    "Progress",
    "Task",
    "job_from_row",
    "new_job_id",
    "unreadable",
]


Task = Literal["lift", "edit", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be queued; its folder is in place."""

    id: str
    owner: str
    request: JobRequest
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many jobs there may be.

    Attributes:
        queued: most that may wait, of all owners; None for any number.
        active: most that may wait or run, of one owner; None for any number.
    """

    queued: int | None = None
    active: int | None = None


UNLIMITED = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's right to one attempt at a job."""

    job: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A worker's report on the job it runs."""

    kind: str
    stage: str = ""
    object_index: int | None = None
    fraction: float = 0.0
    stage_fraction: float = 0.0
    eta: float | None = None
    message: str = ""
    objects: Sequence[StoredObject] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job as the queue knows it; times are seconds since 1970.

    Of its edits, `revision` counts those that were put, `taken` is the one that was written last or
    given up, and `written` the one that its files are of. The task is "edit" while files of a
    finished job are written again, and "export" while further ones are made of its scene.
    """

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
    objects: list[StoredObject] = field(default_factory=list[StoredObject])
    notes: list[str] = field(default_factory=list[str])
    error: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    task: Task = "lift"
    revision: int = 0
    taken: int = 0
    written: int = 0
    edit_error: dict[str, Any] | None = None
    export_error: dict[str, Any] | None = None
    readable: bool = True

    @property
    def has_scene(self) -> bool:
        """Whether its files are there: those of a finished job, whatever is made of it since."""
        return self.shown_state == "done"

    @property
    def shown_state(self) -> State:
        """The state for its owner: a job that is edited or exported still counts as done."""
        return self.state if self.task == "lift" else "done"

    @property
    def claim(self) -> Claim:
        return Claim(job=self.id, worker=self.worker or "", attempt=self.attempt)


@dataclass(frozen=True, slots=True)
class EventRow:
    """One entry of the event log."""

    seq: int
    data: str


def new_job_id() -> str:
    """Draw 128 random bits as hex, so that ids cannot be guessed."""
    return secrets.token_hex(16)


def job_from_row(row: sqlite3.Row) -> JobRow:
    """Convert a row; one that this version cannot read becomes a failed job that says so.

    Rows are unreadable after a rollback from a later version, or when the file was damaged. They
    stay as they are in it: the version that wrote them reads them again.
    """
    try:
        return _parse(row)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, AttributeError):
        return unreadable(row)


def unreadable(row: sqlite3.Row | JobRow) -> JobRow:
    """Make a stand-in for a job whose row this version cannot read."""

    def value(name: str) -> Any:
        return getattr(row, name) if isinstance(row, JobRow) else row[name]

    error = UnreadableJob(
        "This job was stored by another version of scenelift, or its record is damaged. That "
        "version may still show it; otherwise delete it and upload the photo again."
    )
    created = value("created")
    return JobRow(
        number=int(value("number")),
        id=str(value("id")),
        owner=str(value("owner")),
        state="failed",
        request=JobRequest.model_validate({"prompt": {}}),
        selection=None,
        width=0,
        height=0,
        created=float(created) if isinstance(created, int | float) else 0.0,
        started=None,
        finished=None,
        attempt=0,
        worker=str(value("worker")) if value("worker") else None,
        claimed=None,
        cancel=None,
        stage="",
        fraction=0.0,
        eta=None,
        error=error.problem(),
        readable=False,
    )


def _parse(row: sqlite3.Row) -> JobRow:
    if row["state"] not in get_args(State):
        raise ValueError(f"no state of this version: {row['state']!r}")
    return JobRow(
        number=row["number"],
        id=row["id"],
        owner=row["owner"],
        state=row["state"],
        request=JobRequest.model_validate_json(row["request"]),
        selection=Selection.model_validate_json(row["selection"]) if row["selection"] else None,
        width=int(row["width"]),
        height=int(row["height"]),
        created=float(row["created"]),
        started=_number(row["started"]),
        finished=_number(row["finished"]),
        attempt=int(row["attempt"]),
        worker=row["worker"],
        claimed=_number(row["claimed"]),
        cancel=_number(row["cancel"]),
        stage=row["stage"],
        fraction=float(row["fraction"]),
        eta=_number(row["eta"]),
        objects=read(row["objects"]),
        notes=_list(row["notes"], str),
        error=_dict(row["error"]) if row["error"] else None,
        files=_list(row["files"], dict),
        task=row["task"] if row["task"] in get_args(Task) else "lift",
        revision=int(row["revision"]),
        taken=int(row["taken"]),
        written=int(row["written"]),
        edit_error=_dict(row["edit_error"]) if row["edit_error"] else None,
        export_error=_dict(row["export_error"]) if row["export_error"] else None,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _dict(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {text[:40]}")
    return cast("dict[str, Any]", value)


def _list(text: str, kind: type) -> list[Any]:
    values = json.loads(text)
    rows = cast("list[Any]", values) if isinstance(values, list) else None
    if rows is None or not all(isinstance(value, kind) for value in rows):
        raise TypeError(f"expected a list, got {text[:40]}")
    return rows
