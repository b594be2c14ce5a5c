"""Decides who computes: a job's stages, or a click that is waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scenelift.progress import CancelToken

__all__ = ["Turns", "YieldingToken"]


class Turns:
    """One job and one thread that answers clicks take turns; the job says when it can pause."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._job: int | None = None  # the thread that works on one
        self._waiting = self._answering = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Context: this thread works on a job."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answering)
            self._job = threading.get_ident()
        try:
            yield
        finally:
            with self._changed:
                self._job = None
                self._changed.notify_all()

    def make_way(self) -> None:
        """Answer waiting clicks; called between two steps of a job."""
        if not self._waiting or self._job != threading.get_ident():
            return
        with self._changed:
            job, self._job = self._job, None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not (self._waiting or self._answering))
            self._job = job

    @contextmanager
    def answering(self, seconds: float | None) -> Iterator[bool]:
        """Context: no job computes; False if none paused within `seconds` (None: wait)."""
        with self._changed:
            self._waiting = True
            free = self._changed.wait_for(lambda: self._job is None, seconds)
            self._waiting, self._answering = False, free
            self._changed.notify_all()
        try:
            yield free
        finally:
            with self._changed:
                self._answering = False
                self._changed.notify_all()


class YieldingToken(CancelToken):
    """A token that lets clicks be answered whenever a job asks whether to stop."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    @property
    def cancelled(self) -> bool:
        self._turns.make_way()
        return super().cancelled
