"""Logs a repeated error once a minute, however often it happens."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Repeats"]

SECONDS = 60.0
KINDS = 100


class Repeats:
    """Logs each kind of trouble at once, and then once a minute with how often it happened.

    For loops that run many times a second: a disk that stays full must not fill itself with a log.

    Args:
        log: where to.
        seconds: between two lines about the same.
    """

    def __init__(self, log: logging.Logger, seconds: float = SECONDS) -> None:
        self._log, self._seconds = log, seconds
        self._lock = threading.Lock()
        # Kind -> when it was last said, and how often it happened since.
        self._reports: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @contextmanager
    def outlive(self, what: str) -> Iterator[None]:
        """Context: log what the block raises, and go on.

        Args:
            what: could not be done, as a sentence.
        """
        try:
            yield
        except Exception as exc:  # noqa: BLE001  threads that serve must not end
            self.tell(what, exc)

    def tell(self, what: str, exc: BaseException) -> None:
        """Log an error, with its traceback the first time.

        Args:
            what: a sentence; together with the error's type it is the kind.
        """
        kind, now = f"{what} {type(exc).__name__}", time.monotonic()
        with self._lock:
            then, count = self._reports.get(kind, (-float("inf"), 0))
            if now - then < self._seconds:
                self._reports[kind] = (then, count + 1)
                return
            self._reports[kind] = (now, 0)
            self._reports.move_to_end(kind)
            if len(self._reports) > KINDS:
                self._reports.popitem(last=False)
        if count or then > -float("inf"):
            self._log.error("%s: %r (%d more times since it was last said)", what, exc, count)
        else:
            self._log.error("%s", what, exc_info=exc)
