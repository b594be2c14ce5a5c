"""BDD100K's JSON (https://doc.bdd100k.com/format.html), which Scalabel writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import coco_mask, polygons_mask
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_of_numbers, score_of

__all__ = ["is_bdd100k", "read_bdd100k"]

STEPS = 16  # of a curve between two vertices


def is_bdd100k(document: Any) -> bool:
    """Whether a JSON document is a list of Scalabel's frames, or one of them."""
    return bool(_frames(document))


def read_bdd100k(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the labels of one frame; lanes and drivable areas are no objects.

    Raises:
        InputError: there are several frames, and none is named as the photo.
    """
    frame = entry_of_photo(_frames(document), lambda f: f.get("name"), path, canvas)
    notes = about(canvas, path, frame.get("name"), None)
    outlines: list[Outline] = []
    for number, entry in enumerate(_labels(frame)):
        label, score = str(entry.get("category") or ""), score_of(entry)
        polygons = _polygons(entry.get("poly2d"))
        if label.startswith(("lane", "area/", "drivable")):
            notes.append(f"{path.name}: label {number} ({label}) is no object: ignored.")
        elif entry.get("rle"):
            mask = canvas.fitted(coco_mask(entry["rle"], canvas), path.name)
            outlines.append(Outline(label=label, score=score, mask=mask))
        elif polygons:
            mask = canvas.fitted(polygons_mask(polygons, canvas.full), path.name)
            outlines.append(Outline(label=label, score=score, mask=mask))
        elif box := entry.get("box2d"):
            corners = box_of_numbers(*(float(box[side]) for side in ("x1", "y1", "x2", "y2")))
            outlines.append(Outline(label=label, score=score, box=canvas.box(corners)))
        else:
            notes.append(f"{path.name}: label {number} ({label}) encloses nothing: ignored.")
    return outlines, notes


def _frames(document: Any) -> list[dict[str, Any]]:
    """List the frames of the newest form, of one with `frames`, or of the first, a file a frame."""
    value: Any = document
    if isinstance(document, dict):
        is_frame = "labels" in document or _objects(document) is not None
        value = [document] if is_frame else document.get("frames")
    entries: list[Any] = value if isinstance(value, list) else []
    if not all(isinstance(e, dict) and ("name" in e or "url" in e) for e in entries):
        return []
    labels = [entry for frame in entries for entry in _labels(frame)]
    shapes = ("box2d", "poly2d", "rle")
    has_some = any(isinstance(e, dict) and any(k in e for k in shapes) for e in labels)
    return entries if has_some else []


def _labels(frame: dict[str, Any]) -> list[Any]:
    labels = frame.get("labels") or _objects(frame)
    return labels if isinstance(labels, list) else []


def _objects(frame: dict[str, Any]) -> Any:
    """Return the labels of a file of the first form, which keeps them as objects of a moment."""
    moments = frame.get("frames")
    first = moments[0] if isinstance(moments, list) and len(moments) == 1 else None
    return first.get("objects") if isinstance(first, dict) else None


def _polygons(shapes: Any) -> list[NDArray[np.float64]]:
    """List outlines as corners x, y, x, y …; lines that do not close are none."""
    if not isinstance(shapes, list) or not shapes:
        return []
    if not isinstance(shapes[0], dict):  # [[x, y, "L"], …] of the first form
        points = shapes
        shapes = [{"vertices": [p[:2] for p in points], "types": "".join(p[2] for p in points)}]
    return [
        _corners(np.array(shape["vertices"], np.float64), str(shape.get("types") or ""))
        for shape in shapes
        if shape.get("closed", True)
    ]


def _corners(vertices: NDArray[np.float64], types: str) -> NDArray[np.float64]:
    """Draw cubic curves, whose two control points are C, as short lines."""
    corners: list[NDArray[np.float64]] = []
    k = 0
    while k < len(vertices):
        if types[k : k + 2] == "CC" and corners:
            a, b, c = corners[-1], vertices[k], vertices[k + 1]
            d = vertices[(k + 2) % len(vertices)]
            for t in np.arange(1, STEPS) / STEPS:
                s = 1 - t
                corners.append(s**3 * a + 3 * s * s * t * b + 3 * s * t * t * c + t**3 * d)
            k += 2
        else:
            corners.append(vertices[k])
            k += 1
    return np.array(corners).ravel()
