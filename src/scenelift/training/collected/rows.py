"""Reads a manifest of models: one JSON object a line, each with its repository, commit and path."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from scenelift.errors import InputError, ManifestError

__all__ = ["Row", "read_rows"]

TEXTS = (
    "id", "name", "category", "source", "repository", "commit",
    "path", "author", "licence", "licence_stated_in", "split",
)  # fmt: skip
SPLITS = {"train": "train", "val": "val", "test": "val"}  # a pack knows two
LABELS = {"table": "dining table"}  # what the catalogue's classes say


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model.

    Attributes:
        id, name, author, licence: as in a pack.
        label: common noun.
        source: what the pack is called that it goes into.
        repository: owner and name.
        commit: 40 hexadecimal digits.
        path: of the model in the repository.
        stated: file that states the licence, perhaps with a remark in brackets.
        size: width, height, depth in metres, y up.
        faces: triangles of the file, or None.
        split: "train" or "val".
    """

    id: str
    name: str
    label: str
    source: str
    repository: str
    commit: str
    path: PurePosixPath
    author: str
    licence: str
    stated: str
    size: tuple[float, float, float]
    faces: int | None
    split: str


def read_rows(manifest: Path) -> tuple[Row, ...]:
    """Read all rows of a manifest.

    Raises:
        InputError: there is no such file.
        ManifestError: rows that lack something, or name what cannot be fetched safely.
    """
    try:
        lines = manifest.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(
            f"{manifest} cannot be read as a manifest of models ({exc}): "
            "give a file of one JSON object a line."
        ) from exc
    rows: list[Row] = []
    problems: list[tuple[int, str]] = []
    places: dict[str, list[PurePosixPath]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _row(json.loads(line))
        except ValueError as exc:
            problems.append((number, str(exc)))
            continue
        paths = places.setdefault(row.id, [])
        if row.path in paths:
            problems.append((number, f"the id {row.id!r} stands twice"))
        paths.append(row.path)
        # One maker's files in two folders may have one name.
        rows.append(row if len(paths) == 1 else replace(row, id=f"{row.id}~{len(paths)}"))
    if problems:
        raise ManifestError(manifest.name, problems)
    return tuple(rows)


def _row(value: Any) -> Row:
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    for key in TEXTS:
        if not isinstance(value.get(key), str):
            raise ValueError(f"{key!r} is {value.get(key)!r}, not text")
    path = PurePosixPath(value["path"])
    if not re.fullmatch(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+", value["repository"]):
        raise ValueError(f"{value['repository']!r} is not owner/name")
    if not re.fullmatch(r"[0-9a-f]{40}", value["commit"]):
        raise ValueError(f"the commit {value['commit']!r} is not 40 hexadecimal digits")
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"the path {value['path']!r} leads out of the repository")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value["source"]):
        raise ValueError(f"the source {value['source']!r} is no file name")
    if value["split"] not in SPLITS:
        raise ValueError(f"the split {value['split']!r} is none of {', '.join(SPLITS)}")
    size: Any = value.get("size_m") or value.get("size_guess_m")
    try:
        width, height, depth = (float(side) for side in size)
    except (TypeError, ValueError):
        raise ValueError(f"the size is {size!r}, not three numbers") from None
    if not (min(width, height, depth) >= 0 and 0 < max(width, height, depth) < 1e6):
        raise ValueError(f"the size {size!r} is not one in metres")
    return Row(
        id=value["id"],
        name=value["name"],
        label=LABELS.get(str(value["category"]), str(value["category"])),
        source=value["source"],
        repository=value["repository"],
        commit=value["commit"],
        path=path,
        author=value["author"],
        licence=value["licence"],
        stated=value["licence_stated_in"],
        size=(width, height, depth),
        faces=value.get("faces_before"),
        split=SPLITS[value["split"]],
    )
