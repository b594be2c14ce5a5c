"""Reads a Python caller's masks: arrays, tensors, pictures of Pillow's, instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.pages import layers_of_pages
from scenelift.segment.given.shapes import Outline
from scenelift.segment.given.stacks import layers_of_array
from scenelift.types import Instance

__all__ = ["MaskSource", "mask_sources", "outlines_of"]

MaskSource: TypeAlias = "Path | NDArray[Any] | PIL.Image.Image | Instance | tuple[str, Any]"
"""A file or folder; bool or numbers [H, W] or masks [N, H, W]; a picture; an instance; a name and
one of these."""


def mask_sources(masks: Any) -> list[MaskSource]:
    """Split a caller's masks into single ones; a dictionary has them by their names.

    Raises:
        InputError: something in it is none.
    """
    if isinstance(masks, Mapping):
        named = cast("Mapping[Any, Any]", masks)
        for key in ("mask", "segmentation"):  # as transformers and SAM return one
            if key in named:
                label = str(named.get("label") or "")
                return [(label, source) for source in mask_sources(named[key])]
        return [(str(n), s) for n, value in named.items() for s in mask_sources(value)]
    if isinstance(masks, Path) or (isinstance(masks, str) and masks.strip()):
        return [Path(masks)]
    if isinstance(masks, Instance | PIL.Image.Image):
        return [masks]
    if hasattr(masks, "__array__") and not isinstance(masks, list | tuple):
        return [_array(masks)]
    if isinstance(masks, Sequence) and not isinstance(masks, str | bytes | bytearray):
        entries = cast("Sequence[Any]", masks)
        return [source for entry in entries for source in mask_sources(entry)]
    raise InputError(
        f"A mask is {str(masks)[:60]!r}, a {type(masks).__name__}; a path, an array bool [H, W] or "
        "[N, H, W], a picture of Pillow's, an Instance, or a list or a dictionary (name: mask) of "
        "these was expected."
    )


def outlines_of(
    source: MaskSource, number: int, canvas: Canvas
) -> tuple[list[Outline], tuple[str, ...]]:
    """Find the objects of a source that is no file, and notes on it.

    Args:
        source: as `mask_sources` gives it.
        number: of the source, for messages.
        canvas: the photo it lies on.

    Raises:
        InputError: it is no mask, or of another size.
    """
    label, score, name = "", 1.0, f"mask {number}"
    if isinstance(source, tuple):
        label, source = source
        name = f"mask {label!r}"
    if isinstance(source, Instance):
        label, score, source = label or source.label, source.score, source.mask
    if isinstance(source, PIL.Image.Image):
        layers = layers_of_pages(source, name, canvas.image)
    else:
        values = cast("NDArray[Any]", source)
        layers = layers_of_array(values, name, (canvas.full, canvas.size), canvas.image)
    if layers.is_photo or not layers.layers:
        fault = "the photo itself" if layers.is_photo else "empty: no pixel of it is an object's"
        raise InputError(f"The {name} is {fault}. Give True or white where the object is.")
    outlines = [
        Outline(label=label or each.name, score=score, mask=canvas.fitted(each.mask, name))
        for each in layers.layers
    ]
    return outlines, tuple(f"{name}: {note}" for note in layers.notes)


def _array(value: Any) -> NDArray[Any]:
    """Convert whatever gives an array, such as a tensor on any device."""
    try:
        tensor = value.detach().cpu() if hasattr(value, "detach") else value
        return np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError) as exc:
        raise InputError(f"A mask of type {type(value).__name__} gives no array: {exc}.") from exc
