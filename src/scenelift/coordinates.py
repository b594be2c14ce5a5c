"""Boxes and points as people and programs write them → a label and plain numbers.

    40,60,220,300    mug=40,60,220,300    40 60 220 300    [40, 60, 220, 300]    40,5;60;220;300
    [[40, 60], [220, 300]]    {"box": [40, 60, 220, 300], "label": "mug"}
    {"xmin": 40, "ymin": 60, "xmax": 220, "ymax": 300}    {"x": 40, "y": 60, "width": 180, …}
    320,240    mug=320,240    {"point": [320, 240], "label": "mug", "positive": false}

Several come as a list of these, as an array [N, 4] or [N, 2], as a list in JSON, or with semicolons
between. Whether the numbers are pixels or parts of the photo is told when the photo is known
(`prompts.in_pixels`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from scenelift.errors import InputError
from scenelift.phrases import clean_phrase

__all__ = ["Mark", "boxes_of", "points_of"]

# Names of x0, y0, x1, y1 in objects of JSON.
CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
SIZES = (("x", "y", "width", "height"), ("left", "top", "width", "height"), ("x", "y", "w", "h"))
OTHERS = {"label", "name", "positive"}
KEYS = {
    4: OTHERS | {"box"} | {name for names in (*CORNERS, *SIZES) for name in names},
    2: OTHERS | {"point", "x", "y"},
}
EXPECTED = {
    4: "is not a box. Give x0,y0,x1,y1 in pixels, for example 40,60,220,300 or mug=40,60,220,300 "
    "(or all four as parts of the photo, within 0…1)",
    2: "is not a point. Give x,y in pixels, for example 120,80 or mug=120,80 (or both as parts of "
    "the photo, within 0…1)",
}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True, slots=True)
class Mark:
    """What one text, list or object says of a box or a point.

    Attributes:
        numbers: x0, y0, x1, y1 of a box, x, y of a point; finite.
        label: "" where it says none.
        positive: None where it does not say.
    """

    numbers: tuple[float, ...]
    label: str = ""
    positive: bool | None = None


def boxes_of(value: Any) -> list[Mark]:
    """The boxes of whatever says some.

    Raises:
        InputError: something in it is no box, or an empty one.
    """
    boxes = _marks_of(value, 4)
    for box in boxes:
        x0, y0, x1, y1 = box.numbers
        if not (x1 > x0 and y1 > y0):
            text = ",".join(f"{v:g}" for v in box.numbers)
            raise InputError(
                f"The box {text} is empty: x1 must exceed x0 and y1 must exceed y0 (of x, y, "
                "width and height, x1 is x + width)."
            )
    return boxes


def points_of(value: Any) -> list[Mark]:
    """The points of whatever says some.

    Raises:
        InputError: something in it is no point.
    """
    return _marks_of(value, 2)


def _marks_of(value: Any, count: int) -> list[Mark]:
    if hasattr(value, "tolist"):  # arrays, tensors, columns of pandas
        value = value.tolist()
    if isinstance(value, str):
        return _of_text(value, count)
    if isinstance(value, Mapping):
        return [_of_mapping(cast("Mapping[Any, Any]", value), count)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        entries = cast("Sequence[Any]", value)
        if len(entries) == count and all(_is_number(entry) for entry in entries):
            return [Mark(tuple(float(v) for v in entries))]
        if count == 4 and (corners := _two_corners(entries)) is not None:
            return [Mark(corners)]
        if not any(_is_number(entry) for entry in entries):
            return [mark for entry in entries for mark in _marks_of(entry, count)]
    raise _refused(value, count)


def _two_corners(entries: Sequence[Any]) -> tuple[float, ...] | None:
    """The corners of [[x0, y0], [x1, y1]]."""
    if len(entries) != 2 or any(isinstance(e, str | Mapping) for e in entries):
        return None
    try:
        flat = [v for corner in entries for v in corner]
    except TypeError:
        return None
    pairs = all(len(corner) == 2 for corner in entries)
    return tuple(float(v) for v in flat) if pairs and all(map(_is_number, flat)) else None


def _of_text(text: str, count: int) -> list[Mark]:
    stripped = text.strip()
    if stripped[:1] in ("[", "{") and stripped[-1:] in ("]", "}"):
        try:
            return _marks_of(json.loads(stripped.replace("'", '"')), count)
        except (ValueError, RecursionError):
            pass
    pieces = [piece for piece in re.split(r"[;\n]", stripped) if piece.strip()]
    # Of points, "1,2; 3,4" are two.
    lone = rf"(?:[^=]*=)?\s*[-+]?\d+(?:[{'.,' if count == 4 else '.'}]\d+)?\s*"
    if len(pieces) == count and all(re.fullmatch(lone, piece) for piece in pieces):
        # As where decimals have commas: 40,5; 60; 220; 300.
        label, _, first = pieces[0].rpartition("=")
        numbers = [n.strip().replace(",", ".") for n in (first, *pieces[1:])]
        return [Mark(tuple(map(float, numbers)), clean_phrase(label))]
    if not pieces:
        raise _refused(text, count)
    return [_of_one_text(piece, count) for piece in pieces]


def _of_one_text(text: str, count: int) -> Mark:
    label, _, numbers_text = text.rpartition("=")
    numbers_text = re.sub(r"[\[\](){}]", " ", numbers_text).strip()
    pieces = re.split(r"\s*,\s*|\s+", numbers_text)
    if len(pieces) != count or not all(re.fullmatch(NUMBER, piece) for piece in pieces):
        raise _refused(text, count)
    numbers = tuple(map(float, pieces))
    if not all(map(math.isfinite, numbers)):
        raise _refused(text, count)
    return Mark(numbers, clean_phrase(label))


def _of_mapping(entry: Mapping[Any, Any], count: int) -> Mark:
    """One object of JSON, by the names of its fields."""
    label = next((entry[k] for k in ("label", "name") if entry.get(k)), "")
    positive = entry.get("positive")
    if not isinstance(label, str) or not isinstance(positive, bool | None):
        raise _refused(entry, count)
    fields = {str(k).casefold(): v for k, v in entry.items()}
    if unknown := sorted(fields.keys() - KEYS[count]):
        raise InputError(
            f"{entry!r} has {unknown[0][:40]!r}, which no {'box' if count == 4 else 'point'} has. "
            f"Known: {', '.join(sorted(KEYS[count]))}."
        )
    numbers: Any = fields.get("box" if count == 4 else "point")
    for names in CORNERS if count == 4 else (("x", "y"),):
        if numbers is None and all(_is_number(fields.get(n)) for n in names):
            numbers = [fields[n] for n in names]
    for names in SIZES if count == 4 else ():
        if numbers is None and all(_is_number(fields.get(n)) for n in names):
            x, y, width, height = (fields[n] for n in names)
            numbers = [x, y, x + width, y + height]
    if numbers is None or isinstance(numbers, Mapping):
        raise _refused(entry, count)
    marks = _marks_of(numbers, count)
    if len(marks) != 1:
        raise _refused(entry, count)
    mark = marks[0]
    return Mark(mark.numbers, clean_phrase(label) or mark.label, positive)


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number, of Python or NumPy."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
    return number and math.isfinite(cast("float", value))


def _refused(value: Any, count: int) -> InputError:
    text = repr(value)
    if len(text) > 120:
        text = f"{text[:120]}…"
    return InputError(f"{text} {EXPECTED[count]}.")
