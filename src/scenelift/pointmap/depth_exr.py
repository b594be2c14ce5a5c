"""Reads depth from OpenEXR files of renderers: the right channel, of the whole picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.image import MAX_PIXELS

__all__ = ["read_exr"]

# Names of depth alone, best first; of a layer's channel, its last part.
DEPTHS = ("depth", "z", "disparity", "v", "y", "r")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    """A channel that may be depth.

    Attributes:
        part: number of its part. name: in the file. title: with the name of its part.
        rank: the lower, the likelier.
    """

    part: int
    name: str
    title: str
    rank: int


def read_exr(path: Path) -> tuple[str, NDArray[Any]]:
    """Return the name of the depth channel, and its values [H, W] in the display window.

    Raises:
        InputError: there is no depth, or there are several; or it is damaged or too large.
    """
    import OpenEXR

    try:
        with OpenEXR.File(str(path), header_only=True) as file:
            parts = [
                (_text(part.name()), dict(part.header), list(part.channels)) for part in file.parts
            ]
        for _, header, _ in parts:
            for window in ("dataWindow", "displayWindow"):
                height, width = _size(header[window])
                if not 0 < width * height <= MAX_PIXELS:
                    raise InputError(f"{path.name} has more than {MAX_PIXELS // 10**6} megapixels.")
        with OpenEXR.File(str(path), separate_channels=True) as file:
            pixels = [{n: c.pixels for n, c in part.channels.items()} for part in file.parts]
    except (RuntimeError, KeyError, IndexError) as exc:
        raise InputError(f"{path.name} cannot be read as depth: {exc}") from exc
    best = _best(
        [(name, channels) for (name, _, _), channels in zip(parts, pixels, strict=True)], path
    )
    header = parts[best.part][1]
    return best.title, _in_display(pixels[best.part][best.name], header)


def _best(parts: list[tuple[str, Mapping[str, NDArray[Any]]]], path: Path) -> _Channel:
    """Choose the channel of depth.

    Raises:
        InputError: none may be, or two that differ are as likely.
    """
    candidates = sorted(
        (
            c
            for number, (name, channels) in enumerate(parts)
            for c in _candidates(number, name, channels)
        ),
        key=lambda c: c.rank,
    )
    names = [f"{name}.{c}" if name else c for name, channels in parts for c in channels]
    if not candidates:
        raise InputError(
            f"{path.name} has the channels {', '.join(sorted(names))}; depth was expected in Z."
        )
    best = candidates[0]
    for other in candidates[1:]:
        a, b = parts[best.part][1][best.name], parts[other.part][1][other.name]
        if other.rank == best.rank and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            raise InputError(
                f"{path.name} has depth in {best.title} and in {other.title}, which differ. Save "
                "the one that belongs to the photo alone."
            )
    return best


def _candidates(part: int, part_name: str, channels: Mapping[str, NDArray[Any]]) -> list[_Channel]:
    folded = {name.casefold() for name in channels}
    rgb = [channels[c] for c in "RGB" if c in channels]
    is_grey = len(rgb) == 3 and all(np.array_equal(rgb[0], c, equal_nan=True) for c in rgb[1:])
    has_colours = bool(rgb) and not is_grey and len(channels) > 1
    candidates: list[_Channel] = []
    for name in channels:
        layer, _, last = name.casefold().rpartition(".")
        prefix = f"{layer}." if layer else ""
        in_depth = any(word in f"{part_name} {layer}".casefold() for word in ("depth", "disparity"))
        if {f"{prefix}x", f"{prefix}y"} & (folded - {name.casefold()}) and last in ("x", "y", "z"):
            continue  # a vector: a normal, or a position
        if has_colours and last in ("r", "g", "b", "y", "v") and not in_depth:
            continue
        if last not in DEPTHS and not (len(channels) == 1 or "depth" in last):
            continue
        if layer and not in_depth and last in ("y", "r", "v"):
            continue
        order = DEPTHS.index(last) if last in DEPTHS else len(DEPTHS)
        # A layer called depth, then Z by itself, then a Z of some other layer.
        rank = 10 * (0 if in_depth or last == "depth" else 1 if not layer else 2) + order
        title = f"{part_name}.{name}" if part_name else name
        candidates.append(_Channel(part=part, name=name, title=title, rank=rank))
    return candidates


def _in_display(values: NDArray[Any], header: Mapping[str, Any]) -> NDArray[Any]:
    """Lay pixels of the data window into the display window, which is the picture's."""
    (left, top), _ = _corners(header["dataWindow"])
    (x0, y0), _ = _corners(header["displayWindow"])
    height, width = _size(header["displayWindow"])
    if (left, top) == (x0, y0) and values.shape == (height, width):
        return values
    empty = np.nan if values.dtype.kind == "f" else 0
    whole = np.full((height, width), empty, values.dtype)
    row, column = top - y0, left - x0
    rows = slice(max(row, 0), min(row + values.shape[0], height))
    columns = slice(max(column, 0), min(column + values.shape[1], width))
    if rows.start < rows.stop and columns.start < columns.stop:
        whole[rows, columns] = values[
            rows.start - row : rows.stop - row, columns.start - column : columns.stop - column
        ]
    return whole


def _corners(window: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    low, high = window
    return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


def _size(window: Any) -> tuple[int, int]:
    (x0, y0), (x1, y1) = _corners(window)
    return y1 - y0 + 1, x1 - x0 + 1


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")
