"""What the queue stores, as Python sees it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scenelift.webapp.models import JobRequest, Selection, State

__all__ = ["Claim", "EventRow", "JobRow", "NewJob", "Progress", "job_from_row", "new_job_id"]


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


def job_from_row(row: sqlite3.Row) -> JobRow:
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
