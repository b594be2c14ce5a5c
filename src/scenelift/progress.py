"""Progress and cancellation: one stream of events that the CLI, the web app and batches all read.

A stage receives a `Reporter`; it says how far it is and, between its steps, whether the user has
stopped the run. Nothing here prints.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from scenelift.errors import Cancelled

__all__ = ["CancelToken", "Event", "Reporter", "silent"]

Kind = Literal[
    "run_started",
    "stage_started",
    "stage_progress",
    "stage_finished",
    "stage_resumed",
    "object_failed",
    "note",
    "run_finished",
]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message about a run's progress that a caller may want to show.

    Attributes:
        kind: what happened.
        stage: a name of `stage_names.STAGES`; "" for the run.
        object_index: the object it is about, None where it is about the photo.
        fraction: how much of the stage (of this object) is done, 0…1.
        message: a plain sentence or label.
        seconds: since the run started.
    """

    kind: Kind
    stage: str = ""
    object_index: int | None = None
    fraction: float = 0.0
    message: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class CancelToken:
    """Set from any thread or signal handler; stages look at it between their steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


class Reporter:
    """Takes the progress of one stage (of one object), and passes it on to the caller.

    Every call raises `Cancelled` once the user has stopped the run, so a stage that reports
    between its steps can be interrupted there and needs no other code for it.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        *,
        token: CancelToken | None = None,
        stage: str = "",
        object_index: int | None = None,
        started: float | None = None,
        deliver: Callable[[], None] | None = None,
    ) -> None:
        self._emit, self._deliver = emit, deliver
        self._token = token or CancelToken()
        self._stage, self._object = stage, object_index
        self._started = time.monotonic() if started is None else started

    def at(self, stage: str, object_index: int | None = None) -> Reporter:
        """Return a reporter for a stage (of one object) of the same run."""
        return Reporter(
            self._emit,
            token=self._token,
            stage=stage,
            object_index=object_index,
            started=self._started,
            deliver=self._deliver,
        )

    def from_threads(self) -> Reporter:
        """Return a reporter for several threads, whose events reach the caller from this thread.

        What others send is passed on when this thread next sends something or calls `check`.
        """
        owner, waiting = threading.get_ident(), deque[Event]()

        def deliver() -> None:
            while waiting and threading.get_ident() == owner:
                self._emit(waiting.popleft())

        def emit(event: Event) -> None:
            if threading.get_ident() != owner:
                waiting.append(event)
                return
            deliver()
            self._emit(event)

        return Reporter(
            emit,
            token=self._token,
            stage=self._stage,
            object_index=self._object,
            started=self._started,
            deliver=deliver,
        )

    def quiet(self) -> Reporter:
        """Return a reporter that sends nothing, and raises Cancelled when this one does."""
        return Reporter(lambda event: None, token=self._token, started=self._started)

    def part(self, start: float, end: float) -> Reporter:
        """Return a reporter whose 0…1 is a part of this one's."""

        def emit(event: Event) -> None:
            if event.kind == "stage_progress":
                self.update(start + (end - start) * event.fraction, message=event.message)
            else:
                self.send(event.kind, event.message, event.fraction)

        return Reporter(
            emit,
            token=self._token,
            stage=self._stage,
            object_index=self._object,
            started=self._started,
        )

    def check(self) -> None:
        """Raise `Cancelled` if the user has stopped the run."""
        if self._deliver:
            self._deliver()
        if self._token.cancelled:
            raise Cancelled("Stopped. What was finished is kept; running again resumes.")

    def send(self, kind: Kind, message: str = "", fraction: float = 0.0) -> None:
        self._emit(
            Event(
                kind=kind,
                stage=self._stage,
                object_index=self._object,
                fraction=fraction,
                message=message,
                seconds=time.monotonic() - self._started,
            )
        )

    def update(self, amount: float, total: float = 1.0, message: str = "") -> None:
        """Report that `amount` of `total` is done; raises Cancelled once the run is stopped."""
        self.check()
        self.send("stage_progress", message, min(1.0, amount / total) if total else 1.0)

    def note(self, message: str) -> None:
        """A plain sentence that the user should see once."""
        self.send("note", message)

    def track(self, items: Iterable[Item], total: int, message: str = "") -> Iterator[Item]:
        """Pass items through, reporting and checking for cancellation before each."""
        for count, item in enumerate(items):
            self.update(count, total, message)
            yield item
        self.update(total, total, message)


def silent() -> Reporter:
    """A reporter that nobody listens to, for tests and one-off calls."""
    return Reporter(lambda event: None)
