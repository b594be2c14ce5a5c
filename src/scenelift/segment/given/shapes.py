"""An object of an annotation file, whichever tool wrote it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.types import Box, Size

__all__ = [
    "Outline",
    "about",
    "box_about",
    "box_of_numbers",
    "box_of_sides",
    "file_name",
    "original_name",
    "round_polygon",
    "score_of",
    "stem_of",
]

ROUND_CORNERS = 64  # of the polygon that stands for a circle or an ellipse


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outline:
    """An annotated object: its mask, or only a box around it.

    Attributes:
        label: what the file calls it, "" where it says nothing.
        score: in 0…1.
        mask: bool [H, W] in working pixels, None where there is only a box.
        box: x0, y0, x1, y1 in working pixels, None where there is a mask.
    """

    label: str = ""
    score: float = 1.0
    mask: NDArray[np.bool_] | None = None
    box: Box | None = None


def box_of_numbers(x0: float, y0: float, x1: float, y1: float) -> Box:
    """Make a box from two corners, in whichever order.

    Raises:
        ValueError: it is empty or not finite.
    """
    box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    if not all(math.isfinite(v) for v in box) or box[0] == box[2] or box[1] == box[3]:
        raise ValueError(f"the box {box} is empty")
    return box


def box_of_sides(x: float, y: float, width: float, height: float) -> Box:
    """Make a box from its top left corner and its sides.

    Raises:
        ValueError: it is empty or not finite.
    """
    return box_of_numbers(x, y, x + width, y + height)


def box_about(x: float, y: float, width: float, height: float) -> Box:
    """Make a box from its middle and its sides.

    Raises:
        ValueError: it is empty or not finite.
    """
    return box_of_numbers(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def round_polygon(x: float, y: float, rx: float, ry: float, turn: float = 0.0) -> list[float]:
    """List corners x, y, x, y … of an ellipse about (x, y) whose radii are turned by an angle."""
    angles = np.arange(ROUND_CORNERS) * (2 * math.pi / ROUND_CORNERS)
    across, down = rx * np.cos(angles), ry * np.sin(angles)
    xs = x + across * math.cos(turn) - down * math.sin(turn)
    ys = y + across * math.sin(turn) + down * math.cos(turn)
    return np.stack([xs, ys], 1).ravel().tolist()


def file_name(value: object) -> str:
    """Return the last part of a path as any system writes it, to be compared."""
    name = PureWindowsPath(PurePosixPath(str(value or "")).name).name
    return unicodedata.normalize("NFC", name).casefold()


def original_name(value: object) -> str:
    """Return a photo's name before Roboflow's: desk_jpg.rf.0a1b2c.jpg was desk.jpg."""
    name = file_name(value)
    match = re.fullmatch(r"(.+)[_-](jpe?g|png|webp|bmp|tiff?)\.rf\.[0-9a-z]{6,}\.\w+", name)
    return f"{match[1]}.{match[2]}" if match else name


def about(canvas: Canvas, path: Path, name: object, size: Size | None) -> list[str]:
    """Write a note where annotations of one photo name another one.

    Args:
        canvas: the photo.
        path: file of the annotations.
        name: of the photo that was annotated, as the file has it.
        size: its height and width, where the file says so.

    Raises:
        InputError: it is a photo of another size.
    """
    own = canvas.photo.name if canvas.photo else "this photo"
    named = file_name(name)
    other = bool(named and canvas.photo) and stem_of(named) != stem_of(own)
    if size is not None and size not in (canvas.full, canvas.size):
        which = f"{named}, a photo" if other else "a photo"
        raise InputError(
            f"{path.name} is about {which} of {size[1]} × {size[0]} pixels, and {own} has "
            f"{canvas.full[1]} × {canvas.full[0]}. Give the photo that was annotated."
        )
    if not other:
        return []
    fits = "whose size is the same" if size is not None else "whose size it does not say"
    return [f"{path.name} is about {named}, {fits}: it was taken for {own}."]


def stem_of(file: object) -> str:
    """Return a file's name without its endings: photo.jpg.json is of photo.jpg."""
    return PurePosixPath(PurePosixPath(original_name(file)).stem).stem


def score_of(entry: Mapping[str, Any]) -> float:
    """Return the entry's 'score' where that is a chance (or a list of one), else 1."""
    score: Any = entry.get("score", 1.0)
    if isinstance(score, list) and len(score) == 1:
        score = score[0]
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        return 1.0
    return float(score)
