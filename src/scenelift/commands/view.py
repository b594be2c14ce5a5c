"""`scenelift view`: an output folder as a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenelift.commands.shell import problems

__all__ = ["view"]


def view(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")],
    browser: Annotated[
        bool, typer.Option(help="Open the page; --no-browser only writes it.")
    ] = True,
) -> None:
    """Write DIR/index.html, which shows the scene's pictures, objects and files, and open it.

    Example: scenelift view out/desk
    """
    with problems(as_json=False):
        from scenelift.io.page import write_page

        page = write_page(folder)
        typer.echo(page)
        if browser:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())
