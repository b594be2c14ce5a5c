"""One attempt at writing a finished job's files again, from its edits."""

from __future__ import annotations

import time
from typing import Any

from scenelift.edit import parse_edits
from scenelift.edit.folder import edit_folder
from scenelift.progress import Event, Reporter
from scenelift.webapp.jobs import Claim, Queue
from scenelift.webapp.lifting import Attempt
from scenelift.webapp.objects import of_manifest
from scenelift.webapp.records import write_record

__all__ = ["EditAttempt"]

LEAST_INTERVAL = 0.25
# Of the whole time, as measured on a laptop: the preview is drawn while files are being written.
PREVIEW_SHARE = 0.6


class EditAttempt(Attempt):
    """Rewrites the files of a claimed job. Whatever happens, the job stays done.

    Arguments as of `Attempt`; no model is loaded.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        told = _Teller(self._queue, self._job.claim)
        self._report = Reporter(told, token=kwargs["token"])

    def _work(self) -> None:
        edits = parse_edits(self._queue.take_edits(self._job.claim))
        manifest = edit_folder(self._folder.scene, edits, report=self._report)
        self._end(
            "done",
            objects=of_manifest(manifest, (self._job.width, self._job.height)),
            notes=manifest.notes,
            files=[file.model_dump() for file in manifest.files],
        )

    def _end(self, state: Any, **facts: Any) -> None:
        # The job keeps its scene, its notes and its state: only what is wrong is told.
        if self._insist(lambda: self._queue.finish(self._job.claim, state, **facts)):
            for job in self._queue.of_id(self._job.id):
                write_record(self._folder, job)


class _Teller:
    """Tells the queue how far it is."""

    def __init__(self, queue: Queue, claim: Claim) -> None:
        self._queue, self._claim = queue, claim
        self._last_written = 0.0
        self._done = {"preview": 0.0, "write": 0.0}

    def __call__(self, event: Event) -> None:
        if event.stage not in self._done:
            return
        ended = event.kind == "stage_finished"
        self._done[event.stage] = 1.0 if ended else max(self._done[event.stage], event.fraction)
        now = time.monotonic()
        if now - self._last_written < LEAST_INTERVAL:
            return
        self._last_written = now
        fraction = PREVIEW_SHARE * self._done["preview"]
        fraction += (1 - PREVIEW_SHARE) * self._done["write"]
        self._queue.tell(self._claim, "edit_progress", event.stage, min(fraction, 1.0))
