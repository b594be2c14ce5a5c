"""Stores artefacts on disk: one folder each, and a manifest that is written last.

    <folder>/<artefact>/<file> …
    <folder>/<artefact>/manifest.json     what it was made from; size and SHA-256 of each file

Files are written atomically and are the same whoever makes them, so two processes that fetch the
same artefact do each other no harm, and one that is killed leaves an artefact that counts as
missing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scenelift.errors import OutputError, WeightsError
from scenelift.io.files import TEMPORARY_PREFIX, sha256_of, write_bytes, write_json
from scenelift.weights.artefact import Artefact, ArtefactStatus
from scenelift.weights.content import content_digest

__all__ = ["damage", "install", "problem", "remove_leftovers", "status_of"]

MANIFEST = "manifest.json"
LEFTOVER_SECONDS = 3600  # a file is written in seconds: older ones belong to a killed process


def install(folder: Path, artefact: Artefact, contents: Mapping[str, bytes]) -> None:
    """Write an artefact's files, then its manifest.

    Args:
        folder: where artefacts are kept.
        artefact: which one.
        contents: the bytes of each of its files.

    Raises:
        WeightsError: the folder cannot be written.
    """
    target = folder / artefact.name
    manifest = {
        "artefact": artefact.name,
        "revision": artefact.revision,
        "licence": artefact.licence,
        "sources": _sources(artefact),
        "converted_with": {name: version(name) for name in ("onnx", "onnxruntime")},
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        },
    }
    try:
        target.mkdir(parents=True, exist_ok=True)
        if _read_manifest(target) != manifest:  # else another process was faster: same bytes
            (target / MANIFEST).unlink(missing_ok=True)
        for name, data in contents.items():
            write_bytes(target / name, data)
        write_json(target / MANIFEST, manifest)
    except (OSError, OutputError) as exc:
        reason = exc.__cause__ if isinstance(exc, OutputError) else exc
        raise WeightsError(
            f"Cannot write the weights to {target}: {reason}. Free some space, or choose another "
            "folder with --weights or the variable SCENELIFT_HOME."
        ) from exc


def problem(folder: Path, artefact: Artefact) -> str:
    """Explain why an artefact cannot be used, "" if it can; by names and sizes, not contents."""
    target = folder / artefact.name
    manifest = _read_manifest(target)
    if manifest is None:
        return f"{artefact.name} is missing"
    if (manifest.get("revision"), manifest.get("sources")) != (
        artefact.revision,
        _sources(artefact),
    ):
        return f"{artefact.name} was made by another version of scenelift"
    for name in artefact.files:
        path = target / name
        if name not in manifest["files"] or not path.is_file():
            return f"{artefact.name} lacks its file {name}"
        if path.stat().st_size != manifest["files"][name]["size"]:
            return f"{artefact.name} is damaged: {name} has another size than when it was made"
    return ""


def damage(folder: Path, artefact: Artefact, *, again: bool = False) -> str:
    """Explain how an artefact's contents are damaged, "" if they are not.

    Args:
        folder: where artefacts are kept.
        artefact: which one, without a `problem`.
        again: read every byte, even of files that were read before and have the same size and date.
    """
    manifest = _read_manifest(folder / artefact.name) or {"files": {}}
    for name, entry in manifest["files"].items():
        path = folder / artefact.name / name
        actual = sha256_of(path) if again else content_digest(path)
        if actual != entry["sha256"]:
            return (
                f"{artefact.name} is damaged: {name} has SHA-256 {actual}, "
                f"{entry['sha256']} when it was made"
            )
    return ""


def status_of(folder: Path, artefact: Artefact, *, verify: bool = False) -> ArtefactStatus:
    """Return the status of an artefact; with `verify`, its contents are read and compared too."""
    issue = problem(folder, artefact)
    checked = verify and not issue
    if checked:
        issue = damage(folder, artefact, again=True)
    manifest = _read_manifest(folder / artefact.name) or {"files": {}}
    files = manifest["files"]
    return ArtefactStatus(
        name=artefact.name,
        purpose=artefact.purpose,
        role=", ".join(artefact.used_by),
        essential=bool(artefact.essential_for),
        licence=artefact.licence,
        source=", ".join(map(str, artefact.packages)),
        present=not issue,
        size=sum(entry["size"] for entry in files.values()),
        problem=issue,
        checked=checked,
        sha256={name: entry["sha256"] for name, entry in files.items()},
    )


def remove_leftovers(folder: Path) -> None:
    """Delete leftovers of killed processes."""
    for leftover in folder.glob(f"*/{TEMPORARY_PREFIX}*"):
        if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
            leftover.unlink(missing_ok=True)


def _sources(artefact: Artefact) -> list[dict[str, str]]:
    return [
        {"package": str(member.package), "file": member.path, "sha256": member.sha256}
        for member in artefact.members
    ]


def _read_manifest(target: Path) -> dict[str, Any] | None:
    """Read the manifest, or return None where there is none that can be read."""
    try:
        manifest = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "files" in manifest else None
