"""Datumaro's JSON (https://open-edge-platform.github.io/datumaro), which CVAT exports too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import coco_mask, polygons_mask
from scenelift.segment.given.several import entry_of_photo
from scenelift.segment.given.shapes import Outline, about, box_of_sides

__all__ = ["is_datumaro", "read_datumaro"]


def is_datumaro(document: Any) -> bool:
    """Whether a JSON document is a data set of Datumaro's."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("items"), list)
        and isinstance(document.get("categories"), dict)
    )


def read_datumaro(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read polygons, masks and boxes of this photo's item.

    Polygons and masks of one group are one object.

    Raises:
        InputError: there are several items, and none is named as the photo.
    """
    item = entry_of_photo(document["items"], _name, path, canvas)
    size = (item.get("image") or {}).get("size")
    notes = about(canvas, path, _name(item), (int(size[0]), int(size[1])) if size else None)
    labels = (document["categories"].get("label") or {}).get("labels") or []
    outlines: list[Outline] = []
    by_group: dict[tuple[str, int], Outline] = {}
    for number, entry in enumerate(item.get("annotations") or []):
        kind, index = entry.get("type"), entry.get("label_id")
        has_label = isinstance(index, int) and 0 <= index < len(labels)
        label = str(labels[index]["name"]) if has_label else ""
        if kind == "bbox":
            box = canvas.box(box_of_sides(*(float(v) for v in entry["bbox"])))
            outlines.append(Outline(label=label, box=box))
        elif kind in ("polygon", "mask"):
            is_mask = kind == "mask"
            mask = (
                coco_mask(entry["rle"], canvas)
                if is_mask
                else polygons_mask([entry["points"]], canvas.full)
            )
            outline = Outline(label=label, mask=canvas.fitted(mask, path.name))
            group = (label, int(entry.get("group") or 0))
            first = by_group.setdefault(group, outline) if group[1] else outline
            if first is outline:
                outlines.append(outline)
            elif first.mask is not None and outline.mask is not None:
                first.mask[outline.mask] = True
        else:
            notes.append(f"{path.name}: annotation {number} ({kind}) is no object: ignored.")
    return outlines, notes


def _name(item: dict[str, Any]) -> str:
    return str((item.get("image") or {}).get("path") or item.get("id") or "")
