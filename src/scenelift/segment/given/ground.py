"""Finds a cut-out's background of one colour, and cuts out what is on it.

Lossy formats leave noise in the ground and halos around the object; the object has dark or bright
parts of its own. What the photo shows there tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import border_of, regions
from scenelift.segment.given.cutout import shows_something
from scenelift.segment.given.layers import Layers, one_mask
from scenelift.segment.given.plain import LEAST_PIXELS
from scenelift.types import Image

__all__ = ["PLAIN_NOISE", "Ground", "cut_out", "plain_ground", "without_halo"]

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# How far a lossy format moves black and white.
PLAIN_NOISE = 20
# How far JPEG's halos reach from an edge, with its colours at half the size.
HALO = 4
# Holes of a cut-out that are the object's where no photo tells, in parts of the object.
SMALL_HOLE = 0.005


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """The ground of a cut-out: `mask` [H, W], and `colour` (red, green, blue)."""

    mask: NDArray[np.bool_]
    colour: tuple[int, int, int]

    @property
    def is_usual(self) -> bool:
        """Whether it is black or white, which few photos' surroundings are."""
        return self.colour in (BLACK, WHITE)


def plain_ground(rgb: NDArray[np.uint8], photo: Image | None = None) -> Ground | None:
    """Find a cut-out's ground: black, white, else most of the border; None where it is mixed."""
    border = border_of(rgb)
    colours, counts = np.unique(border, axis=0, return_counts=True)
    red, green, blue = (int(c) for c in colours[counts.argmax()])
    for colour in dict.fromkeys([BLACK, WHITE, (red, green, blue)]):
        plain = border[_away(border, colour) <= PLAIN_NOISE]
        if len(plain) <= len(border) / 2:
            continue
        # What lossy formats leave in the ground is told from the object's own dark parts by what
        # the photo shows; without it, only what an exact ground has is ground.
        away = _away(rgb, colour)
        is_exact = np.mean(_away(plain, colour) == 0) > 0.99
        is_ground = away <= (1 if is_exact and photo is None else PLAIN_NOISE)
        photo_pixels = _photo_at(photo, rgb)
        if photo_pixels is not None:
            like = abs(photo_pixels.astype(np.int16) - rgb).max(-1)
            is_ground &= (away == 0) | (like + 2 >= _away(photo_pixels, colour))
        if 0.05 < is_ground.mean() < 1:
            return Ground(mask=_without_specks(is_ground), colour=colour)
    return None


def without_halo(ground: Ground, rgb: NDArray[np.uint8], photo: Image | None) -> Ground:
    """Add to the ground what a lossy format drew around the object: nearer to it than the photo."""
    photo_pixels = _photo_at(photo, rgb)
    if photo_pixels is None:
        return ground
    rim: Any = ndimage.binary_dilation(ground.mask, iterations=HALO)
    rim &= ~ground.mask
    halo = rim.copy()
    own = rgb[rim].astype(np.int16)
    halo[rim] = abs(own - photo_pixels[rim]).max(-1) > abs(own - np.array(ground.colour)).max(-1)
    return Ground(mask=_without_specks(ground.mask | halo), colour=ground.colour)


def _away(rgb: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[Any]:
    """Measure how far colours are from another one, in the channel where they differ most."""
    if colour in (BLACK, WHITE):
        return rgb.max(-1) if colour == BLACK else 255 - rgb.min(-1)
    return abs(rgb.astype(np.int16) - np.array(colour, np.int16)).max(-1)


def _photo_at(photo: Image | None, rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Read the photo at a picture's pixels, grey for a grey one; None where none is known."""
    if not shows_something(photo):
        return None
    height, width = rgb.shape[:2]
    rows = ((np.arange(height) + 0.5) * photo.height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * photo.width / width).astype(int)
    photo_pixels = photo.pixels[rows[:, None], columns]
    if (rgb != rgb[..., :1]).any():
        return photo_pixels
    return np.repeat(np.asarray(PIL.Image.fromarray(photo_pixels).convert("L"))[..., None], 3, -1)


def _without_specks(ground: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add to the ground what lies in it in fewer pixels than an object has."""
    pieces, _ = regions(~ground)
    small = np.bincount(pieces.ravel()) < LEAST_PIXELS
    small[0] = False
    return ground | small[pieces]


def cut_out(ground: Ground, rgb: NDArray[np.uint8], photo: Image | None) -> Layers:
    """Cut out what is not ground as one mask, with the parts that have the ground's own colour.

    A hole is the object's where the photo shows that colour there, too; without a photo, where it
    is small.
    """
    mask = ~ground.mask
    pieces, count = regions(ground.mask)
    edge = border_of(pieces)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    holes = np.ones(count + 1, np.bool_)
    holes[np.unique(edge)] = holes[0] = False
    photo_pixels = _photo_at(photo, rgb)
    if photo_pixels is None:
        return one_mask(mask | (holes & (sizes <= SMALL_HOLE * mask.sum()))[pieces])
    alike = _away(photo_pixels, ground.colour) <= 2 * PLAIN_NOISE
    own = np.bincount(pieces.ravel(), alike.ravel(), minlength=count + 1) / np.maximum(sizes, 1)
    return one_mask(mask | (holes & (own > 0.5))[pieces])
