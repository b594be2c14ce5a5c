"""Cityscapes' polygons (https://github.com/mcordts/cityscapesScripts), `…_polygons.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenelift.errors import first_few
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about

__all__ = ["is_cityscapes", "read_cityscapes"]

# Classes that are areas and no objects, and those that are left out of every evaluation.
AREAS = frozenset(
    [
        "road",
        "sidewalk",
        "parking",
        "rail track",
        "building",
        "wall",
        "fence",
        "guard rail",
        "bridge",
        "tunnel",
        "vegetation",
        "terrain",
        "sky",
    ]
)
VOID = frozenset(
    [
        "unlabeled",
        "ego vehicle",
        "rectification border",
        "out of roi",
        "static",
        "dynamic",
        "ground",
    ]
)
GROUP = "group"  # ends the label of several objects that nobody could tell apart


def is_cityscapes(document: Any) -> bool:
    """Whether a JSON document has the form of Cityscapes' polygons."""
    return (
        isinstance(document, dict)
        and "imgHeight" in document
        and isinstance(document.get("objects"), list)
    )


def read_cityscapes(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of one photo; each lies in front of those that the file has before it."""
    size = (int(document["imgHeight"]), int(document["imgWidth"]))
    notes = about(canvas, path, None, size)
    outlines: list[Outline] = []
    left_out: list[str] = []
    for entry in document["objects"]:
        if entry.get("deleted"):
            continue
        label = str(entry.get("label") or "")
        mask = polygons_mask([[v for point in entry["polygon"] for v in point]], size)
        for behind in outlines:
            if behind.mask is not None:
                behind.mask[mask] = False
        if label in AREAS or label in VOID or label.endswith(GROUP):
            left_out.append(label)
        else:
            outlines.append(Outline(label=label, mask=mask))
    if left_out:
        names = first_few(list(dict.fromkeys(left_out)))
        notes.append(f"{path.name}: ignored, as areas, groups or of no class: {names}.")
    return [
        Outline(label=o.label, mask=canvas.fitted(o.mask, path.name))
        for o in outlines
        if o.mask is not None
    ], notes
