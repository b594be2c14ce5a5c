"""Run a batch: check it, start workers, watch them, and sum up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from scenelift.batch.entry import Entry
from scenelift.batch.folder import BatchFolder
from scenelift.batch.identity import WorkerIdentity
from scenelift.batch.items import BatchItem, write_plan
from scenelift.batch.journal import JournalReader
from scenelift.batch.ledger import Ledger
from scenelift.batch.progress import BatchProgress, BatchReport
from scenelift.batch.settings import BatchSettings, keep_settings
from scenelift.progress import CancelToken

__all__ = [
    "Executor",
    "begin_batch",
    "conclude",
    "retry_failed",
    "retry_missing",
    "run_batch",
    "watch",
]

POLL_SECONDS = 0.25
SLOW_POLL_SECONDS = 2.0
# Scenes whose manifests are read at a start, to make damaged ones again.
MOST_READ = 2000


class Executor(Protocol):
    """Starts workers in one kind of place and keeps them running; they find items themselves."""

    @property
    def name(self) -> str:
        """Description of the workers for people: "2 workers here"."""
        ...

    def tick(self, progress: BatchProgress) -> None:
        """Start workers, and replace those that ended; called again and again.

        Raises:
            SceneliftError: nobody can go on.
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait a while, or less if `tick` has something to do."""
        ...

    def stop(self) -> None:
        """Make the workers give their items back, and wait for them."""
        ...

    def kill(self) -> None:
        """End the workers at once."""
        ...


def begin_batch(
    items: Sequence[BatchItem], out: Path, settings: BatchSettings
) -> tuple[BatchFolder, str]:
    """Prepare a folder for these items; it may hold an earlier run of the batch.

    Returns:
        The folder, and the name of the plan that workers read.

    Raises:
        OutputError: it cannot be written.
        InputError: it holds results of other settings, or photos where results go.
    """
    folder = BatchFolder(out.absolute())
    folder.check_inputs(item.photo for item in items)
    folder.prepare()
    plan = folder.keep_plan(write_plan(items))
    keep_settings(folder, settings, plan)
    return folder, plan


def run_batch(
    items: Sequence[BatchItem],
    out: Path,
    settings: BatchSettings | None = None,
    *,
    workers: int = 1,
    devices: Sequence[str] = (),
    on_entry: Callable[[Entry], None] | None = None,
    token: CancelToken | None = None,
) -> BatchReport:
    """Run items on this machine, from the first check to the summary.

    Args:
        out: the output folder; what is done there is not done again.
        workers: processes, each with the models.
        devices: one for each worker, in turn; empty for that of the settings.
        on_entry: is called with what happens to each item.
        token: set to stop; workers give back what they do.

    Raises:
        SceneliftError: the folder or the set-up cannot be used; what was done stays.
    """
    from scenelift.batch.on_local import LocalWorkers

    folder, plan = begin_batch(items, out, settings or BatchSettings())
    executor = LocalWorkers(folder, plan, workers=workers, devices=devices)
    progress = BatchProgress(folder, items)
    retry_missing(progress)
    report = watch(progress, executor, on_entry=on_entry, token=token)
    return conclude(folder, items, report)


def retry_failed(progress: BatchProgress) -> int:
    """Queue failed items again, and count them."""
    progress.refresh_first()
    return _retry(progress, lambda entry: entry.state == "failed")


def retry_missing(progress: BatchProgress) -> int:
    """Queue done items again whose scene or, in a small batch, its manifest is gone; count them."""
    progress.refresh_first()  # before the listing: a scene is there before its entry says so
    # Names alone, in one listing: a look into 100,000 folders of a shared disk takes minutes.
    existing = progress.folder.scenes()
    if len(existing) <= MOST_READ:
        existing = {id for id in existing if progress.folder.has_manifest(id)}
    return _retry(progress, lambda entry: entry.state == "done" and entry.id not in existing)


def _retry(progress: BatchProgress, is_due: Callable[[Entry], bool]) -> int:
    entries = [progress.entries.get(item.id) for item in progress.items]
    due = [entry for entry in entries if entry and is_due(entry)]
    if not due:
        return 0
    ledger = Ledger(progress.folder, WorkerIdentity.here())
    retried = sum(ledger.retry(entry) for entry in due)
    progress.refresh_first()
    return retried


def watch(
    progress: BatchProgress,
    executor: Executor,
    *,
    on_entry: Callable[[Entry], None] | None = None,
    on_tick: Callable[[], None] | None = None,
    token: CancelToken | None = None,
) -> BatchReport:
    """Keep workers going until every item has a result, or the user stops the run.

    Args:
        on_entry: is called with what happens to each item.
        on_tick: is called every moment, for displays.
        token: set to stop; workers give back what they do.

    Raises:
        SceneliftError: nobody can go on; what was done stays.
    """
    token = token or CancelToken()
    start = time.monotonic()
    progress.refresh_first()
    try:
        due = delay = 0.0
        while progress.remaining and not token.cancelled:
            executor.tick(progress)
            now = time.monotonic()
            if now >= due:
                progress.refresh(on_entry)
                if on_tick:
                    on_tick()
                # Reading takes a small share of the time, however many items there are.
                took = time.monotonic() - now
                delay = min(SLOW_POLL_SECONDS, max(POLL_SECONDS, 10 * took))
                due = now + delay
            executor.wait(delay)
        executor.stop()
    finally:
        executor.kill()
    progress.refresh(on_entry)
    if on_tick:
        on_tick()
    return progress.report(
        interrupted=token.cancelled and progress.remaining > 0, seconds=time.monotonic() - start
    )


def conclude(folder: BatchFolder, items: Sequence[BatchItem], report: BatchReport) -> BatchReport:
    """Write tables and summary, and return the report with notes on them.

    Raises:
        OutputError: they cannot be written.
    """
    from scenelift.batch.summary import write_summary
    from scenelift.batch.tables import write_tables

    journals = JournalReader(folder.journals, keep_facts=True)
    journals.refresh()
    notes = write_tables(folder, items, journals.entries)
    write_summary(folder, items, journals.entries, report)
    return replace(report, notes=(*report.notes, *notes))
