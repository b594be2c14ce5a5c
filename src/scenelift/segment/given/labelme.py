"""labelme's JSON (https://github.com/wkentaro/labelme): polygons, rectangles, circles, masks."""

from __future__ import annotations

import base64
import io
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_of_numbers, round_polygon
from scenelift.types import Size

__all__ = ["is_labelme", "read_labelme"]

# Upright, and turned as X-AnyLabeling and labelme 6 draw them: what is cut out is around all of it.
BOXES = ("rectangle", "rotation", "oriented_rectangle")


def is_labelme(document: Any) -> bool:
    """Whether a JSON document has labelme's form."""
    return isinstance(document, dict) and isinstance(document.get("shapes"), list)


def read_labelme(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of a labelme file, and notes on shapes ignored.

    Shapes of one label and `group_id` are one object. Rectangles are boxes around an object.

    Raises:
        InputError: it is of a photo of another size, or a shape cannot be read.
    """
    size = (document.get("imageHeight"), document.get("imageWidth"))
    size_in_file = size if all(isinstance(side, int) for side in size) else None
    notes = about(canvas, path, document.get("imagePath"), size_in_file)
    canvas_size = canvas.size if size == canvas.size else canvas.full
    outlines = []
    groups: dict[tuple[str, Any], NDArray[np.bool_]] = {}
    unit = canvas.unit(_coordinates(document["shapes"]))
    for number, shape in enumerate(document["shapes"]):
        if not isinstance(shape, dict):
            raise InputError(f"{path.name}: shape {number} is not a JSON object.")
        if unit != (1.0, 1.0):
            shape = {**shape, "points": [(x * unit[0], y * unit[1]) for x, y in shape["points"]]}
        label, kind = str(shape.get("label") or ""), shape.get("shape_type") or "polygon"
        if kind not in ("polygon", *BOXES, "circle", "mask"):
            notes.append(f"{path.name}: shape {number} ({kind}) encloses nothing: ignored.")
            continue
        try:
            if kind in BOXES:
                (x0, y0), (x1, y1) = _corners(shape["points"])
                box = box_of_numbers(x0, y0, x1, y1)
                outlines.append(
                    Outline(label=label, box=box if canvas_size == canvas.size else canvas.box(box))
                )
                continue
            mask = canvas.fitted(_mask(shape, kind, canvas_size), path.name)
        except (ValueError, TypeError, KeyError, IndexError, OSError, OverflowError) as exc:
            raise InputError(f"{path.name}: shape {number} cannot be read: {exc}") from exc
        group = shape.get("group_id")
        key = (label, group if isinstance(group, int | str) else f"shape {number}")
        groups[key] = groups[key] | mask if key in groups else mask
    outlines += [Outline(label=label, mask=mask) for (label, _), mask in groups.items()]
    return outlines, notes


def _coordinates(shapes: list[Any]) -> list[float]:
    """List all coordinates of the shapes; none where one is no number, which is reported later."""
    try:
        return [float(v) for shape in shapes for point in shape["points"] for v in point]
    except (TypeError, ValueError, KeyError):
        return []


def _corners(points: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Find two opposite corners, from labelme's two points or a later version's four."""
    xy = np.array(points, np.float64)
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) not in (2, 4):
        raise ValueError("a rectangle needs two or four points")
    low, high = xy.min(0), xy.max(0)
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _mask(shape: dict[str, Any], kind: str, size: Size) -> NDArray[np.bool_]:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if kind == "circle":
        (x, y), (at_x, at_y) = points
        radius = math.hypot(at_x - x, at_y - y)
        return polygons_mask([round_polygon(x, y, radius, radius)], size)
    if kind != "mask":
        return polygons_mask([[v for point in points for v in point]], size)
    (left, top), _ = points
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coded = io.BytesIO(base64.b64decode(shape["mask"]))
        with PIL.Image.open(coded, formats=["PNG"]) as picture:
            if picture.width > size[1] or picture.height > size[0]:
                raise ValueError("its mask is larger than the photo")
            part = np.asarray(picture.convert("L")) > 0
    mask = np.zeros(size, np.bool_)
    rows, columns = round(top), round(left)
    window = mask[max(rows, 0) : rows + part.shape[0], max(columns, 0) : columns + part.shape[1]]
    window |= part[: window.shape[0], : window.shape[1]]
    return mask
