"""V7 Darwin's JSON (https://docs.v7labs.com), versions 1 and 2: polygons and boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_of_sides

__all__ = ["is_darwin", "read_darwin"]


def is_darwin(document: Any) -> bool:
    """Whether a JSON document has the form of Darwin's annotations of one picture."""
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        return False
    return isinstance(document.get("item"), dict) or (
        isinstance(document.get("image"), dict)
        and any(isinstance(e, dict) and "polygon" in e for e in document["annotations"])
    )


def read_darwin(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the annotations of one picture, and notes on those ignored."""
    item = document.get("item") or {}
    image = document.get("image") or next(iter(item.get("slots") or []), {})
    sides = (image.get("height"), image.get("width"))
    size = (int(sides[0]), int(sides[1])) if sides[0] and sides[1] else None
    notes = about(canvas, path, item.get("name") or image.get("filename"), size)
    outlines: list[Outline] = []
    for number, entry in enumerate(document["annotations"]):
        label, polygon = str(entry.get("name") or ""), entry.get("polygon")
        if polygon:
            paths = polygon.get("paths") or [polygon["path"]]
            mask = np.zeros(canvas.full, np.bool_)
            for corners in paths:  # one inside another is a hole
                mask ^= polygons_mask([[v for p in corners for v in (p["x"], p["y"])]], canvas.full)
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
        elif box := entry.get("bounding_box"):
            corners = box_of_sides(*(float(box[k]) for k in ("x", "y", "w", "h")))
            outlines.append(Outline(label=label, box=canvas.box(corners)))
        else:
            notes.append(f"{path.name}: annotation {number} is no polygon and no box: ignored.")
    return outlines, notes
