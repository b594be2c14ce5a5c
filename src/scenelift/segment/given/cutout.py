"""Tells a cut-out photo from a picture of labels: both may have few, plain colours.

What was cut out of the photo at hand looks like it there. Of another photo, or of one whose colours
were changed, only its form tells: a photo in few colours is many crumbs, or bands whose colours
differ by little.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import regions
from scenelift.segment.given.plain import LEAST_PIXELS, touching_pairs
from scenelift.types import Image

__all__ = ["is_posterised", "looks_like_photo", "shows_something"]

# Root mean square of colour differences: what lossy formats leave in flat areas; and the most that
# a photo in four colours is away from itself.
SAME, NEAR_ENOUGH = 6.0, 50.0
# A photo in four colours explains so much of how the photo itself varies; labels explain nothing.
EXPLAINED = 0.4
# Few colours are the means of what they stand for, or its floor, so that their error is no more
# than so many times how the photo varies under one of them. Colours are taken together by so much.
WITHIN, BIN = 5.0, 16
# Compared at no more than so many pixels.
MOST_COMPARED = 2**19
# Crumbs: how many of all areas are specks, and how many areas a colour has.
SPECKS, AREAS_A_COLOUR = 0.5, 8
# Bands: how many colours, and how far apart those are that touch.
BANDS, BAND_STEP = 4, 40
# How much of all edges inside and around lies between two bands.
BAND_EDGES = 0.2
# Labels that are written as numbers in one channel, or are next to black, are bands to the eye.
DARKEST = 32


def shows_something(photo: Image | None) -> TypeGuard[Image]:
    """Tell whether there is a photo to compare with, and not a stand-in of one colour."""
    return photo is not None and photo.pixels.std(axis=(0, 1)).max() >= 2


def looks_like_photo(rgb: NDArray[np.uint8], area: NDArray[np.bool_], photo: Image | None) -> bool:
    """Tell whether a picture [h, w, 3] shows in an area [h, w] what the photo shows there.

    Grey pictures are compared with the photo's brightness.
    """
    if not shows_something(photo):
        return False
    inner: Any = ndimage.minimum_filter(area, 5)
    rows, columns = np.nonzero(inner if inner.sum() >= LEAST_PIXELS else area)
    if len(rows) < LEAST_PIXELS:
        return False
    step = -(-len(rows) // MOST_COMPARED)
    rows, columns = rows[::step], columns[::step]
    height, width = area.shape
    picture = rgb[rows, columns].astype(np.float32)
    photo_pixels = photo.pixels[
        ((rows + 0.5) * photo.height / height).astype(int),
        ((columns + 0.5) * photo.width / width).astype(int),
    ].astype(np.float32)
    if (np.ptp(picture, axis=1) <= 8).all():
        photo_pixels = (photo_pixels @ np.array([0.299, 0.587, 0.114], np.float32))[:, None]
        picture = picture.mean(1, keepdims=True)
    error = ((picture - photo_pixels) ** 2).mean(1)
    if float(np.sort(error)[: max(1, int(0.95 * len(error)))].mean()) <= SAME**2:
        return True
    # Labels may be of the objects' own colours, but follow nothing inside them.
    pieces, _ = regions(area)
    variance = _variance(photo_pixels, pieces[rows, columns])
    mean_error = float(error.mean())
    if mean_error > NEAR_ENOUGH**2 or mean_error > (1 - EXPLAINED) * variance:
        return False
    bins = (picture // BIN).astype(np.int64) @ (64 ** np.arange(picture.shape[1]))
    return (
        mean_error
        <= WITHIN * _variance(photo_pixels, np.unique(bins, return_inverse=True)[1]) + SAME**2
    )


def _variance(values: NDArray[np.float32], groups: NDArray[np.integer[Any]]) -> float:
    """Measure how much colours [N, C] vary within groups [N]."""
    sizes = np.maximum(np.bincount(groups), 1)
    means = np.stack([np.bincount(groups, c) / sizes for c in values.T], -1)
    return float(((values - means[groups]) ** 2).mean())


def is_posterised(labels: NDArray[np.int32], colours: NDArray[np.uint8]) -> bool:
    """Tell whether areas of colours look like a photo in few colours, not like labels.

    Args:
        labels: int32 [H, W], which colour an object's pixel has, -1 where there is none.
        colours: uint8 [K, 3].
    """
    from skimage.measure import label

    used = np.unique(labels[labels >= 0])
    if len(used) < BANDS:
        return False
    areas: Any = label(labels + 1, connectivity=2, background=0)
    sizes = np.bincount(areas.ravel())[1:]
    crumbs = float((sizes < LEAST_PIXELS).mean()) > SPECKS
    if crumbs and len(sizes) > AREAS_A_COLOUR * len(used):
        return True
    own = colours[used].astype(int)
    if own.max() <= DARKEST or (np.ptp(own, axis=0) == 0).sum() >= 2:
        return False
    pairs = touching_pairs(labels)
    inside = pairs[(pairs >= 0).all(1)]
    if len(inside) < BAND_EDGES * len(pairs):
        return False
    steps = abs(colours[inside[:, 0]].astype(int) - colours[inside[:, 1]]).max(1)
    return float(np.median(steps)) <= BAND_STEP
