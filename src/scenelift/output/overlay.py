"""Draw the photo with its objects tinted, outlined and numbered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.output.fonts import font_for
from scenelift.types import Image, Instance

__all__ = ["PALETTE", "draw_overlay"]

# Okabe and Ito's colours (2008), told apart with every common colour blindness; the two that vanish
# on photos (black, yellow) are left out.
PALETTE = np.array(
    [
        (86, 180, 233),
        (230, 159, 0),
        (0, 158, 115),
        (204, 121, 167),
        (213, 94, 0),
        (0, 114, 178),
    ],
    np.uint8,
)
TINT = 0.45
MAX_LABEL = 28  # characters: longer ones would cover other objects
MIN_SIDE = 480  # smaller photos are enlarged, so that labels are readable and do not cover them


def draw_overlay(image: Image, instances: Sequence[Instance]) -> NDArray[np.uint8]:
    """Draw the objects over the photo; number k is position k in `instances`.

    Returns:
        uint8 [h, w, 3]: the photo's size, or a multiple of it where the photo is small.
    """
    enlarge = max(1, -(-MIN_SIDE // max(image.width, image.height)))
    pixels = _enlarged(image.pixels, enlarge)
    height, width = pixels.shape[:2]
    line = max(1, round(max(height, width) / 400))
    canvas = pixels.copy()
    for number, instance in enumerate(instances):
        color = PALETTE[number % len(PALETTE)].astype(np.float32)
        window = _around(instance.mask, enlarge, line + 1)
        part = canvas[window]  # what follows looks at nothing else, and changes nothing else
        mask = _enlarged(instance.mask, enlarge)[window]
        inner = np.asarray(ndimage.binary_erosion(mask, iterations=line), np.bool_)
        outer = np.asarray(ndimage.binary_dilation(mask, iterations=max(1, line // 2)), np.bool_)
        inside = part[inner].astype(np.float32)
        part[inner] = inside + TINT * (color - inside)
        part[mask & ~inner] = color
        part[outer & ~mask] = 255  # a light rim, so that the outline shows on any photo
    picture = PIL.Image.fromarray(canvas)
    _draw_labels(picture, instances, enlarge)
    return np.asarray(picture)


def _around(mask: NDArray[np.bool_], factor: int, margin: int) -> tuple[slice, slice]:
    """Find the window of an enlarged mask that holds all of it, and so many pixels around."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    first = (max(0, factor * int(n[0]) - margin) for n in (rows, columns))
    end = (factor * (int(n[-1]) + 1) + margin for n in (rows, columns))
    top, left = map(slice, first, end)
    return top, left


def _enlarged(array: NDArray, factor: int) -> NDArray:
    return array if factor == 1 else array.repeat(factor, 0).repeat(factor, 1)


def _draw_labels(picture: PIL.Image.Image, instances: Sequence[Instance], factor: int) -> None:
    draw = PIL.ImageDraw.Draw(picture)
    size = max(12, round(max(picture.size) / 42))
    label_boxes: list[tuple[float, float, float, float]] = []
    for number, instance in enumerate(instances):
        font = font_for(instance.label, size)
        if font is None:  # none here has the letters: its number says which it is
            text, font = f"{number}  {instance.score:.2f}", PIL.ImageFont.load_default(size)
        else:
            label = instance.label
            if len(label) > MAX_LABEL:
                label = label[: MAX_LABEL - 1].rstrip() + "…"
            text = f"{number} {label} {instance.score:.2f}"
        while len(text) > 8 and draw.textlength(text, font) > picture.width - size:
            text = text[:-2].rstrip("…") + "…"
        left, top, right, bottom = draw.textbbox((0, 0), text, font)
        pad = size // 4
        w, h = right - left + 2 * pad, bottom - top + 2 * pad
        x, y = _free_place(instance, factor, (w, h), picture.size, label_boxes)
        label_boxes.append((x, y, x + w, y + h))
        color = tuple(int(c) for c in PALETTE[number % len(PALETTE)])
        draw.rounded_rectangle((x, y, x + w, y + h), radius=pad, fill=color)
        luma = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2]
        ink = "black" if luma > 130 else "white"
        draw.text((x + pad - left, y + pad - top), text, fill=ink, font=font)


def _free_place(
    instance: Instance,
    factor: int,
    size: tuple[float, float],
    picture: tuple[int, int],
    label_boxes: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float]:
    """Find a label's corner near its object, in the picture and off other labels if possible."""
    (w, h), (width, height) = size, picture
    top, left = _around(instance.mask, 1, 0)
    rows, columns = np.nonzero(instance.mask[top, left])
    rows, columns = rows + top.start, columns + left.start
    nearest = np.argmin(
        (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    )  # a point on the object, also where the centroid falls into a hole
    cx, cy = factor * (columns[nearest] + 0.5), factor * (rows[nearest] + 0.5)
    x0, y0, x1, y1 = (factor * v for v in instance.box)
    places: list[tuple[float, float]] = []
    if x1 - x0 < w and y1 - y0 < 2 * h:  # it would be out of sight below its label
        beside = ((cx - w / 2, y0 - 1.2 * h), (cx - w / 2, y1 + 0.2 * h))
        places = [place for place in beside if 0 <= place[1] <= height - h]
    places += [(cx - w / 2, cy - h / 2), (x0, y0), (x0, y0 - h), (x0, y1 - h), (x0, y1)]
    places += [(cx - w / 2, cy - h / 2 + k * h * 1.1) for k in (1, -1, 2, -2, 3, -3, 4, -4)]

    def inside(place: tuple[float, float]) -> tuple[float, float]:
        return min(max(place[0], 0), max(0, width - w)), min(max(place[1], 0), max(0, height - h))

    def overlap(place: tuple[float, float]) -> float:
        x, y = place
        return sum(
            max(0.0, min(x + w, r) - max(x, l)) * max(0.0, min(y + h, b) - max(y, t))
            for l, t, r, b in label_boxes
        )

    return min((inside(place) for place in places), key=overlap)
