"""YOLO's text (https://docs.ultralytics.com/datasets): a line an object, in parts of the photo.

`class cx cy width height` is a box, `class x y x y x y …` a polygon; one more number is the score.
`classes.txt`, `obj.names` or `data.yaml`, beside it or above, name the classes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.regular import check_regular
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, box_about

__all__ = ["CLASS_FILES", "NO_NAMES", "class_names", "is_yolo", "read_yolo"]

CLASS_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
NO_NAMES = "there is no classes.txt or data.yaml beside it that names its classes."


def is_yolo(file: Path) -> bool:
    """Whether a text file begins with a line of numbers."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            first = stream.read(4096).lstrip().split(b"\n", 1)[0]
        return len([float(v) for v in first.split()]) >= 5
    except (OSError, ValueError):
        return False


def read_yolo(text: str, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of one photo's lines.

    Raises:
        InputError: a line is none of the forms.
    """
    names = class_names(path.parent)
    notes = [] if names else [f"{path.name}: {NO_NAMES}"]
    rows = _rows(text, path)
    if _are_tracked([values for _, _, values in rows]):
        rows = [(number, kind, values[:-1]) for number, kind, values in rows]
    if _are_key_points([values for _, _, values in rows], _key_point_shape(path.parent)):
        rows = [(number, kind, values[:4]) for number, kind, values in rows]
        notes.append(f"{path.name}: lines of a box and key points were read; the boxes were used.")
    outlines: list[Outline] = []
    for number, kind, values in rows:
        if min(values) < -0.02 or max(values) > 1.02:
            raise InputError(
                f"{path.name}: line {number} has {max(values, key=abs):g}, which is no part of the "
                "photo: YOLO's numbers lie within 0…1. Divide by the photo's width and height."
            )
        outlines.append(_outline(number, names.get(kind, ""), values, path, canvas))
    return outlines, notes


def _rows(text: str, path: Path) -> list[tuple[int, int, list[float]]]:
    """Read number, class and values of each line."""
    rows: list[tuple[int, int, list[float]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, *values = (float(v) for v in line.split())
        except ValueError:
            kind, values = -1.0, []
        if kind < 0 or kind != int(kind) or len(values) < 4 or not np.isfinite(values).all():
            raise InputError(
                f"{path.name}: line {number} is {line.strip()[:60]!r}; of YOLO's text, 'class cx "
                "cy width height' or 'class x y x y x y …' in parts of the photo was expected."
            )
        rows.append((number, int(kind), values))
    return rows


def _outline(number: int, label: str, values: list[float], path: Path, canvas: Canvas) -> Outline:
    height, width = canvas.full
    # `save_conf` of Ultralytics ends the line with the score.
    *values, score = values if len(values) % 2 else [*values, 1.0]
    if len(values) == 4:
        box = box_about(*(v * s for v, s in zip(values, (width, height) * 2, strict=True)))
        return Outline(label=label, score=score, box=canvas.box(box))
    corners = np.array(values).reshape(-1, 2) * (width, height)
    try:
        mask = polygons_mask([corners.ravel()], canvas.full)
    except ValueError as exc:
        raise InputError(f"{path.name}: line {number} is no polygon: {exc}.") from exc
    return Outline(label=label, score=score, mask=canvas.fitted(mask, path.name))


def _are_tracked(rows: Sequence[Sequence[float]]) -> bool:
    """Tell whether every line ends with the number of a track: whole, and some beyond any part."""
    last = [values[-1] for values in rows]
    return (
        all(v == int(v) and v >= 0 for v in last)
        and max(last, default=0) > 1.02
        and all(len(values) > 4 and max(values[:-1]) <= 1.02 for values in rows)
    )


def _are_key_points(rows: Sequence[Sequence[float]], shape: tuple[int, int] | None) -> bool:
    """Tell whether lines are boxes with key points, by `data.yaml` or by what they hold.

    Without it, all lines must have as many numbers, and boxes in front that hold every point.
    """
    lengths = {len(values) for values in rows}
    if shape is not None:
        return lengths <= {4 + shape[0] * shape[1], 5 + shape[0] * shape[1]} and bool(rows)
    if len(lengths) != 1:
        return False
    (length,) = lengths
    if len(rows) == 1 and length not in (4 + 2 * 17, 4 + 3 * 17):  # of a person, as in COCO
        return False
    return any(
        length >= 4 + 3 * step
        and (length - 4) % step == 0
        and all(_holds_points(np.array(values), step) for values in rows)
        for step in (3, 2)
    )


def _holds_points(values: NDArray[np.float64], step: int) -> bool:
    """Tell whether a box is followed by points in it, and with a step of 3 by their visibility."""
    points = values[4:].reshape(-1, step)
    visible = points[(points[:, :2] > 0).any(1)]
    half = values[2:4] / 2 + 0.02
    inside = (abs(visible[:, :2] - values[:2]) <= half).all()
    return bool(inside) and (step == 2 or bool(np.isin(points[:, 2], (0, 1, 2)).all()))


def _key_point_shape(folder: Path) -> tuple[int, int] | None:
    """Read `kpt_shape: [17, 3]` of a `data.yaml` beside the file or above."""
    for text in _yamls(folder):
        if match := re.search(r"^kpt_shape:\s*\[\s*(\d+)\s*,\s*([23])\s*\]", text, re.MULTILINE):
            return int(match[1]), int(match[2])
    return None


def _yamls(folder: Path) -> Iterator[str]:
    for place in (folder, folder.parent, folder.parent.parent):
        for name in CLASS_FILES:
            if name.endswith(".yaml") and (text := _short_text(place / name)) is not None:
                yield text


def _short_text(file: Path) -> str | None:
    """Read a file of names; None where there is none, or none that can be one."""
    try:
        check_regular(file)
        return file.read_text("utf-8-sig") if file.stat().st_size < 2**20 else ""
    except (OSError, UnicodeDecodeError):
        return None


def class_names(folder: Path) -> dict[int, str]:
    """Read class names by number, from the files that tools write beside labels."""
    for place in (folder, folder.parent, folder.parent.parent):
        for name in CLASS_FILES:
            file = place / name
            text = _short_text(file)
            if text is None:
                continue
            if file.suffix != ".yaml":
                return {k: line.strip() for k, line in enumerate(text.splitlines()) if line.strip()}
            # "names: [cup, spoon]", or a line each, "0: cup" or "- cup"; no YAML reader is needed.
            if flat := re.search(r"^names:\s*\[(.*?)\]", text, re.MULTILINE | re.DOTALL):
                return {k: n.strip().strip("'\"") for k, n in enumerate(flat[1].split(","))}
            if names := re.search(r"^names:\s*\n((?:[ \t]*(?:-|\d+:).*\n?)+)", text, re.MULTILINE):
                rows = re.findall(r"^[ \t]*(?:-|\d+:)[ \t]*(.+?)[ \t]*$", names[1], re.MULTILINE)
                return {k: row.strip("'\"") for k, row in enumerate(rows)}
    return {}
