"""Records checked files by size, date and SHA-256, so that they need not be read again.

A folder of weights that was checked has a `scenelift.json`. A file that still has the size and date
in it counts as verified; `scenelift models verify` reads it all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenelift.errors import OutputError
from scenelift.io.files import write_json

__all__ = ["RECORD", "Seal", "forget", "read", "revision", "write"]

RECORD = "scenelift.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """One file as it was when it was checked.

    Attributes:
        size: bytes.
        modified_ns: its date, nanoseconds since 1970.
        sha256: of its content.
    """

    size: int
    modified_ns: int
    sha256: str

    def fits(self, path: Path) -> bool:
        """Tell whether the file has not changed since."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns)


def read(folder: Path) -> dict[str, Seal]:
    """Read the seals of a folder by file name, valid or not; none where there is no record."""
    try:
        return {name: Seal(**entry) for name, entry in _document(folder)["files"].items()}
    except (KeyError, TypeError, AttributeError):
        return {}


def revision(folder: Path) -> str:
    """Return the revision that its files were fetched at; "" where that is not known."""
    return str(_document(folder).get("revision", ""))


def write(folder: Path, hashes: Mapping[str, str], **facts: Any) -> None:
    """Seal files, besides those that are sealed already.

    Args:
        folder: where they are. If it cannot be written, they stay unsealed.
        hashes: SHA-256 of each file by its name.
        facts: what else the record should say from now on.
    """
    seals = {name: seal for name, seal in read(folder).items() if seal.fits(folder / name)}
    for name, digest in hashes.items():
        status = (folder / name).stat()
        seals[name] = Seal(size=status.st_size, modified_ns=status.st_mtime_ns, sha256=digest)
    files = {
        name: {"size": seal.size, "modified_ns": seal.modified_ns, "sha256": seal.sha256}
        for name, seal in sorted(seals.items())
    }
    try:
        write_json(folder / RECORD, _document(folder) | facts | {"files": files})
    except OutputError:  # a folder of somebody else's, which we may only read
        return


def forget(folder: Path) -> None:
    """Break all seals of a folder."""
    try:
        (folder / RECORD).unlink(missing_ok=True)
    except OSError:  # as above
        return


def _document(folder: Path) -> dict[str, Any]:
    """Read the record; empty where there is none that can be read."""
    try:
        document = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
