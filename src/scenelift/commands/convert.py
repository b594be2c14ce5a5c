"""`scenelift convert`: convert splats from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import problems

__all__ = ["convert"]

FRAME_HELP = "y-up or y-down, where the file's axes are not those of its kind."


def convert(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="A splat file.", dir_okay=False)],
    target: Annotated[
        Path, typer.Argument(metavar="TO", help="The file to write; its ending chooses the format.")
    ],
    from_frame: Annotated[str | None, typer.Option(help=FRAME_HELP)] = None,
    to_frame: Annotated[str | None, typer.Option(help=FRAME_HELP)] = None,
    spz_version: Annotated[
        int, typer.Option(min=3, max=4, help="Of an .spz: 4, or 3 for older readers (Spark).")
    ] = 4,
) -> None:
    """Convert Gaussian splats: .ply .compressed.ply .splat .sog .spz .glb, each into each.

    The right way up stays the right way up: PLY and its family have y down, SPZ and GLB have y up.
    Harmonics of higher degrees are kept where the formats can hold them; GLB gets degree 0.

    Example: scenelift convert garden.spz garden.ply
    """
    with problems(as_json=False):
        from scenelift.io.splat_reader import convert_splats, frame_of

        count = convert_splats(
            source,
            target,
            source_frame=frame_of(from_frame),
            target_frame=frame_of(to_frame),
            spz_version=spz_version,
        )
        typer.echo(f"{target}: {count:,} splats, {target.stat().st_size / 2**20:.1f} MB")
