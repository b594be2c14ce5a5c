"""Checks that weights inside this package are still those that were installed.

An installed wheel has a record of its files with the SHA-256 of each. A clone has none: there git
looks after them.
"""

from __future__ import annotations

import base64
from functools import cache
from importlib import metadata
from pathlib import Path

from scenelift.errors import WeightsError
from scenelift.weights.content import content_digest

__all__ = ["AGAIN", "adapters_beside", "check_shipped"]

AGAIN = "`pip install --force-reinstall --no-deps scenelift` brings it again."

SUFFIXES = (".onnx", ".safetensors")


def check_shipped(path: Path) -> None:
    """Compare a file of the package with its wheel's record, if there is one.

    It is read through once for its size and date.

    Raises:
        WeightsError: it is missing or damaged.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing. {AGAIN}")
    expected = _recorded().get(path)
    if expected is not None and content_digest(path) != expected:
        raise WeightsError(f"{path} is damaged: it is not the file that was installed. {AGAIN}")


@cache
def _recorded() -> dict[Path, str]:
    """Return SHA-256 in hexadecimal of the weights that a wheel of this package installed."""
    try:
        files = metadata.distribution("scenelift").files or ()
    except metadata.PackageNotFoundError:
        return {}
    hashes = {}
    for file in files:
        if file.suffix in SUFFIXES and file.hash is not None and file.hash.mode == "sha256":
            padded = file.hash.value + "=" * (-len(file.hash.value) % 4)
            hashes[Path(str(file.locate()))] = base64.urlsafe_b64decode(padded).hex()
    return hashes


def adapters_beside(head: Path) -> Path:
    """Return the file of a head's adapters of the backbone, whether it exists or not."""
    return head.with_name(f"{head.stem}_adapter.safetensors")
