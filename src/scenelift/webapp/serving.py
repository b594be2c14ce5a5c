"""Runs the app under uvicorn."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import nullcontext
from functools import partial
from typing import cast

import uvicorn
from fastapi import FastAPI

from scenelift.errors import InputError
from scenelift.webapp.app import create_app
from scenelift.webapp.connections import (
    Limits,
    PatientProtocol,
    log_accept_errors_once,
    room_for_connections,
)
from scenelift.webapp.settings import Settings

__all__ = ["Server", "run_server"]

log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """A uvicorn server that ends event streams on shutdown, instead of waiting for them."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        log_accept_errors_once(asyncio.get_running_loop())
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: object) -> None:
        app = self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "services"):
            app.state.services.feed.close()
        super().handle_exit(sig, frame)  # pyright: ignore[reportArgumentType]


def run_server(settings: Settings, *, app: FastAPI | None = None, access_log: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        app: in place of `create_app(settings)`, for tests.

    Raises:
        InputError: the settings are unsafe, or the address cannot be had.
        OutputError: the data folder cannot be used.
    """
    app = app or create_app(settings)
    limits = Limits(
        connections=room_for_connections(settings.connections),
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        upload_seconds=settings.upload_seconds,
        write_seconds=settings.write_seconds,
    )
    config = uvicorn.Config(
        app,
        # Its patience is ours to end, which other implementations do not let us.
        http=cast("type[asyncio.Protocol]", partial(PatientProtocol, limits=limits)),
        ws="none",
        log_level="info" if access_log else "warning",
        access_log=access_log,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=30,
        # Headers of more than this are no browser's.
        h11_max_incomplete_event_size=64 * 1024,
    )
    with _listen(settings) as listener, app.state.open_data() as queue:
        # Opened before anything is started: what is wrong with it is said in a sentence.
        app.state.open_data = lambda: nullcontext(queue)
        address = listener.getsockname()
        log.info("serving on http://%s:%d, jobs in %s", settings.host, address[1], settings.data)
        Server(config).run(sockets=[listener])


def _listen(settings: Settings) -> socket.socket:
    """Bind a socket before anything is started, so that a taken port costs nothing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, so that asyncio turns off Nagle's algorithm: it costs 40 ms an answer here.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as exc:
        listener.close()
        raise InputError(
            f"Cannot listen on {settings.host}:{settings.port}: {exc.strerror or exc}. Choose "
            "another --port, or stop what is using it."
        ) from exc
    return listener
