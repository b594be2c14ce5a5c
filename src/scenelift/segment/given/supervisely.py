"""Supervisely's JSON (https://docs.supervisely.com): bitmaps, polygons and rectangles."""

from __future__ import annotations

import base64
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_of_numbers
from scenelift.types import Size

__all__ = ["is_supervisely", "read_supervisely"]

PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MOST_BYTES = 2**26  # of an unpacked bitmap, which is a PNG


def is_supervisely(document: Any) -> bool:
    """Whether a JSON document has the form of an annotation of Supervisely's."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("objects"), list)
        and isinstance(document.get("size"), dict)
    )


def read_supervisely(document: Any, path: Path, canvas: Canvas) -> tuple[list[Outline], list[str]]:
    """Read the objects of one photo's annotation, and notes on figures ignored."""
    size = (int(document["size"]["height"]), int(document["size"]["width"]))
    # Its file is called as the photo is: photo.jpg.json.
    named = path.stem if Path(path.stem).suffix.lower() in PHOTOS else None
    notes = about(canvas, path, named, size)
    outlines = []
    for number, figure in enumerate(document["objects"]):
        label, kind = str(figure.get("classTitle") or ""), figure.get("geometryType")
        if kind == "rectangle":
            (x0, y0), (x1, y1) = figure["points"]["exterior"]
            box = box_of_numbers(float(x0), float(y0), float(x1), float(y1))
            outlines.append(Outline(label=label, box=canvas.box(box)))
        elif kind in ("polygon", "bitmap"):
            mask = _polygon(figure, size) if kind == "polygon" else _bitmap(figure["bitmap"], size)
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
        else:
            notes.append(f"{path.name}: figure {number} ({kind}) is no object: ignored.")
    return outlines, notes


def _polygon(figure: dict[str, Any], size: Size) -> NDArray[np.bool_]:
    points = figure["points"]
    mask = polygons_mask([[v for p in points["exterior"] for v in p]], size)
    for hole in points.get("interior") or []:
        mask &= ~polygons_mask([[v for p in hole for v in p]], size)
    return mask


def _bitmap(bitmap: dict[str, Any], size: Size) -> NDArray[np.bool_]:
    """Read a bitmap: a PNG, packed by zlib, in base64, with its corner in the photo."""
    unpack = zlib.decompressobj()
    data = unpack.decompress(base64.b64decode(bitmap["data"]), MOST_BYTES)
    with PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        if picture.width > size[1] or picture.height > size[0]:
            raise ValueError("a bitmap is larger than the photo")
        # One channel, or four of which the last counts.
        part = np.asarray(picture.getchannel(len(picture.getbands()) - 1).convert("L")) > 0
    left, top = (int(v) for v in bitmap["origin"])
    mask = np.zeros(size, np.bool_)
    window = mask[max(top, 0) : top + part.shape[0], max(left, 0) : left + part.shape[1]]
    window |= part[: window.shape[0], : window.shape[1]]
    return mask
