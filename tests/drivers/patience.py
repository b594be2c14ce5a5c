"""How long a test waits before it gives up: longer where the machine is busy with other things."""

from __future__ import annotations

import os

__all__ = ["patient"]


def patient(seconds: float) -> float:
    """So many seconds of an idle machine, times the processes that wait for each of its cores."""
    waiting = os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0
    return seconds * max(1.0, waiting / (os.cpu_count() or 1))
