"""Annotations as CSV: of VIA, of TensorFlow's object detection (Roboflow writes it too)."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_of_numbers
from scenelift.segment.given.via import read_via

__all__ = ["is_table", "read_table"]

VIA = {"filename", "region_shape_attributes", "region_attributes"}
CORNERS = ("xmin", "ymin", "xmax", "ymax")
TENSORFLOW = {"filename", "class", *CORNERS}


def is_table(file: Path) -> bool:
    """Whether a file begins with the names of either tool's columns."""
    if not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            line = stream.read(4096).decode("utf-8-sig", "replace").split("\n", 1)[0]
    except OSError:
        return False
    columns = {name.strip().strip('"').casefold() for name in line.split(",")}
    return columns >= VIA or columns >= TENSORFLOW


def read_table(text: str, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the rows of this photo.

    Raises:
        InputError: the columns are of neither tool, or no row is of this photo.
    """
    rows = [
        {(name or "").strip().casefold(): value or "" for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text), restval="", restkey="")
    ]
    columns = set(rows[0]) if rows else set()
    if columns >= VIA:
        return read_via(_via_document(rows), path, canvas)
    if columns >= TENSORFLOW:
        return _boxes(rows, path, canvas)
    raise InputError(
        f"{path.name} is no table of annotations: expected the columns of VIA "
        f"({', '.join(sorted(VIA))}) or {', '.join(('filename', 'class', *CORNERS))}. A table of "
        "photos for a batch goes to `scenelift batch`."
    )


def _via_document(rows: list[dict[str, str]]) -> dict[str, Any]:
    photos: dict[str, Any] = {}
    for row in rows:
        photo = photos.setdefault(row["filename"], {"filename": row["filename"], "regions": []})
        shape = json.loads(row["region_shape_attributes"] or "{}")
        if shape:
            attributes = json.loads(row["region_attributes"] or "{}")
            region = {"shape_attributes": shape, "region_attributes": attributes}
            photo["regions"].append(region)
    return photos


def _boxes(
    rows: list[dict[str, str]], path: Path, canvas: Canvas
) -> tuple[list[Outline], list[str]]:
    photos = list(dict.fromkeys(row["filename"] for row in rows))
    name = entry_of_photo(photos, lambda photo: photo, path, canvas)
    own = [row for row in rows if row["filename"] == name]
    width, height = own[0].get("width"), own[0].get("height")
    size = (int(float(height)), int(float(width))) if width and height else None
    boxes = [[float(row[side]) for side in CORNERS] for row in own]
    unit = canvas.unit([v for box in boxes for v in box])
    outlines = [
        Outline(
            label=row["class"].strip(),
            box=canvas.box(box_of_numbers(*(v * unit[n % 2] for n, v in enumerate(box)))),
        )
        for row, box in zip(own, boxes, strict=True)
    ]
    return outlines, about(canvas, path, name, size)
