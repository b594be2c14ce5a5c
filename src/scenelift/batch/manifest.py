"""Reading what a batch shall do: a folder of photos, a CSV file, or JSON lines.

Every row is looked at before anything is run, and all bad rows are reported together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from scenelift.batch.items import BatchItem
from scenelift.batch.sheets import csv_rows, decode
from scenelift.errors import InputError, ManifestError
from scenelift.options import FinishOptions
from scenelift.prompts import parse_box, parse_prompt_phrases
from scenelift.types import BoxPrompt, Prompt

__all__ = ["COLUMNS", "PHOTO_SUFFIXES", "RowDefaults", "read_items"]

COLUMNS = (
    "photo",
    "prompt",
    "box",
    "exclude_box",
    "seed",
    "max_objects",
    "min_score",
    "mask_threshold",
    "faces",
    "texture_size",
    "vertex_colors",
    "id",
)
PROMPT_COLUMNS = ("prompt", "box", "exclude_box", "min_score", "mask_threshold", "max_objects")
PHOTO_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".mpo"),
        *(".heic", ".heif", ".jfif"),
    }
)

# Pictures that people expect to be read, so that leaving them aside is said.
OTHER_PICTURES = frozenset(
    {
        *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".raw"),
        *(".psd", ".svg", ".jxl", ".jp2", ".pdf", ".exr", ".hdr", ".tga", ".ppm"),
    }
)

# Excel writes truth in the language of its user, pandas as a number beside empty cells.
_YES = ("yes", "true", "1", "1.0", "wahr", "vrai", "verdadero", "vero", "y")
_NO = ("no", "false", "0", "0.0", "falsch", "faux", "falso", "n")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDefaults:
    """What a row that does not say otherwise gets.

    Attributes:
        prompt: phrases and boxes for rows without any; its numbers for rows without those.
        seed: for rows without one.
    """

    prompt: Prompt = field(default_factory=Prompt)
    seed: int = 0


def read_items(
    source: str | Path, defaults: RowDefaults | None = None, *, notes: list[str] | None = None
) -> list[BatchItem]:
    """The items of a manifest, or of every photo in a folder and its subfolders.

    Args:
        source: a folder, .csv, .tsv, .jsonl, or .json with a list of rows.
        defaults: what rows that do not say otherwise get.
        notes: gets what was assumed or left aside, in plain sentences.

    Raises:
        InputError: there is no such file, or it is of no kind that is read.
        ManifestError: rows cannot be used; it names every one.
    """
    source, defaults = Path(source), defaults or RowDefaults()
    notes = [] if notes is None else notes
    if source.is_dir():
        photos = _photos(source, notes)
        return _collect(source, ((n, {"photo": p}) for n, p in photos), defaults)
    if source.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods", ".numbers"):
        raise InputError(
            f"{source.name} is a workbook. Save its sheet as CSV UTF-8 (File, Save As), and give "
            "that."
        )
    try:
        text = decode(source.read_bytes(), source.name, notes)
    except FileNotFoundError as exc:
        raise InputError(
            f"There is no file {source}. Give a CSV or JSONL manifest, or a folder of photos."
        ) from exc
    except OSError as exc:
        raise InputError(f"{source} cannot be read: {exc}.") from exc
    suffix = source.suffix.lower()
    if suffix in (".csv", ".tsv"):
        rows = csv_rows(text, COLUMNS)
    elif suffix in (".jsonl", ".ndjson"):
        rows = _json_rows(text)
    elif suffix == ".json":
        rows = _json_list(text)
    else:
        raise InputError(
            f"{source.name} is no manifest that is read: name it .csv (a header and a row for each "
            "photo) or .jsonl (a JSON object a line), or give a folder of photos."
        )
    return _collect(source.parent, rows, defaults, manifest=source.name)


def _collect(
    base: Path,
    rows: Iterator[tuple[int, Mapping[str, Any] | InputError]],
    defaults: RowDefaults,
    *,
    manifest: str = "",
) -> list[BatchItem]:
    items: list[BatchItem] = []
    problems: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    folder = os.path.abspath(base)  # noqa: PTH100
    for line, row in rows:
        try:
            if isinstance(row, InputError):
                raise row
            item = _item(folder, row, defaults)
            if item.id in seen:
                raise InputError(
                    f"this row repeats line {seen[item.id]} ({item.id}); change its id or seed, "
                    "or remove it"
                )
        except InputError as exc:
            problems.append((line, str(exc)))
        else:
            seen[item.id] = line
            items.append(item)
    if problems:
        raise ManifestError(manifest or str(base), problems)
    if not items:
        what = "has no rows" if manifest else f"holds no photos ({', '.join(PHOTO_SUFFIXES)})"
        raise InputError(f"{manifest or base} {what}. There is nothing to do.")
    return items


def _photos(folder: Path, notes: list[str]) -> Iterator[tuple[int, str]]:
    """Paths of photos, seen from the folder, in the order of their names.

    Pictures in output folders are results of ours, and no photos. Links to nothing and pictures of
    other kinds are named in a note.
    """
    found: list[str] = []
    unread: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if not f.startswith((".", "@", "$", "#"))  # of systems and network disks
            and f != "__MACOSX"
            and not any(
                (Path(parent) / f / name).is_file() for name in ("scene.json", "batch.json")
            )
        ]
        inside = Path(parent).relative_to(folder)
        for name in files:
            suffix, path = Path(name).suffix.lower(), (inside / name).as_posix()
            if name.startswith(".") or suffix not in PHOTO_SUFFIXES | OTHER_PICTURES:
                continue
            if suffix in PHOTO_SUFFIXES and (folder / path).is_file():
                found.append(path)
            else:
                unread.append(path)
    if unread:
        shown = ", ".join(sorted(unread)[:5]) + (", …" if len(unread) > 5 else "")
        notes.append(
            f"{len(unread)} pictures were left aside, as links to nothing or of a kind that is not "
            f"read: {shown}."
        )
    yield from enumerate(sorted(found), 1)


def _json_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    # Not splitlines(): a phrase may hold U+2028, which JSON does not escape.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            yield number, InputError(f"this is not JSON: {exc}")
            continue
        if isinstance(row, dict):
            yield number, {k: v for k, v in row.items() if v is not None}
        else:
            yield number, InputError(f"expected a JSON object, got {str(row)[:40]}")


def _json_list(text: str) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """Rows of a list of objects, as pandas writes it with `orient="records"`."""
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as exc:
        yield 1, InputError(f"this is not JSON: {exc}")
        return
    if not isinstance(rows, list):
        yield 1, InputError("expected a list of JSON objects")
        return
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield number, {k: v for k, v in row.items() if v is not None}
        else:
            yield number, InputError(f"expected a JSON object, got {str(row)[:40]}")


def _item(base: str, row: Mapping[str, Any], defaults: RowDefaults) -> BatchItem:
    unknown = [name for name in row if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"unknown column {', '.join(map(repr, unknown))}; known: {', '.join(COLUMNS)}"
        )
    written = str(row.get("photo", ""))
    if not written:
        raise InputError("no photo is given")
    # In text: a path object for each step would take most of the time for a hundred thousand rows.
    photo = os.path.normpath(os.path.join(base, written))  # noqa: PTH118
    if "\\" in written and not os.path.isfile(photo):  # noqa: PTH113  as Windows writes paths
        return _item(base, {**row, "photo": written.replace("\\", "/")}, defaults)
    if not os.path.isfile(photo):  # noqa: PTH113
        raise InputError(f"there is no photo {photo[:300]}")
    seed = _number(row, "seed", int, 0, None)
    return BatchItem.of(
        Path(photo),
        _prompt(row, defaults.prompt),
        defaults.seed if seed is None else seed,
        id=str(row.get("id", "")),
        written=Path(written).as_posix(),
        finish=_finish(row),
    )


def _prompt(row: Mapping[str, Any], default: Prompt) -> Prompt:
    cells = tuple((name, row[name]) for name in PROMPT_COLUMNS if name in row)
    if all(isinstance(value, str) for _, value in cells):
        return _prompt_of_cells(cells, default)  # which many rows have in common
    return _new_prompt(row, default)


@lru_cache(maxsize=1000)
def _prompt_of_cells(cells: tuple[tuple[str, str], ...], default: Prompt) -> Prompt:
    return _new_prompt(dict(cells), default)


def _new_prompt(row: Mapping[str, Any], default: Prompt) -> Prompt:
    asked = row.get("prompt", "")
    texts = _list(row, "prompt")
    if texts and isinstance(asked, str):
        texts = [asked]  # a list in JSON has semicolons of its own
    boxes = tuple(parse_box(b) for b in _list(row, "box")) + tuple(
        parse_box(b, positive=False) for b in _list(row, "exclude_box")
    )
    phrases = parse_prompt_phrases(texts) if texts else ()
    if not phrases and not any(b.positive for b in boxes):
        phrases, boxes = default.phrases, default.boxes + boxes
    if not phrases and not any(b.positive for b in boxes):
        raise InputError("no prompt: give the column 'prompt' or 'box', or the option --prompt")
    own = Prompt(
        phrases=phrases,
        boxes=tuple[BoxPrompt, ...](boxes),
        min_score=_number(row, "min_score", float, 0, 1),
        mask_threshold=_number(row, "mask_threshold", float, 0.01, 0.99),
        max_objects=_number(row, "max_objects", int, 1, None),
    )
    return Prompt(
        phrases=own.phrases,
        boxes=own.boxes,
        min_score=default.min_score if own.min_score is None else own.min_score,
        mask_threshold=(
            default.mask_threshold if own.mask_threshold is None else own.mask_threshold
        ),
        max_objects=default.max_objects if own.max_objects is None else own.max_objects,
    )


def _finish(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `FinishOptions` that the row gives.

    Raises:
        InputError: one of them is out of range.
    """
    own: dict[str, Any] = {
        column: value
        for column in ("faces", "texture_size")
        if (value := _number(row, column, int, 0, None)) is not None
    }
    if own.get("faces") == 0:
        own["faces"] = None  # as the option of that name: all of them
    said = str(row.get("vertex_colors", "")).lower()
    if said not in ("", *_YES, *_NO):
        raise InputError(f"vertex_colors is {said!r}; expected yes or no")
    if said:
        own["vertex_colors"] = said in _YES
    FinishOptions(**own)  # checks the ranges
    return own


def _list(row: Mapping[str, Any], column: str) -> list[str]:
    """Texts of a cell: a list in JSON, separated by semicolons in a string."""
    value = row.get(column, "")
    texts: Sequence[Any] = value if isinstance(value, list) else str(value).split(";")
    return [str(t).strip() for t in texts if str(t).strip()]


def _number(
    row: Mapping[str, Any],
    column: str,
    kind: type[Any],
    low: float,
    high: float | None,
) -> Any:
    value = row.get(column)
    if isinstance(value, str):
        value = _point(value.strip())
    if value is None or value == "" or str(value).lower() in ("nan", "<na>"):
        return None
    limits = f"from {low}" if high is None else f"in {low}…{high}"
    try:
        try:
            number = kind(value)
        except ValueError:
            number = kind(float(value))  # "7.0": pandas' column of numbers with an empty cell
        whole = kind is float or float(value) == number
    except (TypeError, ValueError, OverflowError):
        whole, number = False, 0
    if not whole or isinstance(value, bool) or not (low <= number <= (high or number)):
        what = "a whole number" if kind is int else "a number"
        raise InputError(f"{column} is {value!r}; expected {what} {limits}")
    return number


def _point(text: str) -> str:
    """A number with a point, where Excel wrote it with a comma."""
    return text.replace(",", ".") if re.fullmatch(r"\d+,\d+", text) else text
