"""One attempt at writing files of a finished job's scene: what edits and exports share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from scenelift.progress import Event, Reporter
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.records import write_record

__all__ = ["DoneJobAttempt"]

LEAST_INTERVAL = 0.25
ENOUGH_TO_TELL = 0.1  # of the whole, before the time that is left is told from the time it took


class DoneJobAttempt(Attempt):
    """Writes files of a claimed job that is done. Whatever happens, the job stays done.

    Arguments as of `Attempt`; no model is loaded.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._token = kwargs["token"]
        self._began = time.monotonic()
        self._last_tell = 0.0
        typical_seconds = self._queue.typical_seconds(self._quality)
        self._typical = typical_seconds.get(self._job.task)

    def _reporter(self, fraction_of: Callable[[Event], float | None]) -> Reporter:
        """Return a reporter that tells the queue how far the task is.

        Args:
            fraction_of: of the whole task after an event; None where it says nothing about that.
        """

        def on_event(event: Event) -> None:
            fraction, now = fraction_of(event), time.monotonic()
            if fraction is None or now - self._last_tell < LEAST_INTERVAL:
                return
            self._last_tell = now
            kind = f"{self._job.task}_progress"
            self._queue.tell(
                self._job.claim, kind, event.stage, min(fraction, 1.0), self._remaining(fraction)
            )

        return Reporter(on_event, token=self._token)

    def _remaining(self, fraction: float) -> float | None:
        if self._typical is not None:
            return (1 - fraction) * self._typical
        elapsed = time.monotonic() - self._began
        return elapsed * (1 - fraction) / fraction if fraction > ENOUGH_TO_TELL else None

    def _report_done(self, **facts: Any) -> None:
        seconds: Mapping[str, float] = {self._job.task: time.monotonic() - self._began}
        self._queue.learn(self._quality, seconds)
        self._end("done", **facts)

    def _end(self, state: Any, **facts: Any) -> None:
        # The job keeps its scene, its notes and its state: only what is wrong is told.
        if self._insist(lambda: self._queue.finish(self._job.claim, state, **facts)):
            for job in self._queue.of_id(self._job.id):
                write_record(self._folder, job)
