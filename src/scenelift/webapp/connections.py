"""Limits how long a connection may be silent, and how many there may be.

Whoever opens connections and leaves them half-used would otherwise hold all that this process may
have, and with them everybody else out.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from scenelift.webapp.access import UPLOADS
from scenelift.webapp.repeats import Repeats

__all__ = ["Limits", "PatientProtocol", "log_accept_errors_once", "room_for_connections"]

log = logging.getLogger(__name__)

# What files, the database, pipes to workers and the libraries need besides.
OTHER_FILES = 128
MOST_FILES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of connections.

    Attributes:
        connections: most of them; beyond it the one goes that has waited longest for nothing.
        header_seconds: from the connection, or the first byte of a request, to its last header.
        body_seconds: longest silence within a body; twice that for a whole one, but of a photo.
        upload_seconds: for the whole body of a photo.
        write_seconds: how long a client may take nothing of an answer.
    """

    connections: int
    header_seconds: float
    body_seconds: float
    upload_seconds: float
    write_seconds: float


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with timeouts for silent connections."""

    def __init__(self, *args: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._last_data = self._request_began = self._took = self.loop.time()
        self._unsent = 0

    @property
    def is_idle(self) -> bool:
        """Tell whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_receiving(self) -> bool:
        """Tell whether a body is on its way."""
        return self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused

    @property
    def request_began(self) -> float:
        """When the latest request began, or was answered, or else the connection."""
        return self._request_began

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._last_data = self._request_began = self._took = self.loop.time()
        self._watch()
        if len(self.connections) > self._limits.connections:
            self._drop_one()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._request_began = now  # the first bytes of a request
        self._last_data = now
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._request_began = self.loop.time()
        super().on_response_complete()

    def _drop_one(self) -> None:
        # Those that are answered are let be: the next ones to go are those still being sent.
        waiting = [
            (not c.is_idle, c.request_began, id(c), c)
            for c in self.connections
            if isinstance(c, PatientProtocol) and (c.is_idle or c.is_receiving)
        ]
        (min(waiting)[3] if waiting else self).transport.abort()

    def _watch(self) -> None:
        if self.transport.is_closing():
            return
        if self._is_stuck():
            self.transport.abort()
            return
        least = min(
            self._limits.header_seconds, self._limits.body_seconds, self._limits.write_seconds
        )
        self._timer = self.loop.call_later(least / 4, self._watch)

    def _is_stuck(self) -> bool:
        now, limits = self.loop.time(), self._limits
        # What has come of the next request already waits no longer than the first one may.
        awaited = self.timeout_keep_alive_task is None or self.conn.trailing_data[0]
        if self.is_idle and awaited and self.conn.their_state is h11.IDLE:
            return now - self._request_began > limits.header_seconds
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._took = unsent, now
        elif now - self._took > limits.write_seconds:
            return True
        if not self.is_receiving:
            return False
        is_upload = self.scope is not None and self.scope["path"] in UPLOADS
        whole = limits.upload_seconds if is_upload else 2 * limits.body_seconds
        return now - self._last_data > limits.body_seconds or now - self._request_began > whole


def room_for_connections(count: int) -> int:
    """Count how many connections this process can hold; allows it more files where needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    best = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < best:
        resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
        soft = best
    if soft == resource.RLIM_INFINITY:
        return count
    # A connection may have a file open that it sends.
    return max(8, min(count, (soft - OTHER_FILES) // 2))


def log_accept_errors_once(loop: asyncio.AbstractEventLoop) -> None:
    """Say once a minute, not for every try, that no connection can be accepted."""
    repeats = Repeats(log)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if isinstance(exc, OSError) and "accept" in context.get("message", ""):
            repeats.tell("no connection can be accepted", exc)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
