"""Open only regular files: reading a pipe that nobody writes to would wait for ever."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scenelift.errors import InputError, SceneliftError
from scenelift.io.files import display_path

__all__ = ["check_regular", "reading"]

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_regular(path: str | Path, error: type[SceneliftError] = InputError) -> None:
    """Refuse a pipe, a socket or a device before it is opened.

    Args:
        path: what a user named; links are followed. Whoever opens it says what is wrong with one
            that is missing, a folder, or may not be read.
        error: what is raised.

    Raises:
        SceneliftError: it is not a regular file.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise error(
                f"{display_path(path)} is not a regular file but {name}. Save its content to a "
                "file and give that."
            )


@contextmanager
def reading(path: Path, error: type[SceneliftError] = InputError) -> Iterator[None]:
    """Context: read a file that a user named; arguments and errors as for `check_regular`.

    One that is missing, or may not be read, is that error too.
    """
    check_regular(path, error)
    try:
        yield
    except OSError as exc:
        raise error(f"Cannot read {path}: {exc.strerror or exc}.") from exc
