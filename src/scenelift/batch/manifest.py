"""Reading what a batch shall do: a folder of photos, a CSV file, or JSON lines.

Every row is looked at before anything is run, and all bad rows are reported together.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from scenelift.batch.items import BatchItem
from scenelift.batch.settings import OF_ITEMS
from scenelift.batch.sheets import csv_rows, decode
from scenelift.errors import InputError, ManifestError
from scenelift.options import OptionField, Options, fields_for
from scenelift.options.schema import OptionModel, model_of
from scenelift.types import Prompt

__all__ = ["COLUMNS", "PHOTO_SUFFIXES", "read_items"]

COLUMNS = ("photo", *(f.name for f in fields_for("row")), "id")
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

Row = model_of("Row", "row", base=OptionModel, unsaid=True)
FIELDS = {f.name: f for f in fields_for("row")}
SEARCH = frozenset(f.name for f in fields_for("row", "search"))


def read_items(
    source: str | Path, defaults: Options | None = None, *, notes: list[str] | None = None
) -> list[BatchItem]:
    """The items of a manifest, or of every photo in a folder and its subfolders.

    Args:
        source: a folder, .csv, .tsv, .jsonl, or .json with a list of rows.
        defaults: what a row gets that does not say otherwise.
        notes: gets what was assumed or left aside, in plain sentences.

    Raises:
        InputError: there is no such file, or it is of no kind that is read.
        ManifestError: rows cannot be used; it names every one.
    """
    source, defaults = Path(source), defaults or Options()
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
    defaults: Options,
    *,
    manifest: str = "",
) -> list[BatchItem]:
    items: list[BatchItem] = []
    problems: list[tuple[int, str]] = []
    counts: dict[str, int] = {}
    folder = os.path.abspath(base)  # noqa: PTH100
    for line, row in rows:
        try:
            if isinstance(row, InputError):
                raise row
            item = _item(folder, row, defaults)
            if item.id in counts:
                raise InputError(
                    f"this row repeats line {counts[item.id]} ({item.id}); change its id or seed, "
                    "or remove it"
                )
        except InputError as exc:
            problems.append((line, str(exc)))
        else:
            counts[item.id] = line
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
    paths: list[str] = []
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
                paths.append(path)
            else:
                unread.append(path)
    if unread:
        names_text = ", ".join(sorted(unread)[:5]) + (", …" if len(unread) > 5 else "")
        notes.append(
            f"{len(unread)} pictures were left aside, as links to nothing or of a kind that is not "
            f"read: {names_text}."
        )
    yield from enumerate(sorted(paths), 1)


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
            cells = cast("dict[str, Any]", row)
            yield number, {k: v for k, v in cells.items() if v is not None}
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
    for number, row in enumerate(cast("list[Any]", rows), 1):
        if isinstance(row, dict):
            cells = cast("dict[str, Any]", row)
            yield number, {k: v for k, v in cells.items() if v is not None}
        else:
            yield number, InputError(f"expected a JSON object, got {str(row)[:40]}")


def _item(base: str, row: Mapping[str, Any], defaults: Options) -> BatchItem:
    unknown = [name for name in row if name not in COLUMNS]
    if unknown:
        raise InputError(
            f"unknown column {', '.join(map(repr, unknown))}; known: {', '.join(COLUMNS)}"
        )
    photo_text = str(row.get("photo", ""))
    if not photo_text:
        raise InputError("no photo is given")
    photo = _path(base, photo_text)
    if "\\" in photo_text and not os.path.isfile(photo):  # noqa: PTH113  as Windows writes paths
        return _item(base, {**row, "photo": photo_text.replace("\\", "/")}, defaults)
    if not os.path.isfile(photo):  # noqa: PTH113
        raise InputError(f"there is no photo {photo[:300]}")
    cells = {name: value for name, value in row.items() if name not in ("photo", "seed", "id")}
    own, prompt = _request_of_row(cells, defaults)
    item = BatchItem.of(
        Path(photo),
        prompt,
        _values({"seed": row.get("seed")}).get("seed", defaults.seeds.seed),
        id=str(row.get("id", "")),
        photo_text=Path(photo_text).as_posix(),
        options=own,
    )
    paths: dict[str, Any] = {}
    if "masks" in own:
        paths["masks"] = [_path(base, mask) for mask in own["masks"]]
    if "depth" in own:
        paths["depth"] = _path(base, own["depth"])
    return replace(item, options=own | paths)


def _path(base: str, photo_text: str) -> str:
    """A path as the manifest writes it, seen from its folder."""
    # In text: a path object for each step would take most of the time for a hundred thousand rows.
    return os.path.normpath(os.path.join(base, photo_text))  # noqa: PTH118


def _request_of_row(row: Mapping[str, Any], defaults: Options) -> tuple[dict[str, Any], Prompt]:
    """A row's own options, and its prompt."""
    cells = tuple(row.items())
    if all(isinstance(value, str) for _, value in cells):
        own, prompt = _asked_in_cells(cells, defaults)  # which many rows have in common
        return dict(own), prompt
    return _parse_request(row, defaults)


@lru_cache(maxsize=1000)
def _asked_in_cells(
    cells: tuple[tuple[str, str], ...], defaults: Options
) -> tuple[dict[str, Any], Prompt]:
    return _parse_request(dict(cells), defaults)


def _parse_request(row: Mapping[str, Any], defaults: Options) -> tuple[dict[str, Any], Prompt]:
    values = _values(row)
    own = {name: value for name, value in values.items() if name not in OF_ITEMS}
    defaults.with_plain(own)  # checks what is in it
    return own, _prompt(values, defaults)


def _values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of the options that a row has.

    Raises:
        InputError: one of them is of another type, or out of range.
    """
    cells = {
        name: cell
        for name, value in row.items()
        if name in FIELDS and (cell := _cell(FIELDS[name], value)) is not None
    }
    try:
        return Row.model_validate(cells).model_dump(mode="json", exclude_none=True)
    except ValidationError as exc:
        first = exc.errors()[0]
        f = FIELDS[str(first["loc"][0])]
        raise InputError(
            f"{f.name} is {str(first['input'])[:60]!r}; expected {_expected(f)}"
        ) from exc


def _cell(f: OptionField, value: Any) -> Any:
    """A cell as the model of rows takes it; None where it says nothing.

    Raises:
        InputError: it is of another type.
    """
    text = str(value).strip()
    if value is None or text == "" or (not f.is_list and text.lower() in ("nan", "<na>")):
        return None
    if f.is_list:
        # A prompt that is one text is read as people write lists: with semicolons or otherwise.
        return [text] if f.name == "prompt" and isinstance(value, str) else _list(value)
    if f.plain is bool:
        if text.lower() not in (*_YES, *_NO):
            raise InputError(f"{f.name} is {text!r}; expected {_expected(f)}")
        return text.lower() in _YES
    if isinstance(value, bool):
        raise InputError(f"{f.name} is {value!r}; expected {_expected(f)}")
    if f.plain is int and re.fullmatch(r"\d{1,3}([.,]\d{3})+", text):
        whole = re.sub("[.,]", "", text)
        raise InputError(
            f"{f.name} is {text!r}, where the separator can mean thousands or a fraction; write "
            f"{whole}, or what is meant, without it."
        )
    return _point(text) if f.plain in (int, float) else value


def _expected(f: OptionField) -> str:
    spec = f.option
    if f.choices:
        return f"one of {', '.join(f.choices)}"
    kinds = {bool: "yes or no", int: "a whole number", float: "a number"}
    kind = kinds.get(f.plain, "a text")
    if spec.ge is None:
        return kind
    return f"{kind} from {spec.ge}" + ("" if spec.le is None else f" to {spec.le}")


def _prompt(values: Mapping[str, Any], defaults: Options) -> Prompt:
    """What the row looks for, and the defaults where it names nothing."""
    own = Options.from_plain({k: v for k, v in values.items() if k in SEARCH}).search
    usual = defaults.search
    if not own.prompt and not own.box:
        own = replace(own, prompt=usual.prompt, box=usual.box)
        own = replace(own, exclude_box=(*usual.exclude_box, *own.exclude_box))
    if not own.prompt and not own.box and not values.get("masks"):
        raise InputError(
            "no prompt: give the column 'prompt', 'box' or 'masks', or the option --prompt"
        )
    numbers = {
        name: getattr(usual, name)
        for name in SEARCH
        if not FIELDS[name].is_list and getattr(own, name) is None
    }
    return replace(own, **numbers).to_prompt(optional=True)


def _list(value: Any) -> list[str]:
    """Texts of a cell: a list in JSON, separated by semicolons in a string."""
    texts: list[Any] = (
        cast("list[Any]", value) if isinstance(value, list) else str(value).split(";")
    )
    return [str(t).strip() for t in texts if str(t).strip()]


def _point(text: str) -> str:
    """A number with a point, where Excel wrote it with a comma."""
    return text.replace(",", ".") if re.fullmatch(r"\d+,\d+", text) else text
