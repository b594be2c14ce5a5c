"""Pages of a TIFF, frames of an animation: one mask or more each, as in a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageOps

from scenelift.errors import InputError
from scenelift.io.image import MAX_PIXELS
from scenelift.io.tiff import SMALLER_COPY, kind_of_page, names_of_channels
from scenelift.segment.given.layers import MOST_LAYERS, Layer, Layers
from scenelift.segment.given.pictures import layers_of_picture
from scenelift.types import Image

__all__ = ["layers_of_pages"]

# Of all pages together: a thousand masks of a megapixel, or a hundred of ten.
MOST_PIXELS = 2**30
# TIFF's tags.
NAME_OF_PAGE = 285
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
PLANES, APART = 284, 2
SOFTWARE = 305
DESCRIPTION = 270


def layers_of_pages(picture: PIL.Image.Image, name: str, photo: Image | None = None) -> Layers:
    """Take the pages of an opened picture apart.

    Smaller copies that a TIFF has of its pages are passed over; so are the further pictures in a
    phone's JPEG, which are no masks.

    Raises:
        InputError: one is larger than we read, there are too many, or as for `layers_of_picture`.
    """
    layers: list[Layer] = []
    notes: list[str] = []
    number, pixels = 0, 0
    software = getattr(picture, "tag_v2", {}).get(SOFTWARE)  # of the first page only
    description = str(getattr(picture, "tag_v2", {}).get(DESCRIPTION) or "")
    file = getattr(picture, "filename", "")
    has_names = file and (description.startswith("ImageJ=") or "<OME" in description)
    channels = names_of_channels(Path(file)) if has_names else []
    by_tifffile = str(software or "").startswith("tifffile")
    while True:
        if picture.width * picture.height > MAX_PIXELS:
            raise InputError(f"{name} has more than {MAX_PIXELS // 10**6} megapixels.")
        tags = getattr(picture, "tag_v2", {})
        if not (number and kind_of_page(picture) & SMALLER_COPY):
            pixels += picture.width * picture.height
            picture.load()
            take_apart = _as_arrays_have_it if by_tifffile else layers_of_picture
            page = take_apart(picture, name, photo)
            if page.is_photo and not number:
                return page
            called = str(tags.get(NAME_OF_PAGE) or "").strip()
            called = called or (channels[number] if number < len(channels) else "")
            title = called if len(page.layers) == 1 else ""
            layers += [replace(layer, name=title) for layer in page.layers]
            notes += page.notes
        if picture.format == "MPO":
            break
        number += 1
        if number > MOST_LAYERS or pixels > MOST_PIXELS or len(layers) > MOST_LAYERS:
            raise InputError(
                f"{name} has more pages than are read as masks (up to {MOST_LAYERS}, of "
                f"{MOST_PIXELS // 10**6} megapixels together). Split it."
            )
        try:
            picture.seek(number)
        except EOFError:
            break
    return Layers(layers=tuple(layers), notes=tuple(dict.fromkeys(notes)))


def _as_arrays_have_it(picture: PIL.Image.Image, name: str, photo: Image | None) -> Layers:
    """Read a TIFF page of tifffile's (also scikit-image's and imageio's) like the array it was.

    It writes bool with white as 0, and a stack of three or four masks as the planes of a colour. As
    long as masks do not overlap, the colours say the same.
    """
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "1" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        return layers_of_picture(ImageOps.invert(picture.convert("L")), name, photo)
    if tags.get(PLANES) == APART and _are_masks(picture.split()):
        parts = [layers_of_picture(band, name, photo) for band in picture.split()]
        return Layers(layers=tuple(layer for part in parts for layer in part.layers))
    return layers_of_picture(picture, name, photo)


def _are_masks(planes: Sequence[PIL.Image.Image]) -> bool:
    """Tell whether colour planes are masks: of two values each, and more than one at a pixel."""
    values = [np.asarray(plane) for plane in planes]
    if len(values) < 3 or any(len(np.unique(v)) > 2 or v.min() for v in values):
        return False
    return bool((np.sum([v > 0 for v in values], 0) > 1).any())
