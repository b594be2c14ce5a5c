"""Systems that scenelift runs on, and what is known about each."""

from __future__ import annotations

import functools
import importlib
import os
import sys

from scenelift.errors import SetupError

__all__ = ["expect_posix_locks", "share_heaps", "untested"]

# Of glibc's malloc.h.
_M_ARENA_MAX = -8


def untested(platform: str = sys.platform) -> str:
    """Describe what is untested on a system; "" where nothing is.

    Args:
        platform: as `sys.platform` names it.
    """
    if platform.startswith("linux"):
        return ""
    if platform == "darwin":
        return (
            "macOS is meant but not tested: the tests have run on Linux alone. GPUs of Apple (mps) "
            "have never been tried with the published models."
        )
    if platform == "win32":
        return (
            "Windows is not tested. `run`, `segment`, `view` and `models` import nothing that it "
            "lacks; `serve`, `batch` and `train` have never been started there: take them to "
            "Linux, a container or WSL."
        )
    return f"{platform} is not tested; Linux is."


def expect_posix_locks(command: str) -> None:
    """Make sure that this system can lock files as the web app's processes do.

    Raises:
        SetupError: it cannot.
    """
    try:
        importlib.import_module("fcntl")  # the standard library has it on POSIX systems only
    except ImportError as exc:
        raise SetupError(
            f"`scenelift {command}` cannot run on this system: its processes lock files with "
            f"fcntl, which Python has on Linux and macOS only. Run it there, in a container or in "
            f"WSL; `scenelift run` works without."
        ) from exc


@functools.cache
def share_heaps() -> None:
    """Let the threads of this process share two heaps, where the C library is glibc.

    By itself it gives eight to each core, and what one thread frees no other's heap can use: a
    tenth of a run's memory on two cores. `MALLOC_ARENA_MAX` in the environment stays as it is.
    """
    if sys.platform.startswith("linux") and "MALLOC_ARENA_MAX" not in os.environ:
        import ctypes

        library = ctypes.CDLL(None)
        if hasattr(library, "gnu_get_libc_version"):
            library.mallopt(_M_ARENA_MAX, 2)
