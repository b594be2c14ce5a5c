"""Read colours of 16 bits a channel, of which Pillow keeps the upper eight."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO

import numpy as np
import PIL.Image
from numpy.typing import NDArray

__all__ = ["wide_channels", "wide_layout"]

# Pillow's layouts of 16 bits a channel, and those that show the lower byte in place of the upper.
_OTHER_ORDER = "B" if sys.byteorder == "little" else "L"
_LOWER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGB;16N": f"RGB;16{_OTHER_ORDER}",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBA;16N": f"RGBA;16{_OTHER_ORDER}",
}
# Grey and alpha: together a whole number of 32 bits, with the grey above.
_GREY_AND_ALPHA, _BOTH = "LA;16B", "I;32B"


def wide_layout(picture: PIL.Image.Image) -> str | None:
    """Return the layout of an opened, not yet loaded picture with 16 bits a channel, else None."""
    layouts = {_layout(tile) for tile in getattr(picture, "tile", [])}
    layout = layouts.pop() if len(layouts) == 1 else None
    return layout if layout in _LOWER_BYTE or layout == _GREY_AND_ALPHA else None


def wide_channels(picture: PIL.Image.Image, layout: str, file: BinaryIO) -> NDArray[np.uint16]:
    """Read red, green and blue [H, W, 3], or grey [H, W], in all their 16 bits.

    Args:
        picture: loaded.
        layout: its `wide_layout`.
        file: which it was read from; it is decoded once more.
    """
    file.seek(0)
    again: Any = PIL.Image.open(file, formats=[picture.format] if picture.format else None)
    is_grey = layout == _GREY_AND_ALPHA
    other_layout = _BOTH if is_grey else _LOWER_BYTE[layout]
    again.tile = [tile._replace(args=_with_layout(tile.args, other_layout)) for tile in again.tile]
    if is_grey:
        again._mode = "I"
        return (np.asarray(again).view(np.uint32) >> 16).astype(np.uint16)
    upper = np.asarray(picture)[..., :3]
    lower = np.asarray(again)[..., :3]
    return np.asarray((upper.astype(np.uint16) << 8) | lower, np.uint16)


def _layout(tile: Any) -> str:
    """Return the layout of a tile's bytes, as Pillow calls it."""
    arguments = tile[3]
    if isinstance(arguments, str):
        return arguments
    return str(arguments[0]) if arguments else ""


def _with_layout(arguments: Any, layout: str) -> Any:
    return layout if isinstance(arguments, str) else (layout, *arguments[1:])
