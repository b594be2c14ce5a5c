"""`scenelift view`: show scenes and splats of other programs, or write them as one page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import problems

__all__ = ["view"]


def view(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Output folder of a run; or splat files (.ply .splat .spz .sog .glb), and folders "
            "beside them.",
        ),
    ],
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            dir_okay=False,
            help="Write one page with viewer and scene inside, and serve nothing.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 0,
    splat_frame: Annotated[
        str | None,
        typer.Option(help="y-up or y-down, where files have other axes than their kind."),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Show a scene's splats and meshes in the browser until Ctrl-C.

    Example: scenelift view out/desk

    Example: scenelift view garden.spz out/desk
    """
    with problems(as_json=False), ExitStack() as stack:
        from scenelift.output.page import export_page, viewer_page

        viewer = viewer_page()
        folder = paths[0]
        if len(paths) > 1 or not folder.is_dir():
            folder = stack.enter_context(_folder_of(paths, splat_frame))
        if export is not None:
            typer.echo(export_page(folder, viewer, export))
            return
        from scenelift.output.page_server import folder_server

        with folder_server(folder, viewer, port) as server:
            address = f"http://127.0.0.1:{server.server_port}/"
            typer.echo(f"{address}  (Ctrl-C stops)")
            if browser:
                import webbrowser

                webbrowser.open(address)
            with suppress(KeyboardInterrupt):
                server.serve_forever()


@contextmanager
def _folder_of(paths: Sequence[Path], frame: str | None) -> Iterator[Path]:
    """Make a temporary output folder that shows splat files and folders as one scene."""
    from scenelift.io.splat_reader import frame_of
    from scenelift.options import ExportOptions
    from scenelift.output.foreign import scene_of_files
    from scenelift.output.scene import write_scene

    scene = scene_of_files(paths, frame=frame_of(frame))
    with tempfile.TemporaryDirectory(prefix="scenelift-view-") as folder:
        quick = ExportOptions(preview_frames=1, preview_size=64)
        write_scene(scene, Path(folder) / "scene", options=quick)
        yield Path(folder) / "scene"
