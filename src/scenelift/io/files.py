"""Write files atomically, so that a reader never meets an unfinished one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from scenelift.errors import OutputError
from scenelift.io.digests import digested

__all__ = [
    "TEMPORARY_PREFIX",
    "atomic_write",
    "display_path",
    "explain_failure",
    "prepare_output_folder",
    "remove_leftovers",
    "sha256_of",
    "write_bytes",
    "write_json",
]

TEMPORARY_PREFIX = ".partial-"
# What `atomic_write` names its files, and nobody else's: a file called .partial-notes is a user's.
_OURS = re.compile(re.escape(TEMPORARY_PREFIX) + r"[0-9a-f]{32}(\.[^./]*)?")
# Where the file system has no locks, a file untouched for so long has no writer any more.
_ABANDONED_SECONDS = 24 * 3600.0


def explain_failure(path: Path, exc: OSError) -> OutputError:
    """Explain why a file or folder could not be written, and what to do about it."""
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
    block raises, or the process is killed, the old file (or none) stays. The temporary file is
    locked while it is being written, so that `remove_leftovers` tells it from one whose writer
    died.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    temporary: Path | None = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}{path.suffix}")
    try:
        with temporary.open("xb") as file:
            _try_lock(file)
            with digested(file, path) as writable:
                yield writable
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":
                # While it is still locked: nobody may take it for a leftover in between.
                temporary.replace(path)
                temporary = None
        if temporary is not None:
            temporary.replace(path)  # Windows renames no open files, and has none of these locks
            temporary = None
    except OSError as exc:
        raise explain_failure(path, exc) from exc
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
    # Half a surrogate pair, as Python has bytes of file names, is an escape in JSON.
    write_bytes(path, text.encode(errors="backslashreplace") + b"\n")


def display_path(path: str | Path) -> str:
    """Convert a path to text that any file or console takes: bytes that are not UTF-8 become �."""
    return os.fsencode(path).decode("utf-8", "replace")


def prepare_output_folder(folder: Path) -> None:
    """Create a folder (and its parents) and prove that it can be written, before any work.

    Leftovers of writes that were killed are removed.

    Raises:
        OutputError: it is a file, or cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=TEMPORARY_PREFIX) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        remove_leftovers(folder)
    except (FileExistsError, NotADirectoryError) as exc:
        raise OutputError(
            f"{folder} is a file; the results need a folder. Choose another with --out."
        ) from exc
    except OSError as exc:
        raise explain_failure(folder, exc) from exc


def remove_leftovers(folder: Path) -> None:
    """Remove what `atomic_write` left right in a folder when its process was killed.

    Nothing else is touched: no file of another name, no folder, and no file that a process is
    still writing.
    """
    with os.scandir(folder) as entries:
        ours = [e for e in entries if _OURS.fullmatch(e.name) and e.is_file(follow_symlinks=False)]
    for entry in ours:
        path = Path(entry.path)
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _is_abandoned(file):
                path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _try_lock(file: BinaryIO) -> bool | None:
    """Lock an open file without waiting: False if another process has it, None if none can."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _is_abandoned(file: BinaryIO) -> bool:
    status = os.fstat(file.fileno())
    quiet = time.time() - status.st_mtime
    locked = _try_lock(file)
    if locked is None:
        return quiet > _ABANDONED_SECONDS
    # An empty one may be about to be locked.
    return locked and (status.st_size > 0 or quiet > 60)
