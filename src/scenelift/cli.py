"""The `scenelift` command. Each subcommand is a thin layer in `commands/`.

Exit codes: 0 done, 2 bad usage or input, 3 nothing matched, 4 set-up missing, 5 some objects
failed, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from scenelift import __version__
from scenelift.commands import models, slurm, train
from scenelift.commands.batch import batch
from scenelift.commands.convert import convert
from scenelift.commands.doctor import doctor
from scenelift.commands.edit import edit
from scenelift.commands.run import run
from scenelift.commands.segment import segment
from scenelift.commands.serve import serve
from scenelift.commands.view import view

__all__ = ["app", "main"]

app = typer.Typer(
    name="scenelift",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"scenelift {__version__}")
        raise typer.Exit


@app.callback()
def scenelift(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """One photo and a phrase become a 3D scene: splats and meshes, each object in its place.

    Example: scenelift run desk.jpg --prompt cup --out out/desk
    """


app.command()(run)
app.command()(segment)
app.command()(batch)
app.command()(serve)
app.command()(view)
app.command()(edit)
app.command()(convert)
app.command()(doctor)
app.add_typer(train.app, name="train", help="Train the embedded default's heads.")
app.add_typer(slurm.app, name="slurm", help="Run the web app or a batch as SLURM jobs.")
app.add_typer(models.app, name="models", help="Download, list and verify model weights.")


def main() -> None:
    """Entry point of the `scenelift` script."""
    for stream in (sys.stdout, sys.stderr):
        # A finished run must not end in a traceback because a console has no letters for a name.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except SystemError as exc:
        # numba's, where an interrupt came while it loaded a kernel.
        cause = exc.__cause__
        while isinstance(cause, SystemError):
            cause = cause.__cause__
        if not isinstance(cause, KeyboardInterrupt):
            raise
        raise SystemExit(130) from None
