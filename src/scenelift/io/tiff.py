"""Read numbers in TIFF files, also in forms that Pillow does not read by itself.

Floating point of 16 and 64 bits comes through Pillow's decoder (and so in every compression that
libtiff has), several channels of floating point through tifffile.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from scenelift.errors import InputError

__all__ = [
    "A_MASK",
    "SMALLER_COPY",
    "WHITE",
    "has_white_zero",
    "is_half_float",
    "kind_of_page",
    "names_of_channels",
    "numbers_of",
    "read_channels",
]

MOST_PAGES = 1000
SAMPLE_FORMAT, FLOATING = 339, 3
BITS = 258
PHOTOMETRIC, WHITE_IS_ZERO, WHITE = 262, 0, 65535
# What kind of page it is, by bits.
KIND_OF_PAGE, SMALLER_COPY, A_MASK = 254, 1, 4

# Byte order, brightness grows, kind of number, bits from the left, bits, further channels ->
# Pillow's mode and layout. It has no mode of 16 floating-point bits: they come as whole numbers.
_LAYOUTS = {
    (TiffImagePlugin.II, 1, (FLOATING,), 1, (64,), ()): ("F", "F;64F"),
    (TiffImagePlugin.MM, 1, (FLOATING,), 1, (64,), ()): ("F", "F;64BF"),
    (TiffImagePlugin.II, 1, (FLOATING,), 1, (16,), ()): ("I;16", "I;16"),
    (TiffImagePlugin.MM, 1, (FLOATING,), 1, (16,), ()): ("I;16B", "I;16B"),
}
for _form, _layout in _LAYOUTS.items():
    TiffImagePlugin.OPEN_INFO.setdefault(_form, _layout)


def kind_of_page(picture: PIL.Image.Image) -> int:
    """Return the bits (`SMALLER_COPY`, `A_MASK`) of the current page of a TIFF; 0 for others."""
    return int(getattr(picture, "tag_v2", {}).get(KIND_OF_PAGE) or 0)


def is_half_float(picture: PIL.Image.Image) -> bool:
    """Return whether a picture has 16-bit floats, which Pillow reads as integers."""
    tags: Any = getattr(picture, "tag_v2", {})
    return tags.get(SAMPLE_FORMAT) == (FLOATING,) and tags.get(BITS) == (16,)


def has_white_zero(picture: PIL.Image.Image) -> bool:
    """Return whether a picture of 16 bits has 0 for white; in 8 bits Pillow turns that round."""
    tags: Any = getattr(picture, "tag_v2", {})
    return tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and picture.mode.startswith("I;16")


def numbers_of(picture: PIL.Image.Image) -> NDArray[Any]:
    """Return the values [H, W] of a picture with one channel; the larger, the brighter."""
    values = np.asarray(picture)
    if not is_half_float(picture):
        return np.asarray(WHITE - values, values.dtype) if has_white_zero(picture) else values
    order = ">" if picture.mode == "I;16B" else "<"
    # Pillow's arrays have the machine's order, whatever the file's.
    whole = values.astype(values.dtype.newbyteorder(order))
    return whole.view(np.dtype(np.float16).newbyteorder(order)).astype(np.float32)


DAMAGED_TIFF = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, ImportError),
    *(struct.error, MemoryError, OverflowError),
)


def names_of_channels(path: Path) -> list[str]:
    """Return what ImageJ or OME calls the pages of a TIFF, in order; [] where it is unclear."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            metadata = cast("dict[str, list[object]]", file.imagej_metadata or {})
            labels = metadata.get("Labels") or []
            if file.is_ome:
                labels = re.findall(r'<Channel\b[^>]*?\bName="([^"]*)"', file.ome_metadata or "")
            names: list[str] = [str(label) for label in labels]
            return names if len(names) == len(file.pages) else []
    except (*DAMAGED_TIFF, OSError, tifffile.TiffFileError):
        return []


def _values_of(page: Any) -> NDArray[Any]:
    values = np.asarray(page.asarray())
    is_turned = page.photometric == WHITE_IS_ZERO and values.dtype.kind == "u"
    return np.iinfo(values.dtype).max - values if is_turned else values


def read_channels(path: Path, most_bytes: int) -> NDArray[Any] | None:
    """Read the pages of a TIFF that Pillow does not read; None if the file is no TIFF.

    One page is [H, W, C] or [H, W], several of one form are a stack of those.

    Raises:
        InputError: it is damaged, too large, or packed in a way that is not read here.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            pages = [file.pages[k] for k in range(min(len(file.pages), MOST_PAGES))]
            if sum(page.nbytes for page in pages) > most_bytes:
                raise InputError(
                    f"{path.name} claims {len(pages)} pages of {list(pages[0].shape)} values, more "
                    "than any photo has. Give what belongs to one photo."
                )
            arrays = [_values_of(page) for page in pages if page.shape == pages[0].shape]
            return arrays[0] if len(arrays) == 1 else np.stack(arrays)
    except tifffile.TiffFileError:
        return None
    except DAMAGED_TIFF as exc:
        raise InputError(
            f"{path.name} cannot be read as TIFF ({exc}). Save it without compression, or the "
            "array as .npy."
        ) from exc
