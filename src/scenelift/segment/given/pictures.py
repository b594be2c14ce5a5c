"""Pictures of masks → one mask an object.

    alpha        where the visible pixels are one colour, or a photo's: the alpha is the mask
    one mask     two values, or one mask with a soft edge: the brighter half
    numbers      grey, or a palette of greys: one value an object, black is none
    colours      RGB, RGBA, a palette of colours: one colour an object; transparent is none, else
                 black, else what most of the picture's border shows

A palette is read by its colours, as every viewer shows it. Numbers or colours are told from soft
edges by areas: an object has pixels whose neighbours are all its own. Pixels of blended colours
between two objects go to the nearer one. A highest number far above the others (255 beside 1 and 2)
marks what belongs to none, as PASCAL VOC and Cityscapes have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError

__all__ = ["Layer", "Layers", "layers_of_array", "layers_of_picture"]

# Fewer pixels of a value or colour are an accident of blending, not an object.
LEAST_PIXELS = 16
MOST_LAYERS = 1000
# A picture of labels has most of its pixels in areas of one colour; a photo has not.
SOLID_SHARE = 0.8
# Up to so many numbers 1, 2, 3… are numbers whatever their shapes; more could be a smooth ramp.
FEW = 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One mask of a picture.

    Attributes:
        mask: bool [H, W], not empty.
        key: its number or its colour (r, g, b), None where the picture is one mask.
    """

    mask: NDArray[np.bool_]
    key: int | tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """What a picture holds; `void` is the number of what belongs to no object, where it has one."""

    layers: tuple[Layer, ...]
    void: int | None = None


def layers_of_picture(picture: PIL.Image.Image, name: str) -> Layers:
    """Take a picture of masks apart.

    Raises:
        InputError: its colours blend into each other: it is a photo or a drawing.
    """
    if picture.mode in ("P", "PA"):
        indices = np.asarray(picture.getchannel(0) if picture.mode == "PA" else picture)
        rgba = np.asarray(picture.convert("RGBA"))
        palette_indices = np.unique(indices)
        colours = {tuple(rgba[indices == k][0].tolist()) for k in palette_indices}
        if len(colours) == 1 and len(palette_indices) > 1:
            return _numbers(indices.astype(np.int32))  # a palette that nobody filled in
        return _colours(rgba, name, indices=indices)
    if picture.mode in ("1", "L", "I", "I;16", "I;16L", "I;16B", "F"):
        return layers_of_array(np.asarray(picture), name)
    return _colours(np.asarray(picture.convert("RGBA")), name)


def layers_of_array(values: NDArray, name: str) -> Layers:
    """Take an array apart: bool or numbers [H, W], or a stack of masks [N, H, W].

    Raises:
        InputError: it has another shape or type.
    """
    if values.ndim == 4 and 1 in (values.shape[0], values.shape[1]):
        values = values[0] if values.shape[0] == 1 else values[:, 0]  # [1, N, H, W], [N, 1, H, W]
    if values.dtype.kind not in "buif" or values.ndim not in (2, 3) or not values.size:
        raise InputError(
            f"{name} holds {values.dtype} {list(values.shape)}; a mask [H, W], numbers of objects "
            "[H, W] or a stack of masks [N, H, W] were expected."
        )
    if values.ndim == 3:
        if len(values) > MOST_LAYERS:
            raise InputError(f"{name} holds {len(values)} masks; up to {MOST_LAYERS} are read.")
        masks = [_brighter_half(np.nan_to_num(each)) for each in values]
        return Layers(layers=tuple(Layer(mask=m, key=k) for k, m in enumerate(masks) if m.any()))
    if values.dtype.kind == "f":
        finite = np.nan_to_num(values)
        whole = np.array_equal(finite, np.round(finite)) and abs(finite).max() < 2**31
        if not whole:
            return _one(_brighter_half(finite))
        values = finite
    return _numbers(values.astype(np.int32))


def _one(mask: NDArray[np.bool_]) -> Layers:
    return Layers(layers=(Layer(mask=mask),) if mask.any() else ())


def _brighter_half(values: NDArray) -> NDArray[np.bool_]:
    """One mask: of two values the higher; of more, those in the upper half of what there is."""
    if values.dtype == np.bool_:
        return values
    top, bottom = values.max(initial=0), values.min(initial=0)
    if top <= 0:
        return np.zeros(values.shape, np.bool_)
    if top != bottom and np.isin(values, (top, bottom)).all():
        return values == top
    return values >= (128 if 128 <= top <= 255 else top / 2)


def _numbers(values: NDArray[np.int32]) -> Layers:
    """Objects by number, or one mask."""
    ids, counts = np.unique(values[values != 0], return_counts=True)
    if len(ids) == 2 and (values != 0).all():
        return _one(values == ids[1])  # the darker value is what is around it
    if len(ids) < 2 or len(ids) > MOST_LAYERS:
        return _one(_brighter_half(values))
    solid = set(np.unique(values[_inside(values)]).tolist())
    void = _void(ids)
    objects = ids[:-1] if void is not None else ids
    areas = counts[: len(objects)]
    if void is not None and not all(
        k in solid and area >= LEAST_PIXELS for k, area in zip(objects.tolist(), areas, strict=True)
    ):
        void, objects, areas = None, ids, counts
    if not _are_numbers(values, objects, areas, solid):
        return _one(_brighter_half(values))
    return Layers(
        layers=tuple(Layer(mask=values == k, key=int(k)) for k in objects.tolist()), void=void
    )


def _void(ids: NDArray[np.int32]) -> int | None:
    """The highest number a picture can hold, where it is far above all others."""
    ids = ids[ids > 0]
    if len(ids) < 2:
        return None
    top = int(ids[-1])
    steps = np.diff(np.concatenate([[0], ids]))
    return top if top in (255, 65535) and steps[-1] > 2 * steps[:-1].max() else None


def _are_numbers(
    values: NDArray[np.int32], ids: NDArray[np.int32], areas: NDArray[np.intp], solid: set[int]
) -> bool:
    """Whether grey values are numbers of objects, not the soft edge of one mask."""
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


def _inside(values: NDArray) -> NDArray[np.bool_]:
    """Pixels whose neighbours above, below, left and right are as they are."""
    inside = np.zeros(values.shape, np.bool_)
    middle = values[1:-1, 1:-1]
    inside[1:-1, 1:-1] = (
        (values[:-2, 1:-1] == middle)
        & (values[2:, 1:-1] == middle)
        & (values[1:-1, :-2] == middle)
        & (values[1:-1, 2:] == middle)
    )
    return inside


def _colours(rgba: NDArray[np.uint8], name: str, indices: NDArray | None = None) -> Layers:
    """Objects by colour, or one mask; `indices` are those of a palette."""
    visible = rgba[..., 3] >= 128
    red, green, blue = (rgba[..., channel] for channel in range(3))
    opaque = bool(visible.all())
    if opaque and (red == green).all() and (red == blue).all():
        return _numbers(red.astype(np.int32))
    codes = (red.astype(np.int32) << 16) | (green.astype(np.int32) << 8) | blue
    codes[~visible] = -1
    void = None
    if indices is not None and (void := _void(np.unique(indices).astype(np.int32))) is not None:
        codes[indices == void] = 0 if opaque else -1
    solid, counts = np.unique(codes[_inside(codes)], return_counts=True)
    solid = solid[counts >= LEAST_PIXELS]
    solid_pixels = np.isin(codes, solid)
    background = {_background(codes)} if opaque else {-1, *([0] if len(solid) > 2 else [])}
    labels = [k for k in solid.tolist() if k not in background]
    if solid_pixels.mean() < SOLID_SHARE or not labels or len(labels) > MOST_LAYERS:
        if not opaque:
            return _one(visible)
        if all((abs(red.astype(np.int16) - c) <= 8).all() for c in (green, blue)):
            return _one(_brighter_half(green))  # grey, but for the noise of a lossy format
        raise InputError(
            f"{name} has colours that blend into each other, as a photo has. Give a picture with "
            "one plain colour an object on black, or one white-on-black PNG an object."
        )
    if not opaque and len(solid) <= 2:
        return _one(visible)
    if not solid_pixels.all():
        codes = _to_nearest(codes, solid_pixels)
    place = {k: int(np.argmax(codes == k)) for k in labels}
    if indices is not None:  # in the order of their numbers; else as they come from the top
        place = {k: int(indices.flat[at]) for k, at in place.items()}
    return Layers(
        layers=tuple(
            Layer(mask=codes == k, key=(k >> 16, k >> 8 & 255, k & 255))
            for k in sorted(labels, key=place.__getitem__)
        ),
        void=void,
    )


def _background(codes: NDArray[np.int32]) -> int:
    """Black where there is some, else the colour of most of the border."""
    if (codes == 0).any():
        return 0
    border = np.concatenate([codes[0], codes[-1], codes[:, 0], codes[:, -1]])
    values, counts = np.unique(border, return_counts=True)
    return int(values[counts.argmax()])


def _to_nearest(codes: NDArray[np.int32], solid_pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Blended pixels take the colour of the nearest plain one."""
    from scipy import ndimage

    nearest: Any = ndimage.distance_transform_edt(
        ~solid_pixels, return_distances=False, return_indices=True
    )
    return codes[nearest[0], nearest[1]]
