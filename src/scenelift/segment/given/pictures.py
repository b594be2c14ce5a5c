"""Takes pictures of masks apart: one mask an object.

    alpha        where the visible pixels are one colour, or a photo's: the alpha is the mask
    cut-out      what was cut out of a photo, on transparent, black or white: one mask
    one mask     two values, or one mask with a soft edge: the brighter half
    numbers      grey, or a palette of greys: one value an object, black is none
    colours      RGB, RGBA, a palette of colours: one colour an object; transparent is none, else
                 black, else what most of the picture's border shows

A palette is read by its colours, as every viewer shows it. Pixels of blended colours between two
objects go to the nearer one, and what a lossy format did to a plain colour is undone (`plain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps

from scenelift.errors import InputError
from scenelift.geometry.regions import border_of
from scenelift.io.tiff import WHITE, has_white_zero
from scenelift.segment.given.checkerboard import cut_off_checkerboard
from scenelift.segment.given.cutout import is_posterised, looks_like_photo
from scenelift.segment.given.ground import PLAIN_NOISE, cut_out, plain_ground, without_halo
from scenelift.segment.given.layers import MOST_LAYERS, Layer, Layers, one_mask
from scenelift.segment.given.numbers import (
    inside,
    layers_of_numbers,
    layers_of_values,
    trimap,
    void_note,
    void_of,
)
from scenelift.segment.given.plain import (
    LEAST_PIXELS,
    NEAR,
    codes_of,
    colours_of,
    nearest_of,
    plain_colours,
)
from scenelift.types import Image

__all__ = ["layers_of_picture"]

# A picture of labels has most of its pixels in areas of one colour; a photo has not.
SOLID_SHARE = 0.8
# So many colours beyond those with areas are blends or noise.
FEW_BLENDS = 16
# PASCAL VOC's colour of what belongs to no object, and how far a lossy format moves its colours.
VOC_VOID, VOC_NEAR = (224, 224, 192), 8


def layers_of_picture(picture: PIL.Image.Image, name: str, photo: Image | None = None) -> Layers:
    """Take a picture of masks apart.

    Args:
        picture: one page.
        name: of its file.
        photo: what it lies on, by which a cut-out is told; None where that is not known.

    Raises:
        InputError: its colours blend into each other: it is a photo or a drawing; or it holds
            numbers in a format that does not keep them.
    """
    is_jpeg = picture.format in ("JPEG", "MPO")
    white_zero = has_white_zero(picture)  # of which a turned copy says nothing
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("P", "PA"):
        indices = np.asarray(picture.getchannel(0) if picture.mode == "PA" else picture)
        rgba = np.array(picture.convert("RGBA"))
        used = np.unique(indices)
        colours = {tuple(rgba[indices == k][0].tolist()) for k in used}
        if len(colours) == 1 and len(used) > 1:
            return layers_of_numbers(indices)  # a palette that nobody filled in
        return _colours(rgba, name, photo, indices=indices)
    if picture.mode == "L":
        return _grey(np.asarray(picture), name, photo, is_jpeg=is_jpeg)
    if picture.mode == "F" or picture.mode[0] in "1I":
        values = np.asarray(picture)
        return layers_of_values(WHITE - values if white_zero else values)
    return _colours(np.array(picture.convert("RGBA")), name, photo, is_jpeg=is_jpeg)


def _grey(
    grey: NDArray[np.uint8], name: str, photo: Image | None, *, is_jpeg: bool = False
) -> Layers:
    """Find objects by grey value, one mask, or a cut-out of the photo without its colours."""
    present = np.unique(grey)
    if len(present) > 2 or present[0] > 0:
        rgb = np.repeat(grey[..., None], 3, -1)
        if looks_like_photo(rgb, np.ones(grey.shape, np.bool_), photo):
            return Layers(layers=(), is_photo=True)
        ground = plain_ground(rgb, photo)
        if ground is not None and looks_like_photo(rgb, ~ground.mask, photo):
            return cut_out(without_halo(ground, rgb, photo), rgb, photo)
        if is_jpeg and present[-1] <= NEAR:
            raise InputError(
                f"{name} has numbers up to {present[-1]} as JPEG, which does not keep such small "
                "ones apart. Save the labels as PNG."
            )
    layers = layers_of_numbers(grey)
    if len(layers.layers) == 1 and layers.layers[0].key is None and len(present) > 3:
        layers = _lossy_numbers(grey) or layers
    return layers


def _lossy_numbers(grey: NDArray[np.uint8]) -> Layers | None:
    """Find objects by grey values that a lossy format has spread, None where it is one mask."""
    rgb = np.repeat(grey[..., None], 3, -1)
    plain = plain_colours(rgb, np.ones(grey.shape, np.bool_))
    if plain is None or len(plain.colours) < 3:
        return None
    values = plain.colours[:, 0].astype(np.int32)
    # Next to black is black, and so on: the values that tools choose for ground, unknown, object.
    for usual in (0, 128, 255):
        values[abs(values - usual) <= PLAIN_NOISE // 4] = usual
    snapped = values[plain.labels]
    if not plain.holds(snapped > 0):
        return None
    if is_posterised(np.where(snapped > 0, plain.labels, -1), plain.colours):
        return None
    return trimap(snapped) or layers_of_numbers(snapped)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Areas:
    """A picture as areas of colours.

    Attributes:
        labels: int32 [H, W], which colour a pixel has, -1 for none.
        colours: uint8 [K, 3].
        ground: those colours that are no object's.
    """

    labels: NDArray[np.int32]
    colours: NDArray[np.uint8]
    ground: set[int]


def _colours(
    rgba: NDArray[np.uint8],
    name: str,
    photo: Image | None,
    *,
    indices: NDArray[Any] | None = None,
    is_jpeg: bool = False,
) -> Layers:
    """Find objects by colour, or one mask; `indices` are those of a palette."""
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    top = int(alpha.max())
    if not top:
        return Layers(layers=(), notes=("all of it is transparent: save it without alpha.",))
    visible = alpha >= (128 if top >= 128 else (top + 1) // 2)  # half of what there is
    opaque = bool(visible.all())
    if opaque and (rgb == rgb[..., :1]).all():
        return _grey(rgb[..., 0], name, photo, is_jpeg=is_jpeg)
    notes: list[str] = []
    if indices is not None and (void := void_of(np.unique(indices).astype(np.int32))) is not None:
        rgb[indices == void] = 0
        if not opaque:
            visible &= indices != void
        notes.append(void_note(void))
    if looks_like_photo(rgb, visible, photo):
        return Layers(layers=(), is_photo=True) if opaque else one_mask(visible)
    if opaque and (on_board := cut_off_checkerboard(rgb)) is not None:
        return on_board
    ground = plain_ground(rgb, photo) if opaque else None
    if ground is not None and looks_like_photo(rgb, ~ground.mask, photo):
        return cut_out(without_halo(ground, rgb, photo), rgb, photo)
    areas = _areas(rgb, visible)
    if areas is not None:
        return _objects(areas, opaque=opaque, indices=indices, notes=notes)
    if not opaque:
        return one_mask(visible)
    if (np.ptp(rgb.astype(np.int16), axis=-1) <= PLAIN_NOISE).all():
        return _grey(rgb[..., 1], name, None, is_jpeg=is_jpeg)  # but for a lossy format's noise
    if ground is not None and ground.is_usual:
        return cut_out(ground, rgb, photo)
    raise InputError(
        f"{name} has colours that blend into each other, as a photo has. Give a picture with "
        "one plain colour an object on black, a cut-out on transparent, black or white, or one "
        "white-on-black PNG an object."
    )


def _areas(rgb: NDArray[np.uint8], visible: NDArray[np.bool_]) -> _Areas | None:
    """Find the colours that have areas, each pixel with one; None where it is a photo."""
    codes = codes_of(rgb)
    codes[~visible] = -1
    solid, counts = np.unique(codes[inside(codes)], return_counts=True)
    solid = solid[(counts >= LEAST_PIXELS) & (solid >= 0)]
    plain = None
    used = np.count_nonzero(np.bincount(codes[visible], minlength=1 << 24))
    if used - len(solid) > max(FEW_BLENDS, len(solid)):
        plain = plain_colours(rgb, visible)
        if plain is None:
            return None
        labels, colours = plain.labels, plain.colours
    else:
        is_solid = np.isin(codes, solid) | ~visible
        if not len(solid) or len(solid) > MOST_LAYERS or is_solid.mean() < SOLID_SHARE:
            return None
        nearest = nearest_of(codes, is_solid)
        labels = np.searchsorted(solid, nearest).astype(np.int32)
        labels[~visible | ~np.isin(nearest, solid)] = -1
        colours = colours_of(solid)
    ground = _ground_of(labels, colours, opaque=bool(visible.all()))
    objects = np.where(np.isin(labels, list(ground)), -1, labels)
    if plain is not None and not plain.holds(objects >= 0):
        return None
    if is_posterised(objects, colours) or not (objects >= 0).any():
        return None
    return _Areas(labels=labels, colours=colours, ground=ground)


def _objects(
    areas: _Areas, *, opaque: bool, indices: NDArray[Any] | None, notes: list[str]
) -> Layers:
    """Make one mask a colour, but for the ground's."""
    numbers = [k for k in np.unique(areas.labels).tolist() if k >= 0 and k not in areas.ground]
    void = _voc_void(areas.colours, numbers, areas.ground)
    if void is not None:
        numbers.remove(void)
        notes = [*notes, void_note(VOC_VOID)]
    if not opaque and len(np.unique(areas.labels[areas.labels >= 0])) == 1:
        return one_mask(areas.labels >= 0, *notes)
    place = {k: int(np.argmax(areas.labels == k)) for k in numbers}
    if indices is not None:  # in the order of their numbers; else as they come from the top
        place = {k: int(indices.flat[at]) for k, at in place.items()}
    layers: list[Layer] = []
    for k in sorted(numbers, key=place.__getitem__):
        red, green, blue = (int(c) for c in areas.colours[k])
        layers.append(Layer(mask=areas.labels == k, key=(red, green, blue)))
    return Layers(layers=tuple(layers), notes=tuple(notes))


def _ground_of(labels: NDArray[np.int32], colours: NDArray[np.uint8], *, opaque: bool) -> set[int]:
    """Choose the ground: black, else most of the border's colour; alpha shows it by itself."""
    used = [k for k in np.unique(labels).tolist() if k >= 0]
    exact = [k for k in used if not colours[k].any()]
    noisy = [k for k in used if colours[k].max() <= PLAIN_NOISE // 4]
    # Numbers in one channel may be next to black: there, only black itself is.
    black = exact or (noisy if len(noisy) == 1 else [])
    if not opaque:
        return set(black) if len(used) > 1 else set()
    if black:
        return set(black)
    border = border_of(labels)
    return {int(np.bincount(border[border >= 0]).argmax())}


def _voc_void(colours: NDArray[np.uint8], numbers: list[int], ground: set[int]) -> int | None:
    """Find the colour of PASCAL VOC's rim, where all colours are of its palette."""

    def near(k: int, colour: object) -> bool:
        return bool(abs(colours[k].astype(int) - np.array(colour)).max() <= VOC_NEAR)

    voids = [k for k in numbers if near(k, VOC_VOID)]
    others = [k for k in numbers if k not in voids]
    palette = _voc_palette()
    black = all(colours[k].max() <= PLAIN_NOISE for k in ground)
    if len(voids) != 1 or not others or not black:
        return None
    of_voc = all((abs(palette - colours[k]).max(1) <= VOC_NEAR).any() for k in others)
    return voids[0] if of_voc else None


def _voc_palette() -> NDArray[np.int32]:
    """List the colours of VOC's numbers 0…254: three bits of a number go to each channel's top."""
    numbers = np.arange(255)
    palette = np.zeros((255, 3), np.int32)
    for level in range(8):
        for channel in range(3):
            palette[:, channel] |= (numbers >> (3 * level + channel) & 1) << (7 - level)
    return palette
