"""Read rows from tables of text (CSV), as pandas, Excel and others write them.

separator     comma, semicolon, tab or bar: the one that gives a column 'photo'; "sep=;" too
header        in any case, with blanks or hyphens for underscores; other programs' names (`columns`)
comments      lines with # before the header, and empty ones, are passed over
names alone   photos, one a line, need no header
nameless      pandas' index, and what Excel leaves behind the last column, are passed over
empty rows    are passed over
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePath

from scenelift.batch.columns import PASSED_OVER, complaint_of, known_names, sides_of
from scenelift.errors import InputError

__all__ = ["csv_rows", "plain_cell"]

SEPARATORS = ",;\t|"
# What a spreadsheet would run instead of show (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Row = tuple[int, Mapping[str, str] | InputError]


def csv_rows(text: str, columns: Sequence[str], suffixes: Collection[str] = ()) -> Iterator[Row]:
    """Yield line number and cells of every row, or its error; empty cells are left out.

    Args:
        text: of the whole file.
        columns: the names that there are; 'photo' must be among the header's.
        suffixes: of photos, to tell a list of their names from a header.
    """
    # Marks of several files that were joined; where DOS ends a file, or a power cut did.
    text = text.replace("\ufeff", "").rstrip("\x1a\0")
    offset, separators = 0, SEPARATORS
    if match := re.match(r'"?sep=(.)"?(?:\r\n|\r|\n)', text, re.IGNORECASE):
        offset, separators, text = 1, match[1], text[match.end() :]
    while match := re.match(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n)", text):
        offset, text = offset + 1, text[match.end() :]
    if _names_alone(text, suffixes):
        offset, text = offset - 1, f"photo\n{text}"
    separator, header = max(
        ((s, _header(text, s, columns)) for s in separators),
        key=lambda h: ("photo" in h[1], len(h[1])),
    )
    sides = sides_of(header)
    named = [n for n in header if n and n not in sides and not n.startswith(PASSED_OVER)]
    unknown = [name for name in named if name not in columns]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        yield 1 + offset, InputError(f"the header has {twice[0]!r} twice")
        return
    if "photo" not in header or unknown:
        yield 1 + offset, InputError(_complaint(header, unknown, columns, suffixes))
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in itertools.islice(reader, 1, None):
            yield from _row(cells, header, reader.line_num + offset, separator)
    except csv.Error as exc:
        words = str(exc)
        if "field limit" in words:
            words = f"a cell has more than {csv.field_size_limit()} characters; is a quote open?"
        yield reader.line_num + offset, InputError(f"this is not CSV: {words}")


def _names_alone(text: str, suffixes: Collection[str]) -> bool:
    """Return whether a file is only a list of photos, one on each line."""
    lines = [line.strip().strip('"') for line in text.splitlines() if line.strip()]
    return bool(lines) and all(
        PurePath(line).suffix.lower() in suffixes and not set(line) & set(";\t|") for line in lines
    )


def _complaint(
    header: Sequence[str],
    unknown: Sequence[str],
    columns: Sequence[str],
    suffixes: Collection[str],
) -> str:
    if any(PurePath(name).suffix in suffixes for name in header):
        return "there is no header; begin with a line of names, such as photo,prompt"
    if unknown:
        return f"the header has {complaint_of(unknown, columns)}"
    return f"the header has no column 'photo'; columns are {', '.join(columns)}"


def _header(text: str, separator: str, columns: Sequence[str]) -> list[str]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        empty: list[str] = []
        names = next(reader, empty)
    except csv.Error:
        return []
    ours = known_names(names)
    return [ours[name] for name in names]


def _row(cells: list[str], header: list[str], line: int, separator: str) -> Iterator[Row]:
    if not any(cell.strip() for cell in cells):
        return
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    nameless = [
        cell
        for place, (name, cell) in enumerate(zip(header, cells, strict=False))
        if not name and cell.strip() and not (place == 0 and cell.strip().isdecimal())
    ]
    if beyond:
        yield (
            line,
            InputError(
                "more fields than the header names: put a cell that has the separator in it "
                f'in quotes ("a{separator} b")'
            ),
        )
    elif any("\ufffd" in cell for cell in cells):
        damaged_cell = next(cell for cell in cells if "\ufffd" in cell)
        yield (
            line,
            InputError(
                f"{damaged_cell[:40]!r} has lost letters (\ufffd): it was saved in an encoding "
                "that lacks them. Save the sheet as CSV UTF-8"
            ),
        )
    elif nameless:
        yield line, InputError(f"{nameless[0][:40]!r} stands in a column without a name")
    else:
        row = {name: _cell(cell) for name, cell in zip(header, cells, strict=False)}
        yield line, {n: c for n, c in row.items() if n and c and not n.startswith(PASSED_OVER)}


def _cell(text: str) -> str:
    """Strip a cell's blanks, and the ="…" by which people keep Excel from converting text."""
    text = text.strip()
    formula = re.fullmatch(r'="([^"]*)"', text)
    return formula[1].strip() if formula else text


def plain_cell(value: object) -> object:
    """Prefix text that a spreadsheet would run as a formula with a '."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
