"""VGG Image Annotator 3's projects (https://gitlab.com/vgg/via, its CodeDoc)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_of_sides, round_polygon

__all__ = ["is_via3", "read_via3"]

# The first number of a shape says what the others are.
RECTANGLE, CIRCLE, ELLIPSE, POLYGON = 2, 3, 4, 7


def is_via3(document: Any) -> bool:
    """Whether a JSON document is a project of VIA 3."""
    return isinstance(document, dict) and all(
        isinstance(document.get(key), dict) for key in ("metadata", "file", "view", "attribute")
    )


def read_via3(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the shapes on this photo.

    Raises:
        InputError: there are several photos, and none is named as this one.
    """
    files = {
        view: document["file"][str(entry["fid_list"][0])]
        for view, entry in document["view"].items()
        if entry.get("fid_list")
    }
    view, file = entry_of_photo(
        list(files.items()), lambda entry: entry[1].get("fname"), path, canvas
    )
    notes = about(canvas, path, file.get("fname"), None)
    outlines: list[Outline] = []
    for entry in document["metadata"].values():
        if str(entry["vid"]) != view or not entry.get("xy"):
            continue
        label = _label(entry.get("av") or {}, document["attribute"])
        kind, *numbers = (float(v) for v in entry["xy"])
        if kind == RECTANGLE:
            box = canvas.box(box_of_sides(*numbers))
            outlines.append(Outline(label=label, box=box))
            continue
        if kind in (CIRCLE, ELLIPSE):
            x, y, rx, ry = (*numbers, numbers[-1])[:4]
            polygon = round_polygon(x, y, rx, ry)
        elif kind == POLYGON:
            polygon = numbers
        else:
            notes.append(f"{path.name}: a shape of kind {kind:g} encloses nothing: ignored.")
            continue
        mask = canvas.fitted(polygons_mask([np.array(polygon)], canvas.full), path.name)
        outlines.append(Outline(label=label, mask=mask))
    return outlines, notes


def _label(values: dict[str, Any], attributes: dict[str, Any]) -> str:
    """Return the value of a shape's first attribute; of a choice, its text."""
    for number, value in values.items():
        options = (attributes.get(number) or {}).get("options") or {}
        text = str(options.get(str(value), value)).strip()
        if text:
            return text
    return ""
