"""Reads grey pictures and arrays of numbers: one mask a number, or one mask.

Numbers are told from soft edges by areas: an object has pixels whose neighbours are all its own. A
highest number far above the others (255 beside 1 and 2) marks what belongs to none, as PASCAL VOC
and Cityscapes have it. Negative numbers belong to none. A trimap's unknown band is no object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.regions import border_of
from scenelift.segment.given.layers import MOST_LAYERS, Layer, Layers, one_mask
from scenelift.segment.given.plain import LEAST_PIXELS, touching_pairs

__all__ = [
    "above_zero",
    "brighter_half",
    "inside",
    "layers_of_numbers",
    "layers_of_values",
    "trimap",
    "void_note",
    "void_of",
]

# Up to so many numbers 1, 2, 3… are numbers whatever their shapes; more could be a smooth ramp.
FEW = 16
# A trimap's unknown band keeps object and ground apart but for so much of all edges.
MOST_TOUCHING = 0.02


def layers_of_values(values: NDArray[Any]) -> Layers:
    """Find the objects of an array [H, W]: bool, numbers, fractions of 1 or logits."""
    if values.dtype == np.bool_:
        return one_mask(values)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        if not np.array_equal(values, np.round(values)) or float(abs(values).max()) >= 2**31:
            return trimap(values) or one_mask(brighter_half(above_zero(values)))
    return layers_of_numbers(values)


def above_zero(values: NDArray[Any]) -> NDArray[Any]:
    """Turn logits, floating-point numbers on both sides of 0, into masks; all else stays."""
    return values > 0 if values.dtype.kind == "f" and (values < 0).any() else values


def layers_of_numbers(values: NDArray[Any]) -> Layers:
    """Find objects by number [H, W], or one mask."""
    values = values.astype(np.int32)
    if values.min() < 0:
        values = _without_negatives(values)
    if (of_trimap := trimap(values)) is not None:
        return of_trimap
    ids, counts = np.unique(values[values != 0], return_counts=True)
    if len(ids) == 2 and (values != 0).all():
        return one_mask(values == ids[1])  # the darker value is what is around it
    if len(ids) < 2 or len(ids) > MOST_LAYERS:
        return one_mask(brighter_half(values))
    solid = set(np.unique(values[inside(values)]).tolist())
    void = void_of(ids)
    objects = ids[:-1] if void is not None else ids
    areas = counts[: len(objects)]
    if void is not None and not all(
        k in solid and area >= LEAST_PIXELS for k, area in zip(objects.tolist(), areas, strict=True)
    ):
        void, objects, areas = None, ids, counts
    if not _are_numbers(values, objects, areas, solid):
        return one_mask(brighter_half(values))
    notes = [] if void is None else [void_note(void)]
    if void is None and ids.tolist() == [1, 2] and _is_around(values):
        notes.append("1 lies all around 2: if it is a trimap, save it as 0, 128 and 255.")
    return Layers(
        layers=tuple(Layer(mask=values == k, key=int(k)) for k in objects.tolist()),
        notes=tuple(notes),
    )


def _is_around(values: NDArray[np.int32]) -> bool:
    """Tell whether 1 lies between 0 and 2 wherever they could meet."""
    pairs = touching_pairs(values)
    meet = np.isin(pairs, (0, 2)).all(1).sum() > MOST_TOUCHING * len(pairs)
    return bool(not meet and np.isin(pairs, (1, 2)).all(1).any())


def void_note(void: object) -> str:
    """Write a note on what was taken for no object."""
    return f"{void} was taken to mark pixels of no object."


def trimap(values: NDArray[Any]) -> Layers | None:
    """Return the object of a trimap [H, W], None where it is none.

    0, 128 and 255 (or parts of 1), as matting has them; 2, 3 and 1, as the Oxford pets have them:
    ground, unknown, object. In both a band of the unknown lies between the other two.
    """
    present = np.unique(values)
    if len(present) != 3:
        return None
    low, middle, top = (float(v) for v in present)
    if low == 0 and top > 0 and abs(middle / top - 128 / 255) < 0.01 and top in (1.0, 254.0, 255.0):
        ground, unknown, sure = low, middle, top
    elif (low, middle, top) == (1, 2, 3):
        ground, unknown, sure = middle, top, low
    else:
        return None
    indices = np.searchsorted(present, values).astype(np.int32)
    pairs = touching_pairs(indices)
    ends = np.searchsorted(present, (ground, sure))
    if np.isin(pairs, ends).all(1).sum() > MOST_TOUCHING * len(pairs):
        return None
    note = f"it was read as a trimap: {sure:g} is the object, {unknown:g} is unknown and left out."
    return one_mask(values == sure, note)


def brighter_half(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Make one mask: of two values the higher; of more, those in the upper half of the range."""
    if values.dtype == np.bool_:
        return values
    top, bottom = values.max(initial=0), values.min(initial=0)
    if top <= 0:
        return np.zeros(values.shape, np.bool_)
    if top != bottom and np.isin(values, (top, bottom)).all():
        return values == top
    return values >= (128 if 128 <= top <= 255 else top / 2)


def void_of(ids: NDArray[np.int32]) -> int | None:
    """Return the highest number a picture can hold, where it is far above all others."""
    ids = ids[ids > 0]
    if len(ids) < 2:
        return None
    top = int(ids[-1])
    steps = np.diff(np.concatenate([[0], ids]))
    return top if top in (255, 65535) and steps[-1] > 2 * steps[:-1].max() else None


def _are_numbers(
    values: NDArray[np.int32], ids: NDArray[np.int32], areas: NDArray[np.intp], solid: set[int]
) -> bool:
    """Tell whether grey values are numbers of objects, not the soft edge of one mask."""
    if len(ids) == 1:
        return True
    if len(ids) <= FEW and ids[-1] <= len(ids) + 1:
        return True  # 1, 2, 3…: no edge is that dark
    with_area = [k in solid and a >= LEAST_PIXELS for k, a in zip(ids.tolist(), areas, strict=True)]
    if np.mean(with_area) <= 0.5:
        return False
    if len(ids) <= FEW:
        return True
    # A wide ramp has areas too, but its neighbours differ by little.
    steps = abs(np.diff(values, axis=1))
    return bool(np.median(steps[steps > 0]) > 2)


def inside(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Find pixels whose neighbours above, below, left and right have the same value."""
    result = np.zeros(values.shape, np.bool_)
    middle = values[1:-1, 1:-1]
    result[1:-1, 1:-1] = (
        (values[:-2, 1:-1] == middle)
        & (values[2:, 1:-1] == middle)
        & (values[1:-1, :-2] == middle)
        & (values[1:-1, 2:] == middle)
    )
    return result


def _without_negatives(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Set negative numbers to 0; where they are the ground, 0 becomes a number."""
    border = border_of(values)
    ground_is_negative = (border < 0).sum() > (border == 0).sum()
    return np.where(values < 0, 0, values + 1 if ground_is_negative else values)
