"""Read boxes and points as people and programs write them, as a label and plain numbers.

    40,60,220,300    mug=40,60,220,300    40 60 220 300    [40, 60, 220, 300]    40,5;60;220;300
    [[40, 60], [220, 300]]    {"box": [40, 60, 220, 300], "label": "mug"}
    {"xmin": 40, "ymin": 60, "xmax": 220, "ymax": 300}    {"x": 40, "y": 60, "width": 180, …}
    {"cx": 130, "cy": 180, "w": 180, "h": 240}    x1=40, y1=60, x2=220, y2=300    180x240+40+60
    {"box_2d": [60, 40, 300, 220]}    12%,25%,70%,90%    40px, 60px, 220px, 300px
    320,240    mug=320,240    {"point": [320, 240], "label": "mug", "positive": false}
    {"point": [320, 240], "label": 0}    {"point_coords": [[320, 240]], "point_labels": [1]}

Several come as a list of these, as an array [N, 4] or [N, 2], as a list in JSON, or with semicolons
between. Whether the numbers are pixels or parts of the photo is told when the photo is known
(`prompts.in_pixels`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from scenelift.errors import InputError
from scenelift.json_text import NameTwiceError, parse_json
from scenelift.phrases import clean_phrase

__all__ = ["SIDES", "Mark", "boxes_of", "may_be_thousands", "points_of"]

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
CENTRES = (
    ("cx", "cy", "w", "h"),
    ("cx", "cy", "width", "height"),
    ("x_center", "y_center", "width", "height"),
    ("x_centre", "y_centre", "width", "height"),
    ("xc", "yc", "w", "h"),
)
SIDES = (*CORNERS, *SIZES, *CENTRES)
SIDE_NAMES = {name for names in SIDES for name in names}
OTHERS = {"label", "name", "positive"}
KEYS = {
    4: OTHERS | {"box", "box_2d"} | SIDE_NAMES,
    2: OTHERS | {"point", "x", "y"},
}
# Names of boxes whose numbers mean one thing to one tool and another to the next.
DOUBTFUL = {
    "bbox": "is x, y, width and height in COCO and two corners elsewhere",
    "bbox_2d": "is in pixels of one model's own picture, or in 0…1000 of the next model",
}
EXPECTED = {
    4: "is not a box. Give x0,y0,x1,y1 in pixels, for example 40,60,220,300 or mug=40,60,220,300 "
    "(or all four as parts of the photo, within 0…1)",
    2: "is not a point. Give x,y in pixels, for example 120,80 or mug=120,80 (or both as parts of "
    "the photo, within 0…1)",
}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
DECIMAL_COMMA = r"[-+]?\d+,\d+"
# Of East Asian and Arabic keyboards.
SIGNS = str.maketrans("，、،；؛＝％", ",,,;;=%")
LARGEST = 100_000  # pixels of a side; what exceeds it is no number with a separator of thousands


@dataclass(frozen=True, slots=True)
class Mark:
    """What one text, list or object says about a box or a point.

    Attributes:
        numbers: x0, y0, x1, y1 of a box, x, y of a point; finite.
        label: "" where it says none.
        positive: None where it does not say.
    """

    numbers: tuple[float, ...]
    label: str = ""
    positive: bool | None = None


def boxes_of(value: Any) -> list[Mark]:
    """Read boxes from text, lists or objects.

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
    """Read points from text, lists or objects.

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
        fields = cast("Mapping[Any, Any]", value)
        if count == 2 and "point_coords" in fields:
            return _signed_points(fields)
        return [_of_mapping(fields, count)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        entries = cast("Sequence[Any]", value)
        if len(entries) == count and all(_is_number(entry) for entry in entries):
            return [Mark(tuple(float(v) for v in entries))]
        if count == 4 and (corners := _corners(entries)) is not None:
            return [Mark(corners)]
        if not any(_is_number(entry) for entry in entries):
            return [mark for entry in entries for mark in _marks_of(entry, count)]
    raise _refused(value, count)


def _corners(entries: Sequence[Any]) -> tuple[float, ...] | None:
    """Read x0, y0, x1, y1 from two corners, or from a rectangle's four corners in order."""
    if len(entries) not in (2, 4) or any(isinstance(e, str | Mapping) for e in entries):
        return None
    try:
        flat = [v for corner in entries for v in corner]
    except TypeError:
        return None
    if not (all(len(corner) == 2 for corner in entries) and all(map(_is_number, flat))):
        return None
    numbers = tuple(float(v) for v in flat)
    if len(entries) == 2:
        return numbers
    rectangle = _rectangle(numbers)
    if rectangle is None:
        raise InputError(
            f"{list(entries)!r} is an outline, not a box: its sides are not upright. Give "
            "x0,y0,x1,y1 around it, or the outline as a mask (docs/segment-models.md)."
        )
    return rectangle


def _rectangle(numbers: Sequence[float]) -> tuple[float, ...] | None:
    """Read x0, y0, x1, y1 from four corners in order; None if the sides are not upright."""
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    sides = zip(points, points[1:] + points[:1], strict=True)
    turns = [(a[0] == b[0], a[1] == b[1]) for a, b in sides]
    upright = turns in ([(True, False), (False, True)] * 2, [(False, True), (True, False)] * 2)
    xs, ys = numbers[::2], numbers[1::2]
    return (min(xs), min(ys), max(xs), max(ys)) if upright else None


def _of_text(text: str, count: int) -> list[Mark]:
    stripped = text.strip()
    if stripped[:1] in ("[", "{") and stripped[-1:] in ("]", "}"):
        try:
            return _marks_of(parse_json(stripped.replace("'", '"')), count)
        except NameTwiceError as exc:
            raise InputError(f"{text.strip()[:60]!r} is unclear: {exc}.") from exc
        except (ValueError, RecursionError):
            pass
    stripped = stripped.translate(SIGNS)
    if (named := _named_numbers(stripped)) is not None:
        return [_of_mapping(named, count)]
    pieces = [piece for piece in re.split(r"[;\n]", stripped) if piece.strip()]
    # Of points, "1,2; 3,4" are two.
    lone = rf"(?:[^=]*=)?\s*[-+]?\d+(?:[{'.,' if count == 4 else '.'}]\d+)?\s*(?:px|%)?\s*"
    if len(pieces) == count and all(re.fullmatch(lone, piece) for piece in pieces):
        # As where decimals have commas: 40,5; 60; 220; 300.
        label, _, first = pieces[0].rpartition("=")
        numbers = [n.strip().replace(",", ".") for n in (first, *pieces[1:])]
        return [Mark(_numbers(numbers, text, count), clean_phrase(label))]
    if not pieces:
        raise _refused(text, count)
    return [_of_one_text(piece, count) for piece in pieces]


def _named_numbers(text: str) -> dict[str, float] | None:
    """Read fields such as "x1=40, y1=60, x2=220, y2=300" or with colons; None for other text."""
    text = re.sub(r"\s*([=:,;])\s*", r"\1", " ".join(text.split())).rstrip(",;")
    field = rf"([A-Za-z_]\w*)[=:]({NUMBER})(?: ?px)?"
    if not re.fullmatch(rf"{field}(?:[,; ]{field})+", text):
        return None
    fields = {name.casefold(): float(number) for name, number in re.findall(field, text)}
    return fields if fields.keys() <= SIDE_NAMES else None


def _of_one_text(text: str, count: int) -> Mark:
    label, _, numbers_text = text.rpartition("=")
    if not label and (match := re.fullmatch(r"\s*([^\W\d_][^:=]*):(.+)", text)):
        label, numbers_text = match.groups()  # mug: 40,60,220,300
    numbers_text = " ".join(re.sub(r"[\[\](){}]", " ", numbers_text).split()).strip(" ,")
    if count == 4 and (match := re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", numbers_text)):
        width, height, x, y = map(float, match.groups())  # ImageMagick's geometry
        return Mark((x, y, x + width, y + height), clean_phrase(label))
    by_blanks = numbers_text.split()
    if len(by_blanks) == 4 == count and all(re.fullmatch(DECIMAL_COMMA, n) for n in by_blanks):
        return Mark(_four_pairs(by_blanks, text), clean_phrase(label))
    pieces = re.split(r" ?, ?| (?!px\b|%)", numbers_text)
    return Mark(_numbers(pieces, text, count), clean_phrase(label))


def _four_pairs(pieces: Sequence[str], text: str) -> tuple[float, ...]:
    """Read four pairs, "0,1 0,1 0,9 0,9": decimal numbers, or x and y of four corners."""
    x0, y0, x1, y1 = decimal = tuple(float(n.replace(",", ".")) for n in pieces)
    corners = _rectangle([float(v) for n in pieces for v in n.split(",")])
    if corners is not None and x1 > x0 and y1 > y0:
        raise InputError(
            f"{text.strip()!r} can mean four corners, or four numbers with decimal commas. Give "
            "x0,y0,x1,y1 with decimal points, or with semicolons between the numbers."
        )
    return decimal if corners is None else corners


def _numbers(pieces: Sequence[str], text: str, count: int) -> tuple[float, ...]:
    """Read numbers of a box or point; each may be followed by px, or all of them by %."""
    matches = [re.fullmatch(rf"({NUMBER})\s*(px|%)?", piece.strip()) for piece in pieces]
    plain = [match[1] for match in matches if match]
    units = {match[2] for match in matches if match}
    numbers = tuple(map(float, plain))
    if not (len(pieces) == len(plain) == count and all(map(math.isfinite, numbers))):
        raise _refused(text, count)
    if "%" in units:
        if units != {"%"}:
            raise InputError(f"{text.strip()!r} mixes % and pixels. Give all of them in one.")
        # Of a point, 1,1 would be pixels (`prompts.are_parts`).
        most = math.nextafter(1, 0) if count == 2 else 1.0
        return tuple(most if n == 100 else n / 100 for n in numbers)
    if may_be_thousands(plain):
        whole = ",".join(n.replace(".", "") for n in plain)
        exact = ",".join(map(repr, numbers))
        raise InputError(
            f"{text.strip()!r} can mean thousands ({whole}) or fractions ({exact}). Write one of "
            "these."
        )
    return numbers


def may_be_thousands(numbers: Sequence[str]) -> bool:
    """Return whether points in numbers of a box or point can be thousands separators.

    They cannot where every number has one, as programs write fractions, or where no box is left
    without them.
    """
    separated = [re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", n) is not None for n in numbers]
    if not any(separated) or not all(
        s or n.isdecimal() for s, n in zip(separated, numbers, strict=True)
    ):
        return False
    whole = [int(n.replace(".", "")) for n in numbers]
    if all(separated) or max(whole) >= LARGEST:
        return False
    return len(whole) == 2 or (whole[2] > whole[0] and whole[3] > whole[1])


def _of_mapping(entry: Mapping[Any, Any], count: int) -> Mark:
    """Read one JSON object by the names of its fields."""
    fields = {re.sub(r"[\s-]", "_", str(k).strip().casefold()): v for k, v in entry.items()}
    label, positive = _label_of(entry, fields, count)
    for name, doubt in DOUBTFUL.items() if count == 4 else ():
        if name in fields:
            raise InputError(
                f"{name!r} in {_shown(entry)} {doubt}. Give 'box': [x0, y0, x1, y1], or 'x', 'y', "
                "'width' and 'height', in pixels of the photo."
            )
    if unknown := sorted(fields.keys() - KEYS[count]):
        raise InputError(
            f"{_shown(entry)} has {unknown[0][:40]!r}, which no {'box' if count == 4 else 'point'} "
            f"has. Known: {', '.join(sorted(KEYS[count]))}."
        )
    numbers: Any = fields.get("box" if count == 4 else "point")
    if numbers is None:
        numbers = _of_sides(fields) if count == 4 else _of_names(fields, (("x", "y"),))
    if numbers is None and "box_2d" in fields and count == 4:
        numbers = _of_thousandths(fields["box_2d"], entry)
    if numbers is None or isinstance(numbers, Mapping):
        raise _refused(entry, count)
    marks = _marks_of(numbers, count)
    if len(marks) != 1:
        raise _refused(entry, count)
    mark = marks[0]
    return Mark(mark.numbers, clean_phrase(label) or mark.label, positive)


def _of_sides(fields: Mapping[str, Any]) -> list[float] | None:
    """Read x0, y0, x1, y1 from corners, from a corner and sides, or from the middle and sides."""
    if corners := _of_names(fields, CORNERS):
        return corners
    if sides := _of_names(fields, SIZES):
        x, y, width, height = sides
        return [x, y, x + width, y + height]
    if sides := _of_names(fields, CENTRES):
        x, y, width, height = sides
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return None


def _of_names(fields: Mapping[str, Any], choices: Sequence[tuple[str, ...]]) -> list[float] | None:
    """Read the numbers of the first names that are all there; None where there are none."""
    for names in choices:
        if all(_is_number(fields.get(name)) for name in names):
            return [fields[name] for name in names]
    return None


def _label_of(
    entry: Mapping[Any, Any], fields: Mapping[str, Any], count: int
) -> tuple[str, bool | None]:
    """Read the label of a JSON object, and whether the object is wanted or excluded.

    A point's `label` may be 1 or 0, as Segment Anything writes that it is on the object or not.
    """
    label, name, positive = fields.get("label"), fields.get("name"), fields.get("positive")
    if isinstance(positive, int) and positive in (0, 1):
        positive = bool(positive)
    if not isinstance(positive, bool | None):
        raise InputError(f"'positive' in {_shown(entry)} is {positive!r}; give true or false.")
    if label in ("0", "1") and count == 2:
        label = int(label)
    if label is not None and not isinstance(label, str):
        sign = bool(label) if count == 2 and _is_sign(label) else None
        if sign is None:
            expected = "1 (on the object), 0 (not on it) or a text" if count == 2 else "a text"
            raise InputError(
                f"'label' in {_shown(entry)} is {label!r}; give {expected}. What is not meant has "
                "'positive': false."
            )
        if positive not in (None, sign):
            raise InputError(
                f"{_shown(entry)} contradicts itself: 'label' {label} means that it is "
                f"{'' if sign else 'not '}on the object, 'positive' the opposite. Give one of them."
            )
        label, positive = None, sign
    words = label or name or ""
    if not isinstance(words, str):
        raise InputError(f"'name' in {_shown(entry)} is {words!r}; give a text.")
    return words, positive


def _of_thousandths(numbers: Any, entry: Mapping[Any, Any]) -> list[float]:
    """Convert Gemini's `box_2d` (ymin, xmin, ymax, xmax in thousandths) to parts of the photo."""
    (mark,) = marks if len(marks := _marks_of(numbers, 4)) == 1 else (None,)
    if mark is None or not all(0 <= n <= 1000 for n in mark.numbers):
        raise InputError(
            f"'box_2d' in {_shown(entry)} is not [ymin, xmin, ymax, xmax] in 0…1000. Give 'box': "
            "[x0, y0, x1, y1] in pixels of the photo."
        )
    y0, x0, y1, x1 = mark.numbers
    return [x0 / 1000, y0 / 1000, x1 / 1000, y1 / 1000]


def _signed_points(fields: Mapping[Any, Any]) -> list[Mark]:
    """Read the points of Segment Anything's `point_coords` and `point_labels`."""
    coords = fields.get("point_coords")
    signs: Any = fields.get("point_labels", [])
    labels: list[Any] = list(np.ravel(np.array(signs, object)))
    marks = _marks_of(coords, 2)
    if unknown := sorted(set(fields) - {"point_coords", "point_labels"}):
        raise InputError(f"Points with 'point_coords' have no {unknown[0]!r}.")
    if labels and (len(labels) != len(marks) or not all(map(_is_sign, labels))):
        raise InputError(
            f"'point_labels' is {labels!r} for {len(marks)} points; give 1 (on the object) or 0 "
            "(not on it) for each."
        )
    return [
        Mark(mark.numbers, mark.label, bool(sign))
        for mark, sign in zip(marks, labels or [1] * len(marks), strict=True)
    ]


def _is_sign(value: Any) -> bool:
    """Return whether a value is 0 or 1 (or False or True)."""
    return isinstance(value, int | float | np.number | np.bool_) and value in (0, 1)


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number, of Python or NumPy."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
    return number and math.isfinite(cast("float", value))


def _refused(value: Any, count: int) -> InputError:
    return InputError(f"{_shown(value)} {EXPECTED[count]}.")


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text[:120]}…" if len(text) > 120 else text
