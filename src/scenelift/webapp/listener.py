"""Turns the pipeline's events into the queue's record of a job."""

from __future__ import annotations

import logging
import sqlite3
import time

from scenelift.progress import Event
from scenelift.types import Segmentation
from scenelift.webapp.estimate import Estimate
from scenelift.webapp.jobs import Claim, Progress, Queue
from scenelift.webapp.objects import StoredObject, of_segmentation

__all__ = ["JobListener"]

log = logging.getLogger(__name__)

# A bar that moves four times a second looks smooth, and more would only fill the log.
LEAST_INTERVAL = 0.25


class JobListener:
    """Writes a job's progress into the queue.

    Call it with the pipeline's events, from the thread that runs the job.

    Attributes:
        objects: the job's objects as they will be shown.
        notes: sentences for the user, each once.
    """

    def __init__(
        self, queue: Queue, claim: Claim, estimate: Estimate, size: tuple[int, int]
    ) -> None:
        self._queue, self._claim, self._estimate = queue, claim, estimate
        self._size = size  # of the photo, in whose pixels boxes are shown
        self._started = time.monotonic()
        self._last_write = 0.0
        self.objects: list[StoredObject] = []
        self.notes: list[str] = []

    def __call__(self, event: Event) -> None:
        if event.kind == "note":
            if event.message not in self.notes:
                self.notes.append(event.message)
        elif event.stage:
            is_end = event.kind in ("stage_finished", "stage_resumed", "object_failed")
            self._estimate.at(event.stage, event.object_index, 1.0 if is_end else event.fraction)
            self._follow_object(event)
        if event.kind in ("run_started", "run_finished"):
            return  # the queue has its own words for these
        now = time.monotonic()
        if event.kind == "stage_progress" and now - self._last_write < LEAST_INTERVAL:
            return
        self._last_write = now
        self._write(
            kind=event.kind,
            stage=event.stage,
            object_index=event.object_index,
            stage_fraction=event.fraction,
            message=event.message,
        )

    def on_segmentation(self, segmentation: Segmentation) -> None:
        """Record the masks that were found."""
        self.objects = of_segmentation(segmentation, self._size)
        self.notes += [note for note in segmentation.notes if note not in self.notes]
        self._estimate.set_objects(len(segmentation.instances))
        self._write(kind="found", stage="segment", stage_fraction=1.0)

    def _follow_object(self, event: Event) -> None:
        if event.stage != "reconstruct" or event.object_index is None:
            return
        if event.object_index >= len(self.objects):
            return
        o = self.objects[event.object_index]
        match event.kind:
            case "stage_started":
                o.state = "running"
            case "stage_progress":
                o.fraction = round(event.fraction, 3)
            case "stage_finished" | "stage_resumed":
                o.state, o.fraction = "done", 1.0
            case "object_failed":
                o.state, o.reason = "failed", event.message
            case _:
                pass

    def _write(
        self,
        *,
        kind: str,
        stage: str,
        stage_fraction: float,
        object_index: int | None = None,
        message: str = "",
    ) -> None:
        progress = Progress(
            kind=kind,
            stage=stage,
            object_index=object_index,
            fraction=self._estimate.fraction(),
            stage_fraction=stage_fraction,
            eta=self._estimate.remaining(time.monotonic() - self._started),
            message=message,
            objects=self.objects,
            notes=self.notes,
        )
        try:
            self._queue.record(self._claim, progress)
        except sqlite3.OperationalError as exc:
            # A full disk: the job may still get through, so only its progress is not shown.
            log.warning("progress of job %s was not stored: %s", self._claim.job, exc)
