"""Runs one attempt at making files of a finished job's scene, as its owner asked for them."""

from __future__ import annotations

from functools import cached_property

from scenelift.errors import FormatError, SetupError
from scenelift.io.files import prepare_output_folder, remove_leftovers, sha256_of
from scenelift.output.export import export_of
from scenelift.output.exporter import Exporter
from scenelift.output.manifest import FileModel
from scenelift.progress import Event, Reporter
from scenelift.webapp.done_jobs import DoneJobAttempt
from scenelift.webapp.exports import ExportRecord, exports_of, remove_exports, write_exports

__all__ = ["ExportAttempt"]


class ExportAttempt(DoneJobAttempt):
    """Makes one file after the other; each is recorded as soon as it is complete."""

    @cached_property
    def _exporter(self) -> Exporter:
        return Exporter(self._folder.scene)

    def _work(self) -> None:
        claim = self._job.claim
        record = exports_of(self._folder)
        if not record.files:
            remove_exports(self._folder)  # of the scene before it was edited
        prepare_output_folder(self._folder.exports)
        remove_leftovers(self._folder.exports)
        done = 0
        # More may be asked for meanwhile.
        while names := self._queue.next_exports(claim):
            total = done + len(names)
            self._make(names[0], record, self._part(done, total))
            self._queue.export_done(claim, names[0])
            done += 1
        self._report_done()

    def _part(self, done: int, total: int) -> Reporter:
        def fraction_of(event: Event) -> float:
            return (done + event.fraction) / total

        return self._reporter(fraction_of).at("export")

    def _make(self, name: str, record: ExportRecord, report: Reporter) -> None:
        report.update(0, message=name)
        if name in record.made:
            return
        folder = self._folder.exports
        try:
            paths = self._exporter.write(export_of(name), folder, report)
        except (SetupError, FormatError) as exc:
            record.refused[name] = str(exc)
        else:
            record.refused.pop(name, None)
            record.made[name] = [
                FileModel(
                    path=path.relative_to(folder).as_posix(),
                    bytes=path.stat().st_size,
                    sha256=sha256_of(path),
                )
                for path in paths
            ]
        write_exports(self._folder, record)
