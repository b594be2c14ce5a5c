"""The masks that one file of the user's holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_LAYERS", "Layer", "Layers", "one_mask"]

MOST_LAYERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One mask of a picture.

    Attributes:
        mask: bool [H, W], not empty.
        key: its number or its colour (r, g, b), None where the picture is one mask.
        name: what the file calls it (a page of a TIFF may have a name), "" where it says nothing.
        score: what the file says, in 0…1.
    """

    mask: NDArray[np.bool_]
    key: int | tuple[int, int, int] | None = None
    name: str = ""
    score: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a file holds.

    Attributes:
        layers: its masks.
        notes: what was taken for no object, in plain sentences without the file's name.
        is_photo: it is the photo itself, which is no mask; there are no layers then.
    """

    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()
    is_photo: bool = False


def one_mask(mask: NDArray[np.bool_], *notes: str) -> Layers:
    """Make layers of a picture that is one mask, without any where it is empty."""
    return Layers(layers=(Layer(mask=mask),) if mask.any() else (), notes=notes)
