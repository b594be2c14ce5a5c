"""Read what a batch is to do: a folder of photos, a CSV file, or JSON.

Every row is looked at before anything is run, and all bad rows are reported together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from scenelift.batch.columns import PASSED_OVER, complaint_of, known_names, with_box
from scenelift.batch.encodings import decode
from scenelift.batch.items import BatchItem
from scenelift.batch.json_rows import json_rows
from scenelift.batch.paths import Finder
from scenelift.batch.settings import OF_ITEMS
from scenelift.batch.sheets import csv_rows
from scenelift.coordinates import boxes_of, points_of
from scenelift.errors import InputError, ManifestError, first_few
from scenelift.io.regular import check_regular
from scenelift.options import OptionField, Options, fields_for
from scenelift.options.schema import OptionModel, model_of
from scenelift.options.written import expected_value, number_of_text
from scenelift.types import Prompt

__all__ = ["COLUMNS", "PHOTO_SUFFIXES", "read_items"]

COLUMNS = ("photo", *(f.name for f in fields_for("row")), "id")
PHOTO_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".mpo"),
        *(".heic", ".heif", ".jfif", ".ppm", ".pnm"),
    }
)

# Pictures that people expect to be read, so that leaving them aside is said.
OTHER_PICTURES = frozenset(
    {
        *(".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".raw"),
        *(".psd", ".svg", ".jxl", ".jp2", ".pdf", ".exr", ".hdr", ".tga"),
    }
)

# Excel writes truth in the language of its user, pandas as a number beside empty cells.
_YES = ("yes", "true", "1", "1.0", "wahr", "vrai", "verdadero", "vero", "y")
_NO = ("no", "false", "0", "0.0", "falsch", "faux", "falso", "n")

# As pandas, R, Excel, databases and programs write that there is nothing.
EMPTY = frozenset(
    {
        *("", "nan", "-nan", "<na>", "na", "n/a", "#n/a", "#na", "#n/a n/a", "null", "none", "nil"),
        *("nat", "undefined", "1.#qnan", "-1.#ind", "1.#ind", "-1.#qnan"),
    }
)
# Of spreadsheets whose formula failed. #N/A is how they and pandas write that there is nothing.
ERRORS = frozenset(
    {
        *("#name?", "#ref!", "#value!", "#div/0!", "#num!", "#null!", "#spill!", "#calc!"),
        *("#getting_data", "#error!", "err:502", "err:504", "err:508", "err:522"),
    }
)
SHEETS = (".csv", ".tsv", ".tab", ".txt")
# How boxes and points are read, and whether those of the column are meant.
COORDINATES = {
    "box": (boxes_of, True),
    "exclude_box": (boxes_of, False),
    "point": (points_of, True),
    "not_point": (points_of, False),
}

Row = model_of("Row", "row", base=OptionModel, unsaid=True)
FIELDS = {f.name: f for f in fields_for("row")}
SEARCH = frozenset(f.name for f in fields_for("row", "search"))


def read_items(
    source: str | Path,
    defaults: Options | None = None,
    *,
    notes: list[str] | None = None,
    encoding: str = "",
) -> list[BatchItem]:
    """Read the items of a manifest, or make one for every photo in a folder and its subfolders.

    Args:
        source: a folder, a table of text (.csv, .tsv, .txt), or JSON (.jsonl, .json).
        defaults: what a row gets that does not say otherwise.
        notes: gets what was assumed or left aside, in plain sentences.
        encoding: of a file that is not UTF-8; "" to guess it.

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
    suffix = source.suffix.lower()
    check_regular(source)
    try:
        text = decode(
            source.read_bytes(),
            source.name,
            notes,
            encoding=encoding,
            photos=lambda text: _photos_there(source, text) if suffix in SHEETS else None,
        )
    except FileNotFoundError as exc:
        raise InputError(
            f"There is no file {source}. Give a CSV or JSONL manifest, or a folder of photos."
        ) from exc
    except OSError as exc:
        raise InputError(f"{source} cannot be read: {exc}.") from exc
    if not text.strip("\x1a \t\r\n"):
        raise InputError(f"{source.name} is empty. Give a row for each photo, below photo,prompt.")
    if suffix in SHEETS:
        rows = (
            json_rows(text)
            if text.lstrip()[:1] in ("[", "{")
            else csv_rows(text, COLUMNS, PHOTO_SUFFIXES)
        )
    elif suffix in (".jsonl", ".ndjson", ".json"):
        rows = json_rows(text)
    else:
        raise InputError(
            f"{source.name} is not a manifest that can be read: name it .csv (a header and a "
            "row for each photo) or .jsonl (a JSON object a line), or give a folder of photos."
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
    finder = Finder(os.path.abspath(base))  # noqa: PTH100
    for line, row in rows:
        try:
            if isinstance(row, InputError):
                raise row
            item = _item(finder, row, defaults)
            folder = item.id.casefold()  # file systems of macOS and Windows know no capitals
            if folder in counts:
                raise InputError(
                    f"this row repeats line {counts[folder]} ({item.id}, capitals do not count); "
                    "change its id or seed, or remove it"
                )
        except InputError as exc:
            problems.append((line, str(exc)))
        else:
            counts[folder] = line
            items.append(item)
    if problems:
        raise ManifestError(manifest or str(base), problems)
    if not items:
        what = "has no rows" if manifest else f"holds no photos ({', '.join(PHOTO_SUFFIXES)})"
        raise InputError(f"{manifest or base} {what}. There is nothing to do.")
    return items


def _photos(folder: Path, notes: list[str]) -> Iterator[tuple[int, str]]:
    """List the photos in a folder by relative path, sorted by name.

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
        notes.append(
            f"{len(unread)} pictures were left aside, as links to nothing or of a kind that is not "
            f"read: {first_few(sorted(unread))}."
        )
    yield from enumerate(sorted(paths), 1)


def _photos_there(source: Path, text: str) -> int | None:
    """Count the existing photos whose names are not ASCII; None if one is missing."""
    finder = Finder(os.path.abspath(source.parent))  # noqa: PTH100
    rows = (
        row for _, row in csv_rows(text, COLUMNS, PHOTO_SUFFIXES) if not isinstance(row, InputError)
    )
    names = {name for row in rows if not (name := str(row.get("photo", ""))).isascii()}
    return len(names) or None if all(finder.find(name) for name in names) else None


def _item(finder: Finder, row: Mapping[str, Any], defaults: Options) -> BatchItem:
    names = known_names(row)
    columns = list(names.values())
    if twice := next((name for name in columns if columns.count(name) > 1), ""):
        raise InputError(f"two columns mean {twice!r}; keep one of them")
    row = with_box(
        {names[n]: cell for n, cell in row.items() if not names[n].startswith(PASSED_OVER)}
    )
    unknown = [name for name in row if name not in COLUMNS]
    if unknown:
        raise InputError(f"unknown column {complaint_of(unknown, COLUMNS)}")
    for name, cell in row.items():
        if str(cell).strip().casefold() in ERRORS:
            raise InputError(
                f"{name} is {cell}, an error of the spreadsheet; correct its formula, or clear it"
            )
    photo_text = str(row.get("photo", ""))
    if _is_empty(photo_text):
        raise InputError("no photo is given")
    photo = finder.path(photo_text)
    if not os.path.isfile(photo):  # noqa: PTH113
        match = finder.find(photo_text)
        if match is None or not os.path.isfile(match[0]):  # noqa: PTH113
            name = photo[:300]
            raise InputError(f"there is no photo {name if name.isprintable() else repr(name)}")
        photo, photo_text = match
    cells = {name: value for name, value in row.items() if name not in ("photo", "seed", "id")}
    own, prompt = _request_of_row(cells, defaults)
    id = str(row.get("id", ""))
    item = BatchItem.of(
        Path(photo),
        prompt,
        _values({"seed": row.get("seed")}).get("seed", defaults.seeds.seed),
        id="" if _is_empty(id) else id,
        photo_text=Path(photo_text).as_posix(),
        options=own,
    )
    paths: dict[str, Any] = {}
    if "masks" in own:
        paths["masks"] = [_there(finder, mask) for mask in own["masks"]]
    if "depth" in own:
        paths["depth"] = _there(finder, own["depth"])
    return replace(item, options=own | paths)


def _there(finder: Finder, text: str) -> str:
    """Replace a path of the manifest by that of the existing file it means, if there is one."""
    match = finder.find(text)
    return finder.path(text) if match is None else match[0]


def _is_empty(text: str) -> bool:
    """Return whether a cell is empty, or holds what programs write for an empty one."""
    return text.strip().casefold() in EMPTY


def _request_of_row(row: Mapping[str, Any], defaults: Options) -> tuple[dict[str, Any], Prompt]:
    """Read a row's own options and its prompt."""
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
    """Read the plain values of the options that a row sets.

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
            f"{f.name} is {str(first['input'])[:60]!r}; expected {expected_value(f)}"
        ) from exc


def _cell(f: OptionField, value: Any) -> Any:
    """Convert a cell to what the options' model accepts; None if the cell is empty.

    Raises:
        InputError: it is of another type.
    """
    if _is_object(value) and f.name not in COORDINATES:
        value = json.dumps(value, ensure_ascii=False)  # read or refused as its text is
    text = str(value).strip()
    if value is None or (_is_empty(text) and text.casefold() not in f.choices):
        return None
    if f.choices and text.casefold() not in EMPTY:  # "None" may be a word, or nothing at all
        return text.casefold() if text.casefold() in f.choices else text
    if f.name in COORDINATES:
        return _coordinates(f, value)
    if f.is_list:
        # A prompt that is one text is read as people write lists: with semicolons or otherwise.
        return [text] if f.name == "prompt" and isinstance(value, str) else _list(value)
    if f.plain is bool:
        if text.lower() not in (*_YES, *_NO):
            raise InputError(f"{f.name} is {text!r}; expected {expected_value(f)}")
        return text.lower() in _YES
    if isinstance(value, bool):
        raise InputError(f"{f.name} is {value!r}; expected {expected_value(f)}")
    return number_of_text(f, text) if f.plain in (int, float) else value


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _coordinates(f: OptionField, value: Any) -> list[str]:
    """Convert boxes or points of a cell, in any form, to the command line's form.

    Raises:
        InputError: one cannot be read, or says the opposite of its column.
    """
    parse, positive = COORDINATES[f.name]
    marks = parse(value)
    if any(mark.positive not in (None, positive) for mark in marks):
        raise InputError(
            f"an entry of {f.name} has 'positive': {not positive}; it belongs in another column"
        )
    labels = (f"{mark.label}=" if mark.label else "" for mark in marks)
    numbers = (",".join(map(repr, mark.numbers)) for mark in marks)
    return list(map("".join, zip(labels, numbers, strict=True)))


def _prompt(values: Mapping[str, Any], defaults: Options) -> Prompt:
    """Make a row's prompt, completed from the defaults."""
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
    """Split a cell into texts: a JSON list, or a string with semicolons."""
    texts: Any = value
    if isinstance(value, str):
        texts = value.split(";")
        if value.strip().startswith("["):
            with suppress(ValueError, RecursionError):  # a name may begin so
                texts = json.loads(value.replace("'", '"'))
    if not isinstance(texts, list):
        texts = [value]
    return [str(t).strip() for t in cast("list[Any]", texts) if not _is_empty(str(t))]
