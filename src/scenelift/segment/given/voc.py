"""Pascal VOC's XML (http://host.robots.ox.ac.uk/pascal/VOC): boxes, which become prompts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.shapes import Outline, about, box_of_numbers

__all__ = ["is_voc", "read_voc"]


def is_voc(root: ElementTree.Element) -> bool:
    """Whether an XML document has the form of VOC's annotation of one photo."""
    return root.tag == "annotation" and root.find("object/bndbox") is not None


def read_voc(
    root: ElementTree.Element, path: Path, canvas: Canvas
) -> tuple[list[Outline], list[str]]:
    """The objects of one photo, and what to tell of it.

    Raises:
        InputError: it is of a photo of another size.
        ValueError: a box cannot be read.
    """
    sides = (root.findtext("size/height"), root.findtext("size/width"))
    size = tuple(int(float(s)) for s in sides if s and float(s) > 0)
    notes = about(canvas, path, root.findtext("filename"), size if len(size) == 2 else None)
    corners = [
        [float(o.findtext(f"bndbox/{edge}") or "nan") for edge in ("xmin", "ymin", "xmax", "ymax")]
        for o in root.iter("object")
    ]
    x, y = canvas.unit([v for box in corners for v in box])
    outlines = [
        Outline(
            label=o.findtext("name", "").strip(),
            box=canvas.box(box_of_numbers(x * x0, y * y0, x * x1, y * y1)),
        )
        for o, (x0, y0, x1, y1) in zip(root.iter("object"), corners, strict=True)
    ]
    return outlines, notes
