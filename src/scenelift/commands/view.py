"""`scenelift view`: an output folder in the viewer, or as one page to pass on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import problems

__all__ = ["view"]


def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")],
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
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Show a scene's splats and meshes in the browser until Ctrl-C.

    Example: scenelift view out/desk
    """
    with problems(as_json=False):
        from scenelift.output.page import export_page, viewer_page

        viewer = viewer_page()
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
