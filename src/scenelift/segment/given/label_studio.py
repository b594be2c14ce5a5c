"""Label Studio's JSON export (https://labelstud.io/guide/export): polygons, rectangles, brushes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_of_numbers, file_name

__all__ = ["is_label_studio", "read_label_studio"]

MOST_VALUES = 2**29  # of a brush: four channels of the largest photo


def is_label_studio(document: Any) -> bool:
    """Whether a JSON document is a list of Label Studio's tasks, or one of them."""
    tasks = document if isinstance(document, list) else [document]
    return any(isinstance(t, dict) and "data" in t and "annotations" in t for t in tasks)


def read_label_studio(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the regions of this photo's task. Coordinates are per cent of the photo.

    Raises:
        InputError: there are several tasks, and none is named as the photo.
    """
    tasks = document if isinstance(document, list) else [document]
    if len(tasks) > 1:
        name = file_name(canvas.photo) if canvas.photo else ""
        # Uploaded files have eight digits and a hyphen before their name.
        own = [t for t in tasks if name and any(_ends(v, name) for v in t["data"].values())]
        if len(own) != 1:
            raise InputError(
                f"{path.name} has {len(tasks)} tasks, and it is unclear which of them "
                f"is {canvas.photo.name if canvas.photo else 'the photo'}. Export its task alone, "
                "or give the photo the name that it has there."
            )
        tasks = own
    outlines, notes = [], _about(tasks[0], path, canvas)
    for annotation in tasks[0]["annotations"]:
        for number, region in enumerate(annotation.get("result") or []):
            outline = _outline(region, canvas)
            if outline is None:
                kind = region.get("type")
                notes.append(f"{path.name}: region {number} ({kind}) is no object: ignored.")
            else:
                outlines.append(outline)
    return outlines, notes


def _about(task: dict[str, Any], path: Path, canvas: Canvas) -> list[str]:
    """Write a note where the only task is of another photo; one of another size is refused."""
    regions = [r for a in task["annotations"] for r in a.get("result") or [] if isinstance(r, dict)]
    sizes = {
        (int(r["original_height"]), int(r["original_width"]))
        for r in regions
        if r.get("original_height") and r.get("original_width")
    }
    files = [v for v in task["data"].values() if isinstance(v, str) and re.search(r"\.\w{3,4}$", v)]
    name = file_name(canvas.photo) if canvas.photo else ""
    named = None if any(_ends(v, name) for v in files) or len(files) != 1 else files[0]
    return about(canvas, path, named, sizes.pop() if len(sizes) == 1 else None)


def _ends(value: Any, name: str) -> bool:
    stored_name = file_name(value) if isinstance(value, str) else ""
    return stored_name == name or stored_name.endswith(f"-{name}")


def _outline(region: dict[str, Any], canvas: Canvas) -> Outline | None:
    value, kind = region.get("value") or {}, region.get("type")
    labels = value.get(str(kind)) or value.get("labels") or []
    label = str(labels[0]) if labels else ""
    height, width = canvas.full
    if kind in ("polygonlabels", "polygon"):
        xy = [v for x, y in value["points"] for v in (x * width / 100, y * height / 100)]
        return Outline(label=label, mask=canvas.fitted(polygons_mask([xy], canvas.full), label))
    if kind in ("rectanglelabels", "rectangle"):
        x, y, w, h = (float(value[k]) / 100 for k in ("x", "y", "width", "height"))
        # Turned about its top left corner, clockwise; the box is what holds all of it.
        turn = math.radians(float(value.get("rotation") or 0))
        across = np.array([0, w, w, 0]) * width
        down = np.array([0, 0, h, h]) * height
        xs = x * width + across * math.cos(turn) - down * math.sin(turn)
        ys = y * height + across * math.sin(turn) + down * math.cos(turn)
        box = box_of_numbers(float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max()))
        return Outline(label=label, box=canvas.box(box))
    if kind in ("brushlabels", "brush") and value.get("format") == "rle":
        size = (int(region["original_height"]), int(region["original_width"]))
        mask = _brush(value["rle"], size)
        return Outline(label=label, mask=canvas.fitted(mask, label or "brush"))
    return None


def _brush(codes: list[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a brush's mask: its run lengths are of RGBA pixels; what counts is alpha.

    The stream of bits is 32 for how many values there are, 5 for how wide a value is (less one),
    4 × 4 for how wide a length is (less one), then runs and literals: a bit that says which, two
    that choose the width of the length, the length (less one), and a value, or as many as that.
    """
    bits = np.unpackbits(np.array(codes, np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("the brush's run lengths end early")
        number = int("".join(map(str, bits[at : at + count])) or "0", 2)
        at += count
        return number

    total, wide = take(32), take(5) + 1
    if total != 4 * size[0] * size[1] or total > MOST_VALUES:
        raise ValueError(f"the brush has {total} values, not 4 for each of {size[1]} × {size[0]}")
    widths = [take(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    position = 0
    while position < total:
        repeats = take(1)
        length = take(widths[take(2)]) + 1
        if position + length > total:
            raise ValueError("the brush's run lengths are longer than its photo")
        if repeats:
            values[position : position + length] = take(wide)
        else:
            values[position : position + length] = [take(wide) for _ in range(length)]
        position += length
    return values.reshape(*size, 4)[..., 3] > 127
