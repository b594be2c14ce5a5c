"""Runs one attempt at writing a finished job's files again, from its edits."""

from __future__ import annotations

from scenelift.edit import parse_edits
from scenelift.edit.folder import edit_folder
from scenelift.progress import Event
from scenelift.webapp.done_jobs import DoneJobAttempt
from scenelift.webapp.exports import remove_exports
from scenelift.webapp.objects import of_manifest

__all__ = ["EditAttempt"]

# Of the whole time, as measured on a laptop: the preview is drawn while files are being written.
SHARES = {"preview": 0.6, "write": 0.4}


class EditAttempt(DoneJobAttempt):
    """Rewrites the files of a claimed job, and removes exports of the scene before its edits."""

    def _work(self) -> None:
        edits = parse_edits(self._queue.take_edits(self._job.claim))
        done = dict.fromkeys(SHARES, 0.0)

        def fraction_of(event: Event) -> float | None:
            if event.stage not in done:
                return None
            ended = event.kind == "stage_finished"
            done[event.stage] = 1.0 if ended else max(done[event.stage], event.fraction)
            return sum(SHARES[stage] * fraction for stage, fraction in done.items())

        manifest = edit_folder(self._folder.scene, edits, report=self._reporter(fraction_of))
        remove_exports(self._folder)
        self._report_done(
            objects=of_manifest(manifest, (self._job.width, self._job.height)),
            notes=manifest.notes,
            files=[file.model_dump() for file in manifest.files],
        )
