"""`scenelift edit`: write a finished scene's files again with the edits of `edits.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import listen, print_json, problems
from scenelift.errors import InputError

__all__ = ["edit"]


def edit(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Output folder of a run.", file_okay=False)
    ],
    edits: Annotated[
        Path | None,
        typer.Argument(
            metavar="EDITS.json",
            help="The edits to apply (docs/edits.md). Without them, the present edits are printed "
            "as a start.",
            dir_okay=False,
        ),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Take all edits back: the files as the run wrote them.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the new scene.json, or the problem.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Move, rename, copy and delete objects of a finished scene, and write all its files again.

    Example: scenelift edit out/desk > edits.json

    Example: scenelift edit out/desk edits.json
    """
    with problems(as_json), listen(quiet=quiet) as report:
        from scenelift.edit import edits_of, no_edits, read_edits
        from scenelift.edit.folder import edit_folder

        if edits is not None and reset:
            raise InputError("--reset takes all edits back; give it or a file, not both.")
        if edits is None and not reset:
            typer.echo(edits_of(folder).to_bytes().decode(), nl=False)
            return
        changes = no_edits(folder) if edits is None else read_edits(edits)
        manifest = edit_folder(folder, changes, report=report)
        if as_json:
            print_json(manifest.model_dump(mode="json"))
        else:
            changed = "edited" if manifest.edited else "as its run wrote it"
            typer.echo(f"{folder}: {len(manifest.objects)} objects, {changed}")
