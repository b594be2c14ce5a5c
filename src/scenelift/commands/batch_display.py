"""Show a batch's progress on a terminal or in a log, and its result at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from scenelift.batch.entry import Entry, State
    from scenelift.batch.folder import BatchFolder
    from scenelift.batch.progress import BatchProgress, BatchReport
    from scenelift.batch.run import Executor

__all__ = ["show_progress", "summarise"]

# What happened, in the order in which it is told.
WORDS: tuple[tuple[State, str], ...] = (
    ("done", "done"),
    ("nothing", "nothing found"),
    ("failed", "failed"),
    ("claimed", "at work"),
)


@contextmanager
def show_progress(
    progress: BatchProgress, executor: Executor, *, quiet: bool
) -> Iterator[tuple[Callable[[Entry], None], Callable[[], None]]]:
    """Make callbacks that show progress: a bar on a terminal, lines in a log."""
    started = time.monotonic()

    def line(entry: Entry) -> str:
        count = len(progress.items) - progress.remaining
        text = f"{count}/{len(progress.items)} {entry.id}: {_what(entry)}"
        return f"[{time.monotonic() - started:6.1f} s] {text}"

    if quiet:
        yield (lambda entry: None), (lambda: None)
    elif not sys.stderr.isatty():
        yield (lambda e: typer.echo(line(e), err=True) if _is_news(e) else None), (lambda: None)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        console = Console(stderr=True)
        with Progress(
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.description}"),
            TimeElapsedColumn(),
            console=console,
        ) as bars:
            task = bars.add_task("starting", total=len(progress.items))

            def on_entry(entry: Entry) -> None:
                if entry.state == "failed" or (entry.state == "waiting" and entry.error):
                    console.print(line(entry), style="red", highlight=False, markup=False)

            def on_tick() -> None:
                words = f"{_counts(progress)} · {executor.name}{_eta(progress)}"
                count = len(progress.items) - progress.remaining
                bars.update(task, completed=count, description=words)

            yield on_entry, on_tick


def _is_news(entry: Entry) -> bool:
    return entry.state != "claimed" and not (entry.state == "waiting" and not entry.error)


def _what(entry: Entry) -> str:
    if entry.state == "done":
        objects = len(entry.facts.get("objects", []))
        failed = len(entry.facts.get("failed", []))
        failures = f", {failed} failed" if failed else ""
        plural = "" if objects == 1 else "s"
        return f"done, {objects} object{plural}{failures} ({entry.facts.get('seconds', 0):.1f} s)"
    if entry.state == "waiting":
        return f"tried in vain, will be tried again: {entry.reason}"
    return f"{'nothing found' if entry.state == 'nothing' else entry.state}: {entry.reason}"


def _counts(progress: BatchProgress) -> str:
    counts = [f"{progress.counts[s]} {word}" for s, word in WORDS if progress.counts[s]]
    return ", ".join(counts) or "starting"


def _eta(progress: BatchProgress) -> str:
    rate = progress.per_minute
    if not rate:
        return ""
    minutes = progress.remaining / rate
    remaining = f"{minutes / 60:.1f} h" if minutes > 90 else f"{max(1, round(minutes))} min"
    return f" · {rate:.0f}/min, {remaining} left"


def summarise(report: BatchReport, folder: BatchFolder) -> None:
    """Print the state of a batch."""
    counts = report.counts
    parts = [f"{counts['done']} done"]
    parts += [f"{report.partial} of them without some objects"] if report.partial else []
    parts += [f"{counts['nothing']} with nothing in them"] if counts["nothing"] else []
    parts += [f"{counts['failed']} failed"] if counts["failed"] else []
    parts += [f"{report.remaining} left: the same command goes on"] if report.remaining else []
    typer.echo("; ".join(parts) + ".")
    for note in report.notes:
        typer.echo(note)
    typer.echo(f"Look at it: {folder.root / 'index.html'}")
