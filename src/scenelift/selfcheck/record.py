"""Records which weights have passed the self-check, so that `--quality auto` may use them.

A record is of the very files: other sizes or dates, and it no longer counts. It lies beside the
weights, in `selfcheck.json`. Nothing here imports PyTorch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from scenelift import __version__
from scenelift.io.files import write_bytes
from scenelift.weights import published
from scenelift.weights.home import weights_folder
from scenelift.weights.locate import locate

__all__ = ["has_passed", "remember"]

FILE = "selfcheck.json"


def has_passed(quality: str, names: Sequence[str], weights: Path | None = None) -> bool:
    """Tell whether these weights, as they are now, passed the self-check.

    Args:
        quality: whose stages were run.
        names: of the models in it.
        weights: folder of all weights in place of the cache.
    """
    row = _read(weights).get(quality)
    identity = _identity(names, weights)
    return isinstance(row, dict) and identity is not None and row.get("files") == identity


def remember(
    quality: str, names: Sequence[str], weights: Path | None = None, *, passed: bool
) -> None:
    """Record the outcome of a self-check; a failure removes an earlier success.

    Raises:
        OutputError: the folder of weights cannot be written.
    """
    rows = _read(weights)
    rows.pop(quality, None)
    identity = _identity(names, weights)
    if passed and identity is not None:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        rows[quality] = {"files": identity, "scenelift": __version__, "at": when}
    folder = weights_folder(weights)
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / FILE, json.dumps(rows, indent=1).encode())


def _read(weights: Path | None) -> dict[str, object]:
    try:
        rows = json.loads((weights_folder(weights) / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return rows if isinstance(rows, dict) else {}


def _identity(names: Sequence[str], weights: Path | None) -> str | None:
    """Compute a digest that changes with any file's size and date; None where a file is missing."""
    digest = hashlib.sha256()
    for name in names:
        folder = locate(name, weights)
        if folder is None:
            return None
        for file in published.MODELS[name].files:
            path = folder / file.name
            if path.is_file():
                stat = path.stat()
                digest.update(f"{name}/{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
