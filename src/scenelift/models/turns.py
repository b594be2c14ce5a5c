"""Lets threads compute side by side, and one of them alone where memory has run out.

What runs out of memory beside another thread may well fit alone. So it is tried again while nobody
else computes, and results do not depend on who computes beside whom.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turns"]


class Turns:
    """A lock that any number of threads share, or one has alone; a thread may take it repeatedly.

    A thread that shares it and wants it alone gives up its share for that long, as it computes
    nothing meanwhile.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._shares: dict[int, int] = {}  # thread -> how often it has taken it
        self._waiting = 0  # threads that want it alone
        self._alone: int | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._alone == me
                    or me in self._shares
                    or (self._alone is None and not self._waiting)
                )
            )
            self._shares[me] = self._shares.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._shares[me] -= 1
                if not self._shares[me]:
                    del self._shares[me]
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._changed:
            before, given_up = self._alone, self._shares.pop(me, 0)
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._alone in (None, me) and not self._shares)
            self._waiting -= 1
            self._alone = me
        try:
            yield
        finally:
            with self._changed:
                self._alone = before if before == me else None
                if given_up:
                    self._shares[me] = given_up
                self._changed.notify_all()
