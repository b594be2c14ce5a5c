"""YOLO's text (https://docs.ultralytics.com/datasets): a line an object, in parts of the photo.

`class cx cy width height` is a box, `class x y x y x y …` a polygon; a sixth number after a box is
its score. `classes.txt`, `obj.names` or `data.yaml`, beside it or above, name the classes.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scenelift.errors import InputError
from scenelift.io.regular import check_regular
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, box_of_numbers

__all__ = ["CLASS_FILES", "is_yolo", "read_yolo"]

CLASS_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")


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
    height, width = canvas.full
    outlines: list[Outline] = []
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
        if min(values) < -0.02 or max(values) > 1.02:
            raise InputError(
                f"{path.name}: line {number} has {max(values, key=abs):g}, which is no part of the "
                "photo: YOLO's numbers lie within 0…1. Divide by the photo's width and height."
            )
        label = names.get(int(kind), "")
        if len(values) <= 5:
            cx, cy, w, h = (v * s for v, s in zip(values, (width, height) * 2, strict=False))
            box = box_of_numbers(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
            score = values[4] if len(values) == 5 else 1.0
            outlines.append(Outline(label=label, score=score, box=canvas.box(box)))
        else:
            try:
                corners = np.array(values).reshape(-1, 2) * (width, height)
                mask = polygons_mask([corners.ravel()], canvas.full)
            except ValueError as exc:
                raise InputError(f"{path.name}: line {number} is no polygon: {exc}.") from exc
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
    return outlines, [] if names else [
        f"{path.name}: there is no classes.txt or data.yaml beside it that names its classes."
    ]


def class_names(folder: Path) -> dict[int, str]:
    """Read class names by number, from the files that tools write beside labels."""
    for place in (folder, folder.parent, folder.parent.parent):
        for name in CLASS_FILES:
            file = place / name
            try:
                check_regular(file)
                text = file.read_text("utf-8-sig") if file.stat().st_size < 2**20 else ""
            except (OSError, UnicodeDecodeError):
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
