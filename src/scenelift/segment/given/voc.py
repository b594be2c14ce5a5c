"""Pascal VOC's XML (http://host.robots.ox.ac.uk/pascal/VOC): boxes, which become prompts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.shapes import Outline, about, box_of_numbers

__all__ = ["is_voc", "read_voc"]


def is_voc(root: ElementTree.Element) -> bool:
    """Whether an XML document has the form of VOC's annotation of one photo."""
    return root.tag == "annotation" and root.find("object/bndbox") is not None


def read_voc(
    root: ElementTree.Element, path: Path, canvas: Canvas
) -> tuple[list[Outline], list[str]]:
    """Read the objects of one photo, and notes on it.

    Raises:
        InputError: it is of a photo of another size, or a box is no numbers.
        ValueError: a box is empty, or outside the photo.
    """
    sides = (root.findtext("size/height"), root.findtext("size/width"))
    size = tuple(int(float(s)) for s in sides if s and float(s) > 0)
    notes = about(canvas, path, root.findtext("filename"), size if len(size) == 2 else None)
    corners = [_corners(o, number, path) for number, o in enumerate(root.iter("object"))]
    x, y = canvas.unit([v for box in corners for v in box])
    outlines = [
        Outline(
            label=o.findtext("name", "").strip(),
            box=canvas.box(box_of_numbers(x * x0, y * y0, x * x1, y * y1)),
        )
        for o, (x0, y0, x1, y1) in zip(root.iter("object"), corners, strict=True)
    ]
    return outlines, notes


def _corners(entry: ElementTree.Element, number: int, path: Path) -> tuple[float, ...]:
    """Read x0, y0, x1, y1 of one object.

    Raises:
        InputError: one of them is missing, or no number.
    """
    texts = [entry.findtext(f"bndbox/{edge}") for edge in ("xmin", "ymin", "xmax", "ymax")]
    try:
        return tuple(float(text or "") for text in texts)
    except ValueError as exc:
        raise InputError(
            f"{path.name}: object {number} has the corners {texts}; four numbers xmin, ymin, xmax "
            "and ymax in <bndbox> were expected."
        ) from exc
