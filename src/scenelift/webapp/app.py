"""The web app: `create_app(settings)`.

    request ──▶ Guard (host, origin, token, rates, size) ──▶ router ──▶ Queue ◀── worker process

Handlers read and write the queue; a worker process runs what is in it. Nothing here imports a
model, and nothing that takes long runs on the event loop.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from scenelift import __version__
from scenelift.errors import OutputError
from scenelift.io.files import explain_failure
from scenelift.webapp.access import LOCAL_OWNER, Guard, Tokens, owner_name
from scenelift.webapp.decoding import Decoder
from scenelift.webapp.events import EventFeed
from scenelift.webapp.folders import DataFolder
from scenelift.webapp.head import AnswerHead
from scenelift.webapp.housekeeping import Housekeeper
from scenelift.webapp.jobs import Queue
from scenelift.webapp.methods import AnswerOptions
from scenelift.webapp.metrics import CountRequests, Metrics
from scenelift.webapp.page import add_page
from scenelift.webapp.problems import add_problem_handlers
from scenelift.webapp.qualities import InstalledQualities, Qualities
from scenelift.webapp.records import open_queue, restore_jobs
from scenelift.webapp.routes import (
    config,
    edits,
    events,
    exports,
    files,
    generate,
    health,
    jobs,
    session,
    share,
)
from scenelift.webapp.services import Services
from scenelift.webapp.settings import Settings
from scenelift.webapp.supervisor import Supervisor

__all__ = ["create_app", "worker_command"]

WORKER_MODULE = "scenelift.webapp.worker"


def create_app(
    settings: Settings | None = None,
    *,
    qualities: Qualities | None = None,
    worker_module: str = WORKER_MODULE,
) -> FastAPI:
    """Build the server as an ASGI app; its lifespan starts and stops the workers.

    Args:
        settings: by default those of the environment.
        qualities: what jobs may ask for; by default what is installed.
        worker_module: module that the worker processes run; tests bring their own models with it.

    Raises:
        InputError: the settings would be unsafe.
        OutputError: the data folder cannot be written, or another server is using it.
    """
    settings = (settings or Settings()).check()
    data = DataFolder(settings.data.absolute(), reserve_bytes=settings.reserve_bytes)
    tokens = Tokens(settings.tokens, guesses_per_minute=settings.logins_per_minute)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with app.state.open_data() as queue:
            services = _start(settings, data, queue, tokens, qualities, worker_module)
            app.state.services = services
            await services.feed.start()
            try:
                yield
            finally:
                await services.feed.stop()
                await asyncio.to_thread(services.supervisor.stop)
                await asyncio.to_thread(services.housekeeper.stop)
                services.decoder.close()

    app = FastAPI(
        title="scenelift",
        version=__version__,
        description="One photo and a phrase become a 3D scene. See docs/web.md.",
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.open_data = lambda: open_data(settings, data)
    add_problem_handlers(app)
    modules = (jobs, edits, exports, share, files, events, config, session, generate, health)
    for module in modules:
        app.include_router(module.router)
    add_page(app)
    app.add_middleware(AnswerHead)
    app.add_middleware(AnswerOptions, routes=[r for m in modules for r in m.router.routes])
    app.add_middleware(CountRequests)
    app.add_middleware(Guard, settings=settings, tokens=tokens)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag"],
        )
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    return app


def worker_command(settings: Settings, data: DataFolder, module: str) -> Callable[..., list[str]]:
    """Return a function that makes the command line of a slot's worker."""

    def command(slot: int) -> list[str]:
        line = [sys.executable, "-m", module, "--parent"]
        line += ["--data", str(data.path), "--slot", str(slot)]
        line += ["--device", settings.devices[slot]]
        line += ["--options", json.dumps(settings.options.to_plain())]
        line += ["--lease-seconds", str(settings.lease_seconds)]
        line += ["--stop-seconds", str(settings.shutdown_seconds)]
        line += ["--max-attempts", str(settings.max_attempts)]
        line += ["--max-objects", str(settings.max_objects)]
        if settings.preload:
            line += ["--preload"]
        return line

    return command


def _start(
    settings: Settings,
    data: DataFolder,
    queue: Queue,
    tokens: Tokens,
    qualities: Qualities | None,
    worker_module: str,
) -> Services:
    feed = EventFeed(queue, most_streams=settings.streams_per_token)
    supervisor = Supervisor(
        queue,
        worker_command(settings, data, worker_module),
        len(settings.devices),
        cancel_seconds=settings.cancel_seconds,
        job_seconds=settings.job_seconds,
        lease_seconds=settings.lease_seconds,
        # A little more than the worker gives itself.
        stop_seconds=settings.shutdown_seconds + 1,
    )
    housekeeper = Housekeeper(
        data,
        queue,
        keep_seconds=settings.keep_days * 24 * 3600,
        max_bytes=settings.max_stored_bytes,
        owner_bytes=settings.owner_bytes,
    )
    services = Services(
        settings=settings,
        data=data,
        queue=queue,
        feed=feed,
        supervisor=supervisor,
        housekeeper=housekeeper,
        metrics=Metrics(queue, data, feed, supervisor, housekeeper),
        qualities=qualities or InstalledQualities(settings.options),
        tokens=tokens,
        decoder=Decoder(max_pixels=settings.max_pixels),
    )
    supervisor.start()
    housekeeper.start()
    return services


@contextmanager
def open_data(settings: Settings, data: DataFolder) -> Iterator[Queue]:
    """Open the data folder, for this server alone, and its queue with every job in it.

    Raises:
        OutputError: it cannot be used: another server has it, it is somebody else's, or cannot be
            written.
        QueueTooNew: a later version wrote the queue.
    """
    data.create()
    with _only_server(data):
        data.prepare()
        try:
            queue = open_queue(data, max_attempts=settings.max_attempts)
        except sqlite3.OperationalError as exc:
            raise OutputError(
                f"The queue {data.database} cannot be opened: {exc}. If no other process uses it, "
                "look at the folder's permissions and at the free space on its disk."
            ) from exc
        try:
            owners = [owner_name(token) for token in settings.tokens] or [LOCAL_OWNER]
            restore_jobs(data, queue, owners)
            yield queue
        finally:
            queue.close()


@contextmanager
def _only_server(data: DataFolder) -> Iterator[None]:
    """Context: lock the folder; two servers would take each other's uploads for leftovers."""
    path = data.path / "server.lock"
    try:
        file = path.open("a")
    except OSError as exc:
        raise explain_failure(path, exc) from exc
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise OutputError(
                f"Another server is using {data.path}. Stop it, or choose another --data."
            ) from exc
        yield
