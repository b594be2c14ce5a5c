"""Reads JSON that people write: a name that stands twice is refused, errors in plain words."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["NameTwiceError", "each_name_once", "parse_json"]

# What Python's reader says, and what it means.
WORDS = {
    "Expecting value": "a value is missing or is no JSON",
    "Expecting property name": 'a name in "double quotes" is missing',
    "Expecting ':'": "a colon is missing",
    "Expecting ','": "a comma or the closing bracket is missing",
    "Extra data": "something follows after its end",
    "Unterminated string": "a text is not closed by a quote",
    "Invalid control character": "a text holds a line break or a control character",
    "Invalid \\": "a text holds a backslash that stands for nothing",
    "Illegal trailing comma": "a comma stands before a closing bracket",
}


class NameTwiceError(ValueError):
    """An object has a name twice, and it is unclear which value is meant."""


def parse_json(text: str | bytes) -> Any:
    """Parse a document.

    Raises:
        NameTwiceError: an object has a name twice, of which Python would take the last.
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=each_name_once)
    except json.JSONDecodeError as exc:
        words = next((w for start, w in WORDS.items() if exc.msg.startswith(start)), exc.msg)
        raise ValueError(f"{words} (line {exc.lineno}, column {exc.colno})") from exc
    except UnicodeDecodeError as exc:
        raise ValueError("it is not UTF-8") from exc
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


def each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dictionary of an object's fields, for `object_pairs_hook`.

    Raises:
        NameTwiceError: a name stands twice.
    """
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NameTwiceError(f"an object has the name {twice[:60]!r} twice")
    return fields
