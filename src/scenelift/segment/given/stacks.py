"""Takes NumPy arrays of masks apart: one mask an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.geometry.regions import border_of
from scenelift.segment.given.layers import MOST_LAYERS, Layer, Layers
from scenelift.segment.given.numbers import above_zero, brighter_half, layers_of_values
from scenelift.segment.given.pictures import layers_of_picture
from scenelift.types import Image, Size

__all__ = ["check_count", "layers_of_array"]


def layers_of_array(
    values: NDArray[Any], name: str, sizes: Sequence[Size] = (), photo: Image | None = None
) -> Layers:
    """Take an array apart: bool, numbers or logits [H, W], a stack of masks, or a picture.

    Args:
        values: [H, W], or with axes of length 1 around it; [N, H, W] or [H, W, N]; uint8 colours
            [H, W, 3] or [H, W, 4].
        name: of the file.
        sizes: heights and widths of the photo, by which a stack's axes are told.
        photo: the photo, to tell cut-outs.

    Raises:
        InputError: it has another shape or type.
    """
    while values.ndim > 3 and 1 in values.shape:
        values = values.squeeze(values.shape.index(1))
    if values.dtype.kind not in "buif" or values.ndim not in (2, 3) or not values.size:
        raise InputError(
            f"{name} holds {values.dtype} {list(values.shape)}; a mask [H, W], numbers of objects "
            "[H, W] or a stack of masks [N, H, W] were expected."
        )
    if values.ndim == 3:
        fits = [values.shape[1:] in sizes, values.shape[:2] in sizes]
        if _is_colour_picture(values) and (fits[1] or not fits[0]):
            return layers_of_picture(PIL.Image.fromarray(values), name, photo)
        if fits[1] and not fits[0]:
            values = np.moveaxis(values, -1, 0)
        check_count(values.shape, name, sizes)
        if values.dtype.kind == "f":
            values = np.nan_to_num(values)
        if len(values) > 1 and _are_chances(values):
            return _likeliest(values)
        masks = [brighter_half(each) for each in above_zero(values)]
        notes: list[str] = []
        if len(masks) > 1 and (np.sum(masks, 0) == 1).all() and _is_ground(masks[0]):
            if values.dtype.kind == "f" and (values < 0).any():
                masks[0] = np.zeros_like(masks[0])
                notes.append(
                    "it was read as the logits of classes, of which the first is the ground."
                )
            else:
                notes.append("its masks fill the photo: is the first one the ground? Leave it out.")
        layers = tuple(Layer(mask=m, key=k) for k, m in enumerate(masks) if m.any())
        return Layers(layers=layers, notes=tuple(notes))
    return layers_of_values(values)


def check_count(shape: Sequence[int], name: str, sizes: Sequence[Size]) -> None:
    """Refuse a stack of more masks than are read, by its shape alone.

    Args:
        shape: of the array.
        name: of the file.
        sizes: heights and widths of the photo, by which a stack's axes are told.

    Raises:
        InputError: there are too many.
    """
    axes = tuple(n for n in shape if n != 1)
    if len(axes) != 3:
        return
    count = axes[2] if axes[:2] in sizes and axes[1:] not in sizes else axes[0]
    if count > MOST_LAYERS:
        raise InputError(f"{name} holds {count} masks; up to {MOST_LAYERS} are read.")


def _are_chances(values: NDArray[Any]) -> bool:
    """Tell whether a stack holds each class's chance, as of a softmax: fractions of 1."""
    if values.dtype.kind != "f" or values.min() < 0 or np.isin(values, (0, 1)).all():
        return False
    return bool(np.allclose(values.sum(0), 1, atol=0.01))


def _is_ground(mask: NDArray[np.bool_]) -> bool:
    """Tell whether most of the photo's border is in a mask."""
    border = border_of(mask)
    return bool(border.mean() > 0.5)


def _likeliest(values: NDArray[Any]) -> Layers:
    """Find where each class is likelier than all others; the first is the ground."""
    classes = values.argmax(0)
    numbers = [k for k in np.unique(classes).tolist() if k > 0]
    return Layers(
        layers=tuple(Layer(mask=classes == k, key=k) for k in numbers),
        notes=("it was read as the chances of classes, of which the first is the ground.",),
    )


def _is_colour_picture(values: NDArray[Any]) -> bool:
    """Tell whether an array is a picture [H, W, 3 or 4], not three or four masks."""
    return values.dtype == np.uint8 and values.shape[-1] in (3, 4) and int(values.max()) > 1
