"""CVAT's XML for images (https://docs.cvat.ai): polygons, boxes and masks."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.coco import polygons_mask
from scenelift.segment.given.shapes import Outline, about, box_of_numbers, file_name
from scenelift.types import Size

__all__ = ["read_cvat"]


def read_cvat(
    root: ElementTree.Element, path: Path, canvas: Canvas
) -> tuple[list[Outline], list[str]]:
    """Read the shapes of this photo in "CVAT for images 1.1", and notes on others.

    Raises:
        InputError: it is no such file, or has several photos and none of this name.
    """
    images = list(root.iter("image"))
    if len(images) > 1:
        name = file_name(canvas.photo) if canvas.photo else ""
        images = [i for i in images if name and file_name(i.get("name")) == name]
    if len(images) != 1:
        raise InputError(
            f"{path.name} is no CVAT export that names "
            f"{canvas.photo.name if canvas.photo else 'the photo'} once. Export 'CVAT for images "
            "1.1', or COCO."
        )
    size = (int(images[0].get("height", 0)), int(images[0].get("width", 0)))
    notes = about(canvas, path, images[0].get("name"), size)
    outlines = []
    for shape in images[0]:
        label = shape.get("label", "")
        if shape.tag == "box":
            corners = (float(shape.attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
            outlines.append(Outline(label=label, box=canvas.box(box_of_numbers(*corners))))
        elif shape.tag in ("polygon", "mask"):
            mask = _polygon(shape, size) if shape.tag == "polygon" else _mask(shape, size)
            outlines.append(Outline(label=label, mask=canvas.fitted(mask, path.name)))
        else:
            notes.append(f"{path.name}: a {shape.tag} of {label!r} is no object: ignored.")
    return outlines, notes


def _polygon(shape: ElementTree.Element, size: Size) -> NDArray[np.bool_]:
    points = [float(v) for pair in shape.attrib["points"].split(";") for v in pair.split(",")]
    return polygons_mask([points], size)


def _mask(shape: ElementTree.Element, size: Size) -> NDArray[np.bool_]:
    """Read run lengths, outside first, row by row in a window of the photo."""
    left, top, width, height = (int(shape.attrib[k]) for k in ("left", "top", "width", "height"))
    lengths = [int(v) for v in shape.attrib["rle"].split(",")]
    if min(lengths) < 0 or sum(lengths) != width * height or min(left, top, width, height) < 0:
        raise ValueError(f"a mask's run lengths sum to {sum(lengths)}, not {width * height}")
    if left + width > size[1] or top + height > size[0]:
        raise ValueError("a mask reaches beyond the photo")
    runs = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    mask = np.zeros(size, np.bool_)
    mask[top : top + height, left : left + width] = runs.reshape(height, width)
    return mask
