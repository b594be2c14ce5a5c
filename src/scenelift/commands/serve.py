"""`scenelift serve`: the web app."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from scenelift.commands.parameters import takes_options
from scenelift.commands.shell import problems
from scenelift.platforms import expect_posix_locks

__all__ = ["serve"]


@takes_options("serve")
def serve(
    options: dict[str, Any],
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on (127.0.0.1).")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on (8000).")] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of queue and jobs.", file_okay=False),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", help="One worker each: auto, cpu, cuda:0. Repeatable."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every request.")] = False,
) -> None:
    """Run the web app: a page and a REST interface in front of a queue.

    Every setting can be given in the environment too, as SCENELIFT_<NAME>; docs/web.md lists
    them. Options of models hold for every job; jobs say the others themselves. To listen beyond
    this machine, SCENELIFT_TOKEN must be set.

    Example: scenelift serve --port 8000 --data ~/scenes
    """
    values = options | {
        "host": host,
        "port": port,
        "data": data,
        "devices": tuple(device) if device else None,
    }
    with problems(as_json=False):
        expect_posix_locks("serve")
        settings = _settings({name: value for name, value in values.items() if value is not None})
        from scenelift.webapp.serving import run_server

        logging.basicConfig(
            level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        run_server(settings, access_log=verbose)


def _settings(values: dict[str, Any]) -> Any:
    from scenelift.errors import BackendUnavailable, InputError

    try:
        from pydantic import ValidationError

        from scenelift.webapp.settings import Settings
    except ModuleNotFoundError as exc:
        raise BackendUnavailable(
            "command",
            "serve",
            reason=f"{exc.name} is not installed: pip install 'scenelift[web]'",
            choices=("run", "segment", "view"),
        ) from exc
    try:
        return Settings(**values).check()
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise InputError(
            f"SCENELIFT_{name} (or its option) cannot be used: {first['msg']}, got "
            f"{str(first['input'])[:60]!r}."
        ) from exc
