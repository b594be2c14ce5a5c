"""What all commands share: show progress, stop on Ctrl-C, report errors."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from scenelift.errors import Cancelled, SceneliftError
from scenelift.progress import CancelToken, Event, Reporter
from scenelift.stage_names import TITLES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["listen", "print_json", "problems"]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, for other programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def problems(as_json: bool) -> Iterator[None]:
    """Print errors that we raise on purpose, and exit with their code."""
    try:
        yield
    except SceneliftError as exc:
        if as_json:
            print_json(exc.problem())
        else:
            typer.secho(f"{exc}", err=True, fg=typer.colors.RED)
        raise typer.Exit(exc.exit_code) from exc


@contextmanager
def listen(
    *, quiet: bool = False, verbose: bool = False, reads_first: bool = False
) -> Iterator[Reporter]:
    """Make a reporter that shows progress on standard error and stops on Ctrl-C or SIGTERM.

    Bars on a terminal, one line a finished stage in a log. The first signal asks the stages to
    stop at their next step, the second one interrupts at once.

    Args:
        quiet: show nothing.
        verbose: show log messages too.
        reads_first: the command reads files of the user's before its run starts. Nothing can be
            lost then, and a read may wait for ever, so that the first signal interrupts it.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.ERROR,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for chatty in ("numba", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    token = CancelToken()
    is_reading = reads_first

    def stop(signum: int, frame: object) -> None:
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()
        if is_reading:
            raise Cancelled("The run was stopped before it began.")
        again = "press Ctrl-C again to stop at once"
        if signum == signal.SIGTERM:
            again = "what is finished is kept, running again resumes"
        typer.echo(f"Stopping after this step; {again}.", err=True)

    def reporter(show: Callable[[Event], None]) -> Reporter:
        def emit(event: Event) -> None:
            nonlocal is_reading
            if event.kind in ("run_started", "stage_started"):
                is_reading = False
            show(event)

        return Reporter(emit, token=token)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if quiet:
            yield reporter(lambda event: None)
        elif sys.stderr.isatty():
            from rich.console import Console

            console = Console(stderr=True)
            with _bars(console) as progress:
                yield reporter(_BarDisplay(console, progress).show)
        else:
            yield reporter(_show_line)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _title(event: Event) -> str:
    title = TITLES.get(event.stage, event.stage or "Run")
    return title if event.object_index is None else f"{title} object {event.object_index}"


def _show_line(event: Event) -> None:
    match event.kind:
        case "stage_finished" | "stage_resumed":
            how = " (kept from before)" if event.kind == "stage_resumed" else ""
            typer.echo(f"[{event.seconds:6.1f} s] {_title(event)}: done{how}", err=True)
        case "object_failed":
            typer.echo(f"[{event.seconds:6.1f} s] {_title(event)}: {event.message}", err=True)
        case "note":
            typer.echo(event.message, err=True)


def _bars(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
        console=console,
    )


class _BarDisplay:
    """Shows a bar for each stage (of each object)."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._tasks: dict[tuple[str, int | None], TaskID] = {}

    def show(self, event: Event) -> None:
        if event.kind == "note":
            self._console.print(event.message, style="dim", highlight=False)
            return
        if not event.stage:
            return
        key = (event.stage, event.object_index)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(_title(event), total=1.0, detail="")
        task = self._tasks[key]
        if event.kind == "object_failed":
            self._progress.update(task, detail=f"failed: {event.message}")
            self._progress.stop_task(task)
        else:
            fraction = 1.0 if event.kind in ("stage_finished", "stage_resumed") else event.fraction
            detail = "kept from before" if event.kind == "stage_resumed" else event.message
            self._progress.update(task, completed=fraction, detail="" if fraction == 1 else detail)
