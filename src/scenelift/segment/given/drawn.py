"""Polygons and boxes of tools whose files differ in little more than names.

VoTT (https://github.com/microsoft/VoTT), SuperAnnotate (https://doc.superannotate.com) and Create
ML (https://developer.apple.com/documentation/createml).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_about, box_of_numbers, box_of_sides

__all__ = [
    "is_create_ml",
    "is_superannotate",
    "is_vott",
    "read_create_ml",
    "read_superannotate",
    "read_vott",
]


def is_vott(document: Any) -> bool:
    """Whether a JSON document is VoTT's: one picture's, or a project that was exported."""
    return bool(_vott_assets(document))


def read_vott(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the regions of one picture: rectangles and polygons.

    Raises:
        InputError: there are several pictures, and none is named as the photo.
    """
    entry = entry_of_photo(_vott_assets(document), lambda e: e["asset"].get("name"), path, canvas)
    sides = entry["asset"].get("size") or {}
    size = (int(sides["height"]), int(sides["width"])) if sides else None
    notes = about(canvas, path, entry["asset"].get("name"), size)
    outlines: list[Outline] = []
    for region in entry["regions"]:
        label = str((region.get("tags") or [""])[0])
        if region.get("type") == "POLYGON":
            polygon = [float(v) for point in region["points"] for v in (point["x"], point["y"])]
            mask = canvas.fitted(polygons_mask([polygon], canvas.full), path.name)
            outlines.append(Outline(label=label, mask=mask))
        else:
            sides = region["boundingBox"]
            box = box_of_sides(*(float(sides[k]) for k in ("left", "top", "width", "height")))
            outlines.append(Outline(label=label, box=canvas.box(box)))
    return outlines, notes


def _vott_assets(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        return []
    assets = document.get("assets")
    entries = list(assets.values()) if isinstance(assets, dict) else [document]
    fits = all(
        isinstance(e, dict) and isinstance(e.get("asset"), dict) and "regions" in e for e in entries
    )
    return entries if fits else []


def is_superannotate(document: Any) -> bool:
    """Whether a JSON document is SuperAnnotate's of one picture."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("metadata"), dict)
        and isinstance(document.get("instances"), list)
    )


def read_superannotate(
    document: Any, path: Path, canvas: Canvas
) -> tuple[list[Outline], list[str]]:
    """Read polygons, with their holes, and boxes."""
    about_photo = document["metadata"]
    width, height = about_photo.get("width"), about_photo.get("height")
    size = (int(height), int(width)) if width and height else None
    notes = about(canvas, path, about_photo.get("name"), size)
    outlines: list[Outline] = []
    for number, entry in enumerate(document["instances"]):
        label, kind = str(entry.get("className") or ""), entry.get("type")
        if kind == "polygon":
            mask = polygons_mask([entry["points"]], canvas.full)
            for hole in entry.get("exclude") or []:
                mask &= ~polygons_mask([hole], canvas.full)
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
        elif kind == "bbox":
            box = box_of_numbers(*(float(entry["points"][k]) for k in ("x1", "y1", "x2", "y2")))
            outlines.append(Outline(label=label, box=canvas.box(box)))
        else:
            notes.append(f"{path.name}: instance {number} ({kind}) is no object: ignored.")
    return outlines, notes


def is_create_ml(document: Any) -> bool:
    """Whether a JSON document is Create ML's: a list of pictures with boxes."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(e, dict) and ("image" in e or "imagefilename" in e) for e in document)
        and all(isinstance(_create_ml_marks(e), list) for e in document)
    )


def read_create_ml(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the boxes of one picture, whose x and y are their middles.

    Raises:
        InputError: there are several pictures, and none is named as the photo.
    """

    def name(entry: dict[str, Any]) -> Any:
        return entry.get("image") or entry.get("imagefilename")

    entry = entry_of_photo(document, name, path, canvas)
    outlines: list[Outline] = []
    for mark in _create_ml_marks(entry):
        box = box_about(*(float(mark["coordinates"][k]) for k in ("x", "y", "width", "height")))
        outlines.append(Outline(label=str(mark.get("label") or ""), box=canvas.box(box)))
    return outlines, about(canvas, path, name(entry), None)


def _create_ml_marks(entry: dict[str, Any]) -> Any:
    return entry.get("annotations", entry.get("annotation"))
