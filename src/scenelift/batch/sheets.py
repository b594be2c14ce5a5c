"""Tables of text as pandas, Excel and others write them → rows.

separator     comma, semicolon, tab or bar: the one that gives a column 'photo'; "sep=;" too
header        in any case, with blanks or hyphens for underscores
nameless      pandas' index, and what Excel leaves behind the last column, are passed over
empty rows    are passed over
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from scenelift.errors import InputError

__all__ = ["csv_rows", "plain_cell"]

SEPARATORS = ",;\t|"
# What a spreadsheet would run instead of show (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Row = tuple[int, Mapping[str, str] | InputError]


def csv_rows(text: str, columns: Sequence[str]) -> Iterator[Row]:
    """Line number and cells of every row, or what is wrong with it. Empty cells are left out.

    Args:
        text: of the whole file.
        columns: the names that there are; 'photo' must be among the header's.
    """
    offset, separators = 0, SEPARATORS
    if match := re.match(r'"?sep=(.)"?(?:\r\n|\r|\n)', text, re.IGNORECASE):
        offset, separators, text = 1, match[1], text[match.end() :]
    separator, header = max(
        ((s, _header(text, s)) for s in separators), key=lambda h: ("photo" in h[1], len(h[1]))
    )
    columns_with_names = [name for name in header if name and not name.startswith("unnamed:")]
    unknown = [name for name in columns_with_names if name not in columns]
    twice = sorted({name for name in columns_with_names if columns_with_names.count(name) > 1})
    if "photo" not in header or unknown or twice:
        complaint = ", ".join(map(repr, unknown)) or (
            f"{twice[0]!r} twice" if twice else "no column 'photo'"
        )
        yield 1, InputError(f"the header has {complaint}; columns are {', '.join(columns)}")
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in itertools.islice(reader, 1, None):
            yield from _row(cells, header, reader.line_num + offset)
    except csv.Error as exc:
        yield reader.line_num + offset, InputError(f"this is not CSV: {exc}")


def _header(text: str, separator: str) -> list[str]:
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        empty: list[str] = []
        return [_column(name) for name in next(reader, empty)]
    except csv.Error:
        return []


def _row(cells: list[str], header: list[str], line: int) -> Iterator[Row]:
    if not any(cell.strip() for cell in cells):
        return
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    nameless = [
        cell
        for place, (name, cell) in enumerate(zip(header, cells, strict=False))
        if not name and cell.strip() and not (place == 0 and cell.strip().isdecimal())
    ]
    if beyond:
        yield line, InputError("more fields than the header names")
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
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
        yield line, {n: c for n, c in row.items() if n and c and not n.startswith("unnamed:")}


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def plain_cell(value: object) -> object:
    """A cell that a spreadsheet shows and does not run: text that begins a formula gets a '."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value
