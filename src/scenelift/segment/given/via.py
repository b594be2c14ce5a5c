"""VGG Image Annotator's JSON (https://www.robots.ox.ac.uk/~vgg/software/via), versions 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_of_sides, round_polygon

__all__ = ["is_via", "read_via"]


def is_via(document: Any) -> bool:
    """Whether a JSON document has the form of VIA's annotations, or of a project with some."""
    return bool(_files(document))


def read_via(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the regions of this photo.

    Raises:
        InputError: there are several photos, and none is named as this one.
        ValueError: a region cannot be read.
    """
    file = entry_of_photo(_files(document), lambda f: f["filename"], path, canvas)
    notes = about(canvas, path, file["filename"], None)
    regions = file["regions"]
    outlines: list[Outline] = []
    for region in regions.values() if isinstance(regions, dict) else regions:
        shape, label = region["shape_attributes"], _label(region.get("region_attributes"))
        kind = shape.get("name")
        if kind == "rect":
            box = box_of_sides(*(float(shape[k]) for k in ("x", "y", "width", "height")))
            outlines.append(Outline(label=label, box=canvas.box(box)))
        elif (polygon := _polygon(shape)) is not None:
            mask = polygons_mask([polygon], canvas.full)
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
        else:
            notes.append(f"{path.name}: a {kind} encloses nothing: ignored.")
    return outlines, notes


def _files(document: Any) -> list[dict[str, Any]]:
    """List the entries of photos that have regions."""
    if not isinstance(document, dict):
        return []
    table = cast("dict[str, Any]", document)
    table = cast("dict[str, Any]", table.get("_via_img_metadata", table))
    entries = list(table.values()) if isinstance(table, dict) else []
    fits = entries and all(
        isinstance(e, dict) and "filename" in e and "regions" in e for e in entries
    )
    return entries if fits else []


def _label(attributes: Any) -> str:
    """Return the only attribute of a region, or the one with a usual name."""
    values = cast("Mapping[str, Any]", attributes) if isinstance(attributes, dict) else {}
    names = [n for n in values if n.casefold() in ("label", "name", "class", "type", "object")]
    value = values[names[0]] if names else next(iter(values.values()), "")
    if isinstance(value, dict):  # check boxes: those that are ticked
        value = next((n for n, ticked in value.items() if ticked), "")
    return str(value).strip()


def _polygon(shape: Mapping[str, Any]) -> list[float] | None:
    """List corners x, y, x, y … of a polygon, circle or ellipse; None for what encloses nothing."""
    kind = shape.get("name")
    if kind == "polygon":
        return [float(v) for pair in zip(shape["all_points_x"], shape["all_points_y"], strict=True)
                for v in pair]  # fmt: skip
    if kind not in ("circle", "ellipse"):
        return None
    rx = float(shape["r"] if kind == "circle" else shape["rx"])
    ry = float(shape["r"] if kind == "circle" else shape["ry"])
    turn, cx, cy = float(shape.get("theta") or 0), float(shape["cx"]), float(shape["cy"])
    return round_polygon(cx, cy, rx, ry, turn)
