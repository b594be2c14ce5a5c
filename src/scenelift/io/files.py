"""Writing files so that none is ever half there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from scenelift.errors import OutputError

__all__ = [
    "TEMPORARY_PREFIX",
    "atomic_write",
    "prepare_output_folder",
    "sha256_of",
    "write_bytes",
    "write_json",
]

TEMPORARY_PREFIX = ".partial-"


def _explain(path: Path, exc: OSError) -> OutputError:
    next_step = {
        errno.ENOSPC: "The disk is full: free some space and run again, finished stages are kept.",
        errno.EDQUOT: "The disk quota is used up: free some space and run again.",
        errno.EACCES: "Choose a folder you may write to with --out.",
        errno.EROFS: "The file system is read-only: choose another folder with --out.",
    }.get(exc.errno or 0, "Choose another folder with --out.")
    return OutputError(f"Cannot write {path}: {exc.strerror or exc}. {next_step}")


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only once it is complete.

    It is written beside its place under a temporary name, flushed to disk and renamed. When the
    block raises, or the process is killed, the old file (or none) stays.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent
        )
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private to the user; results are as readable as the umask says.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        temporary = None
    except OSError as exc:
        raise _explain(path, exc) from exc
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file atomically."""
    with atomic_write(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read and diff: indented, keys in the order given."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def prepare_output_folder(folder: Path) -> None:
    """Create a folder (and its parents) and prove that it can be written, before any work.

    Leftovers of writes that were killed are removed.

    Raises:
        OutputError: it is a file, or cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.rglob(f"{TEMPORARY_PREFIX}*"):
            leftover.unlink(missing_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as probe:
            probe.write(b"\0" * 4096)
    except FileExistsError as exc:
        raise OutputError(
            f"{folder} is a file; the results need a folder. Choose another with --out."
        ) from exc
    except OSError as exc:
        raise _explain(folder, exc) from exc


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
