"""Computes SHA-256 of weight files: read once for every size and date of the file.

Weights have gigabytes, and results depend on each of them. So a file is read through the first time
that it is used, and its digest is kept with its size and date under `SCENELIFT_HOME`; a file that
was checked when it was fetched has it in its folder's record (`seals`), and one of the Hugging Face
cache in its name. A file that has changed since is read again.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable
from pathlib import Path

from scenelift.errors import OutputError, WeightsError
from scenelift.io.files import sha256_of, write_json
from scenelift.weights import seals
from scenelift.weights.home import scenelift_home

__all__ = ["content_digest", "fingerprint"]

DIGESTS = "digests.json"
_MOST = 2000  # files that are remembered; beyond that, those used longest ago go
_LOCK = threading.Lock()

Entry = tuple[int, int, str]  # size, date in nanoseconds, SHA-256
_memory: dict[str, Entry] = {}


def content_digest(path: Path) -> str:
    """Compute SHA-256 of a file's content, in lower-case hex.

    Raises:
        WeightsError: it is missing or cannot be read.
    """
    try:
        real = path.resolve(strict=True)
        status = real.stat()
        # The cache of the Hugging Face hub names large files by their SHA-256.
        if real.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", real.name):
            return real.name
        seal = seals.read(path.parent).get(path.name)
        if seal is not None and seal.fits(path):
            return seal.sha256
        key, now = str(real), (status.st_size, status.st_mtime_ns)
        with _LOCK:
            entry = _memory.get(key) or _read().get(key)
            if entry is not None and entry[:2] == now:
                _memory[key] = entry
                return entry[2]
        digest = sha256_of(real)
    except OSError as exc:
        raise WeightsError(f"Cannot read {path}: {exc.strerror or exc}.") from exc
    with _LOCK:
        _memory[key] = (*now, digest)
        _write({**_read(), key: _memory[key]})
    return digest


def fingerprint(paths: Iterable[Path]) -> str:
    """Compute twelve hexadecimal digits that change with the content of any of the files.

    Raises:
        WeightsError: a file is missing or cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.stem} {content_digest(path)}\n".encode())
    return digest.hexdigest()[:12]


def _read() -> dict[str, Entry]:
    try:
        document = json.loads((scenelift_home() / DIGESTS).read_bytes())
        return {
            str(key): (int(size), int(date), str(digest))
            for key, (size, date, digest) in document.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none yet, or nonsense: files are read again


def _write(entries: dict[str, Entry]) -> None:
    newest = {key: list(entry) for key, entry in list(entries.items())[-_MOST:]}
    try:
        scenelift_home().mkdir(parents=True, exist_ok=True)
        write_json(scenelift_home() / DIGESTS, newest)
    except (OSError, OutputError):
        return  # a home that may not be written: files are read again next time
