"""Server-sent events: the queue's event log, to every browser exactly once and in order."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator

from scenelift.webapp.errors import NotAllowedYet
from scenelift.webapp.jobs import Queue
from scenelift.webapp.repeats import Repeats

__all__ = ["EventFeed"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
PING_SECONDS = 15.0
BATCH = 500


class EventFeed:
    """Wakes this server's open event streams whenever a process has written an event.

    Args:
        most_streams: watchers that one owner may have at once.
    """

    def __init__(self, queue: Queue, *, most_streams: int) -> None:
        self._queue, self._most_streams = queue, most_streams
        self._streams: Counter[str] = Counter()
        self._changed = asyncio.Condition()
        self._last = 0
        self._closed = False
        self._repeats = Repeats(log)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._last = await asyncio.to_thread(self._queue.last_event)
        self._task = asyncio.create_task(self._poll())

    def close(self) -> None:
        """End every stream; browsers reconnect by themselves. To be called on the loop."""
        self._closed = True

    async def stop(self) -> None:
        self.close()
        if self._task is not None:
            await self._task

    @property
    def closed(self) -> bool:
        """Whether the server is about to stop."""
        return self._closed

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return self._streams.total()

    async def wait(self, last_seq: int, timeout: float) -> int:
        """Wait for an event after `last_seq`; returns the newest number there is."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._closed or self._last > last_seq)
        except TimeoutError:
            pass
        return max(last_seq, self._last)

    def check_room(self, owner: str) -> None:
        """Refuse a stream where too many are open.

        Raises:
            NotAllowedYet: the owner has as many as there may be.
        """
        if self._streams[owner] >= self._most_streams:
            raise NotAllowedYet(
                f"{self._most_streams} event streams are open already. Close a tab.", 30
            )

    async def stream(self, owner: str, after: int | None) -> AsyncIterator[bytes]:
        """Yield an owner's events after a number, or from now on, until the client disconnects."""
        self._streams[owner] += 1
        try:
            newest = await asyncio.to_thread(self._queue.last_event)
            # A number from the future is from another data folder: start afresh.
            last_seq = newest if after is None or after > newest else after
            yield _message("ready", last_seq, json.dumps({"last_event_id": last_seq}))
            while not self._closed:
                rows = await asyncio.to_thread(self._queue.events_after, last_seq, owner, BATCH)
                for row in rows:
                    yield _message("job", row.seq, row.data)
                    last_seq = row.seq
                if len(rows) == BATCH:
                    continue
                newest = max(newest, last_seq)
                now = await self.wait(newest, PING_SECONDS)
                if now == newest:
                    yield b": ping\n\n"
                newest = now
        finally:
            self._streams[owner] -= 1
            if not self._streams[owner]:
                del self._streams[owner]

    async def _poll(self) -> None:
        while not self._closed:
            last = self._last
            # Whatever it is, watchers are told again once it is over.
            with self._repeats.outlive("the event log cannot be read"):
                last = await asyncio.to_thread(self._queue.last_event)
            if last != self._last:
                self._last = last
                async with self._changed:
                    self._changed.notify_all()
            await asyncio.sleep(POLL_SECONDS)
        async with self._changed:
            self._changed.notify_all()


def _message(event: str, number: int, data: str) -> bytes:
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode()
