"""Gives freed memory back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

__all__ = ["give_back"]


def give_back() -> None:
    """Give back what was freed and is kept for later; a few milliseconds.

    The GNU C library keeps it where small blocks lie beside large ones, in each thread's own heap:
    without this, a job's peak grows by a tenth (docs/log.md). Elsewhere nothing happens.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no such handle
        return None
