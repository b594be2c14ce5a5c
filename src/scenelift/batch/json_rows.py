"""Read the rows of a JSON manifest, in every form in which programs write tables.

{"photo": …} a line                        JSON lines, whatever the file is called
[{"photo": …}, …]                          a list of rows
{"photo": […], "prompt": […]}              columns
{"photo": {"0": …}, "prompt": {"0": …}}    columns with an index (pandas)
{"columns": […], "data": [[…], …]}         pandas' orient="split"
{"schema": …, "data": [{…}, …]}            orient="table"; any one name with a list of rows
{"photo": …}                               one row
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scenelift.batch.columns import known_names
from scenelift.errors import InputError
from scenelift.json_text import parse_json

__all__ = ["json_rows"]

Row = tuple[int, Mapping[str, Any] | InputError]


def json_rows(text: str) -> Iterator[Row]:
    """Yield the number and cells of every row, or its error; cells of null are left out."""
    # Not splitlines(): a phrase may hold U+2028, which JSON does not escape.
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_row(lines[0][1]):
        yield from ((n, _line(line)) for n, line in lines)
        return
    try:
        document: Any = parse_json(text) if lines else []
    except ValueError as exc:
        if len(lines) > 1 and not text.lstrip().startswith("["):
            yield from ((n, _line(line)) for n, line in lines)
        else:
            yield 1, InputError(f"this is not JSON: {exc}")
        return
    rows = _rows(document)
    if rows is None:
        yield (
            1,
            InputError(
                f"expected a list of JSON objects with 'photo', or one a line, got "
                f"{str(document)[:60]}"
            ),
        )
        return
    yield from ((n, _cells(row)) for n, row in enumerate(rows, 1))


def _is_row(line: str) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _line(line: str) -> Mapping[str, Any] | InputError:
    try:
        return _cells(parse_json(line))
    except ValueError as exc:
        return InputError(f"this is not JSON: {exc}")


def _cells(row: Any) -> Mapping[str, Any] | InputError:
    if not isinstance(row, dict):
        return InputError(f"expected a JSON object, got {str(row)[:40]}")
    return {k: v for k, v in cast("dict[str, Any]", row).items() if v is not None}


def _rows(document: Any) -> list[Any] | None:
    """Return the rows of a document, or None if it contains none."""
    if isinstance(document, list):
        return cast("list[Any]", document)
    if not isinstance(document, dict):
        return None
    table = _with_photo(cast("dict[str, Any]", document))
    photo, data = table.get("photo"), table.get("data")
    if isinstance(photo, list | dict):
        return _columns(table)
    if isinstance(photo, str):
        return [table]
    if isinstance(table.get("columns"), list) and isinstance(data, list):
        names = cast("list[Any]", table["columns"])
        rows = cast("list[Any]", data)
        return [
            dict(zip(map(str, names), cast("list[Any]", row), strict=False))
            if isinstance(row, list)
            else row
            for row in rows
        ]
    if table and all(isinstance(v, dict) and "photo" in v for v in table.values()):
        return list(table.values())
    schema = table.get("schema")
    if isinstance(schema, dict) and isinstance(data, list):
        index: Any = cast("dict[str, Any]", schema).get("primaryKey") or []
        rows = cast("list[Any]", data)
        return [_without(row, index) if isinstance(row, dict) else row for row in rows]
    lists = [cast("list[Any]", v) for v in table.values() if isinstance(v, list)]
    lists = [rows for rows in lists if rows and isinstance(rows[0], dict)]
    return lists[0] if len(lists) == 1 else None


def _with_photo(table: dict[str, Any]) -> dict[str, Any]:
    """Rename a row's or a table's columns to ours; return other documents as they are."""
    lists = [cast("list[Any]", v) for v in table.values() if isinstance(v, list)]
    if any(isinstance(e, dict) for values in lists for e in values):
        return table
    names = known_names(table)
    if len(set(names.values())) < len(names):
        return table  # which is refused where its names are read
    renamed = {names[name]: value for name, value in table.items()}
    return renamed if isinstance(renamed.get("photo"), str | list | dict) else table


def _without(row: Any, names: Any) -> dict[str, Any]:
    """Return a row without the columns of pandas' index."""
    cells = cast("dict[str, Any]", row)
    return {n: v for n, v in cells.items() if n == "photo" or n not in names}


def _columns(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Turn columns, which are lists or mappings from row names, into rows."""
    columns: dict[str, dict[Any, Any]] = {}
    for name, values in table.items():
        if isinstance(values, list):
            columns[name] = dict(enumerate(cast("list[Any]", values)))
        elif isinstance(values, dict):
            columns[name] = cast("dict[Any, Any]", values)
    keys = list(dict.fromkeys(key for values in columns.values() for key in values))
    return [{n: v[key] for n, v in columns.items() if key in v} for key in keys]
