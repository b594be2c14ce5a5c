"""COCO annotations (https://cocodataset.org/#format-data): polygons, run lengths and boxes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.layers import MOST_LAYERS
from scenelift.segment.given.several import unclear_photo
from scenelift.segment.given.shapes import (
    Outline,
    about,
    box_of_numbers,
    file_name,
    original_name,
    score_of,
)
from scenelift.types import Size

__all__ = ["is_coco", "read_coco"]

# Corners may lie so far outside the photo, in parts of its longer side, as tools round them.
BEYOND = 0.02
# A mask pixel by pixel has so many rows and columns; polygons of zeros and ones do not.
LEAST_ROWS = 8


def is_coco(document: Any) -> bool:
    """Whether a JSON document has the form of a data set or of a list of results."""
    if isinstance(document, dict):
        return isinstance(document.get("annotations"), list) or _is_rle(document)
    return isinstance(document, list) and any(
        isinstance(entry, dict) and ("segmentation" in entry or "bbox" in entry or _is_rle(entry))
        for entry in document
    )


def _is_rle(entry: Any) -> bool:
    """Whether something is a mask as pycocotools packs it."""
    return isinstance(entry, dict) and "counts" in entry and "size" in entry


def read_coco(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the annotations of one photo, and notes on those ignored.

    Raises:
        InputError: they are of several photos and it cannot be told which is this one, or one of
            them cannot be read.
    """
    entries, names = [document] if _is_rle(document) else document, {}
    if isinstance(entries, dict):
        entries, names = document["annotations"], _names(document)
        if document.get("box_format") == "xyxy":  # Grounded-SAM-2's
            entries = [_with_sides(entry) for entry in entries]
    entries = [{"segmentation": entry} if _is_rle(entry) else entry for entry in entries]
    entries = list(enumerate(entries))
    for number, entry in entries:
        if not isinstance(entry, dict) or not ("segmentation" in entry or "bbox" in entry):
            raise InputError(f"{path.name}: annotation {number} {_lack(entry)}")
    own, notes = _of_this_photo(document, entries, path, canvas)
    outlines = []
    unit = canvas.unit(_coordinates(own))
    if unit != (1.0, 1.0):
        notes.append(f"{path.name}: coordinates were taken for parts of the photo's sides.")
    crowds = [entry for _, entry in own if _is_crowd(entry)]
    if len(crowds) == len(own) > 0:
        raise InputError(
            f"{path.name}: all annotations ({len(own)}) are crowds (iscrowd), which are groups and "
            "no objects. Give annotations of single objects, or boxes around them with --box."
        )
    if len(own) - len(crowds) > MOST_LAYERS:  # before any is drawn
        raise InputError(
            f"{path.name} has {len(own) - len(crowds)} objects of this photo; up to {MOST_LAYERS} "
            "are read. Give those that are to be lifted."
        )
    for number, entry in own:
        if _is_crowd(entry):
            notes.append(f"{path.name}: annotation {number} is a crowd, not an object: ignored.")
            continue
        try:
            outlines.append(_outline(entry, names, canvas, unit))
            notes += [
                f"{path.name}: annotation {number} {n}" for n in _faults(entry, names, canvas, unit)
            ]
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as exc:
            raise InputError(f"{path.name}: annotation {number} cannot be read: {exc}") from exc
    return outlines, notes


def _names(document: dict[str, Any]) -> dict[str, str]:
    categories = document.get("categories")
    if isinstance(categories, dict):  # number: name, or number: category
        categories = [
            {"id": number, "name": c.get("name") if isinstance(c, dict) else c}
            for number, c in cast("dict[Any, Any]", categories).items()
        ]
    return {
        _id(category.get("id")): str(category["name"])
        for category in (categories if isinstance(categories, list) else [])
        if isinstance(category, dict) and category.get("name") and _id(category.get("id"))
    }


def _id(value: Any) -> str:
    """Return a category's number as text, whichever way it is written; "" where it is none."""
    return str(value).removesuffix(".0") if isinstance(value, int | float | str) else ""


def _of_this_photo(
    document: Any, entries: list[tuple[int, Any]], path: Path, canvas: Canvas
) -> tuple[list[tuple[int, Any]], list[str]]:
    """Choose the photo's annotations: by its file name, else its number, else the only photo's."""
    images_entry = document.get("images") if isinstance(document, dict) else None
    images = [
        i for i in (images_entry if isinstance(images_entry, list) else []) if isinstance(i, dict)
    ]
    ids = list(dict.fromkeys(str(e["image_id"]) for _, e in entries if "image_id" in e))
    image_ids = [str(image.get("id")) for image in images]
    if len(set(ids) | set(image_ids)) < 2:
        return entries, _about(images, path, canvas)
    image_id = _image_of_photo(images, ids, canvas)
    if image_id is None:
        files = [str(i.get("file_name")) for i in images if i.get("file_name")] or ids
        raise unclear_photo(files, path, canvas)
    notes = _about([i for i in images if str(i.get("id")) == image_id], path, canvas)
    own = [(n, e) for n, e in entries if str(e.get("image_id")) == image_id]
    others = len(entries) - len(own)
    if others:
        notes.append(f"{path.name}: {others} annotations of other photos were ignored.")
    return own, notes


def _image_of_photo(images: list[dict[str, Any]], ids: list[str], canvas: Canvas) -> str | None:
    """Return the id of the photo among several, None where it is unclear."""
    if canvas.photo is None:
        return None
    files = {str(i.get("id")): i.get("file_name") for i in images}
    for compared in (file_name, original_name, lambda name: Path(original_name(name)).stem):
        hits = [k for k, file in files.items() if file and compared(file) == compared(canvas.photo)]
        if len(hits) == 1:
            return hits[0]
        if hits:
            return None
    number = canvas.photo.stem.lstrip("0")
    hits = [k for k in (files or ids) if k == canvas.photo.stem or k == number]
    return hits[0] if len(hits) == 1 else None


def _about(images: list[dict[str, Any]], path: Path, canvas: Canvas) -> list[str]:
    """Write a note on the photo that was annotated; `shapes.about` refuses another size."""
    if len(images) != 1:
        return []
    height, width = images[0].get("height"), images[0].get("width")
    size = None
    if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0:
        size = (height, width)
    return about(canvas, path, images[0].get("file_name"), size)


def _coordinates(entries: list[tuple[int, Any]]) -> list[float]:
    """List all coordinates of the annotations: corners of polygons, places and sides of boxes."""
    values: list[float] = []
    for _, entry in entries:
        shapes = entry.get("segmentation")
        if _is_matrix(shapes):
            continue
        if not (isinstance(shapes, list) and shapes):
            shapes = [] if isinstance(shapes, dict) else [entry.get("bbox") or []]
        for shape in shapes if isinstance(shapes[:1], list) else []:
            try:
                values += np.array(shape, np.float64).ravel().tolist()
            except (ValueError, TypeError):
                continue  # told with the number of its annotation when that is read
    return values


def _is_crowd(entry: dict[str, Any]) -> bool:
    return bool(entry.get("iscrowd")) and isinstance(entry.get("segmentation"), dict)


def _outline(
    entry: dict[str, Any], names: dict[str, str], canvas: Canvas, unit: tuple[float, float]
) -> Outline:
    label = _label(entry, names)
    segmentation = entry.get("segmentation")
    if segmentation:
        mask = canvas.fitted(coco_mask(segmentation, canvas, unit), label or "annotation")
        return Outline(label=label, score=score_of(entry), mask=mask)
    if entry.get("bbox"):
        x, y, width, height = (float(v) for v in entry["bbox"])
        _check_sides(x, y, width, height, canvas, unit)
        corners = (x * unit[0], y * unit[1], (x + width) * unit[0], (y + height) * unit[1])
        return Outline(label=label, score=score_of(entry), box=canvas.box(box_of_numbers(*corners)))
    return Outline(label=label, score=score_of(entry))


def _with_sides(entry: Any) -> Any:
    """Convert a bbox of two corners to a corner and its sides."""
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4:
        return entry
    x0, y0, x1, y1 = box
    return {**entry, "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _label(entry: dict[str, Any], names: dict[str, str]) -> str:
    """Name an annotation: by its category's number, else by a name of its own."""
    label = names.get(_id(entry.get("category_id")))
    own = (entry.get(key) for key in ("label", "class_name", "category_name", "category", "name"))
    return label or next((text for text in own if isinstance(text, str) and text), "")


def _faults(
    entry: dict[str, Any], names: dict[str, str], canvas: Canvas, unit: tuple[float, float]
) -> list[str]:
    """Describe oddities of an annotation that is read all the same, as ends of sentences."""
    faults: list[str] = []
    if names and "category_id" in entry and not _label(entry, names):
        faults.append(
            f"has the category {entry['category_id']}, which is in no list of categories."
        )
    segmentation = entry.get("segmentation")
    if segmentation and isinstance(segmentation, list) and not _is_matrix(segmentation):
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        corners = np.concatenate([np.array(p, np.float64).reshape(-1, 2) for p in polygons]) * unit
        height, width = canvas.full
        slack = 1 + BEYOND * max(width, height)
        if (corners < -slack).any() or (corners > (width + slack, height + slack)).any():
            faults.append("reaches beyond the photo: it was cut off at the edge.")
    return faults


def _lack(entry: Any) -> str:
    """Explain why an annotation is no object, and what to do, as the end of a sentence."""
    lack = "has no 'segmentation' and no 'bbox'."
    if not isinstance(entry, dict):
        return lack
    if "segments_info" in entry:
        return (
            f"{lack[:-1]}: it is a panoptic one. Give the PNG beside it, whose colours are masks."
        )
    if "keypoints" in entry:
        return f"{lack[:-1]}, only keypoints. Export boxes or polygons, or draw a box with --box."
    return lack


def _check_sides(
    x: float, y: float, width: float, height: float, canvas: Canvas, unit: tuple[float, float]
) -> None:
    """Refuse a bbox that is two corners: read as sides, they reach far beyond the photo.

    Raises:
        ValueError: it is.
    """
    rows, columns = canvas.full
    right, bottom = columns / unit[0], rows / unit[1]
    beyond = x + width > 1.02 * right + 1 or y + height > 1.02 * bottom + 1
    if beyond and x < width <= right and y < height <= bottom:
        raise ValueError(
            f"its bbox {x:g}, {y:g}, {width:g}, {height:g} reaches beyond the photo ({columns} × "
            f"{rows} pixels); COCO's is x, y, width, height, and this looks like two corners"
        )


def coco_mask(
    segmentation: Any, canvas: Canvas, unit: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.bool_]:
    """Read a 'segmentation' as a mask [H, W] in the photo's pixels, or those of its run lengths.

    Args:
        unit: pixels of a step of its polygons' x and y.
    """
    if _is_matrix(segmentation):
        return np.array(segmentation, np.bool_)  # its size is compared when it is fitted
    if isinstance(segmentation, list):
        polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
        pairs = [np.array(polygon, np.float64).ravel() for polygon in polygons]
        if any(len(xy) % 2 for xy in pairs):
            raise ValueError("a polygon needs pairs of x and y")
        return polygons_mask([(xy.reshape(-1, 2) * unit).ravel() for xy in pairs], canvas.full)
    if not _is_rle(segmentation):
        raise ValueError(
            f"its segmentation is {str(segmentation)[:40]!r}; polygons or run lengths were expected"
        )
    height, width = (int(v) for v in segmentation["size"])
    if (height, width) not in (canvas.full, canvas.size):
        raise ValueError(
            f"it is {width} × {height}, the photo is {canvas.full[1]} × {canvas.full[0]}"
        )
    counts = segmentation["counts"]
    if isinstance(counts, str):
        # Python shows the bytes of pycocotools so, with backslashes doubled.
        quoted = re.fullmatch(r"b(['\"])(.*)\1", counts, re.DOTALL)
        lengths = _lengths(quoted[2].replace("\\\\", "\\") if quoted else counts)
    else:
        if not all(isinstance(c, int) and c >= 0 for c in counts):
            raise ValueError("its run lengths must be whole numbers from 0 on")
        lengths = list(counts)
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"its run lengths sum to {sum(lengths)}, not {height * width}")
    runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return runs.reshape(width, height).T.copy()


def _is_matrix(segmentation: Any) -> bool:
    """Whether a 'segmentation' is a mask pixel by pixel, as Segment Anything's arrays become."""
    if not isinstance(segmentation, list) or not isinstance(segmentation[:1], list):
        return False
    rows = cast("list[Any]", segmentation)
    if len(rows) < LEAST_ROWS or not all(isinstance(row, list) for row in rows):
        return False
    wide = len(rows[0]) >= LEAST_ROWS and all(len(row) == len(rows[0]) for row in rows)
    return wide and all(value in (0, 1) for row in rows for value in row)


def polygons_mask(polygons: list[Any], size: Size) -> NDArray[np.bool_]:
    """Fill pixels [H, W] whose centres lie in polygons [x, y, x, y, …] of continuous coordinates.

    Raises:
        ValueError: one of them is no polygon.
    """
    mask = np.zeros(size, np.bool_)
    for polygon in polygons:
        xy = np.array([float(v) for v in polygon])
        if len(xy) < 6 or len(xy) % 2 or not np.isfinite(xy).all():
            raise ValueError("a polygon needs three or more finite x, y pairs")
        _fill(mask, xy.reshape(-1, 2))
    return mask


def _fill(mask: NDArray[np.bool_], corners: NDArray[np.float64]) -> None:
    """Set the pixels inside one polygon [N, 2], row by row between its crossings."""
    height, width = mask.shape
    x0, y0 = corners.T
    x1, y1 = np.roll(corners, -1, 0).T
    first, last = max(0, int(y0.min())), min(height, int(np.ceil(y0.max())))
    centres = np.arange(width) + 0.5
    for row in range(first, last):
        y = row + 0.5
        crossings = (y0 <= y) != (y1 <= y)
        at = np.sort(
            x0[crossings] + (y - y0[crossings]) / (y1 - y0)[crossings] * (x1 - x0)[crossings]
        )
        mask[row] |= np.searchsorted(at, centres, "right") % 2 == 1


def _lengths(text: str) -> list[int]:
    """Decode COCO's run lengths: 5 bits a character, differences from the last but one."""
    lengths: list[int] = []
    position = 0
    while position < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[position]) - 48
            if not 0 <= code < 64:
                raise ValueError(f"character {text[position]!r} is no run length")
            value |= (code & 31) << shift
            more = bool(code & 32)
            position += 1
            shift += 5
            if not more and code & 16:
                value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
    return lengths
