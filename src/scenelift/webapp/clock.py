"""Tells whether the system's clock can be trusted: people set it, and empty batteries do."""

from __future__ import annotations

import time

__all__ = ["ClockWatch"]

JUMP_SECONDS = 300.0
TRUST_SECONDS = 24 * 3600.0


class ClockWatch:
    """Compares the clock with one that nobody can set.

    After a jump, ages of files mean nothing: a clock that is a month ahead for a minute must not
    remove a month's results.

    Args:
        last: when something was last done here, as the clock said then; 0 where nothing was.
    """

    def __init__(self, last: float = 0.0) -> None:
        self._offset = time.time() - _steady()
        long_ago = abs(time.time() - last) > TRUST_SECONDS if last else False
        self._trusted_from = _steady() + TRUST_SECONDS if long_ago else -float("inf")

    def trusted(self) -> bool:
        """Tell whether the clock has run without a jump for a day, as far as this process knows."""
        offset = time.time() - _steady()
        if abs(offset - self._offset) > JUMP_SECONDS:
            self._trusted_from = _steady() + TRUST_SECONDS
        self._offset = offset
        return _steady() >= self._trusted_from


def _steady() -> float:
    # It goes on while a laptop sleeps, where the system has such a clock.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
