"""The photo in its full resolution, for models that look at one object closely.

Masks and point maps have the working size (`types.Image`). A small object of a large photo has a
few hundred pixels there, and half as many again in the photo itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.types import Image

__all__ = ["closest_mask", "closest_matte", "most_pixels"]


def most_pixels(image: Image) -> NDArray[np.uint8]:  # [H', W', 3]
    """Return the photo's own pixels, or half of its rows and columns where they are too many."""
    return image.pixels if image.detail is None else image.detail


def closest_matte(image: Image, matte: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a matte [H, W] of 0…255 at the size of `most_pixels`, its edge smooth."""
    if image.detail is None:
        return matte
    height, width = image.detail.shape[:2]
    return np.asarray(Pillow.fromarray(matte).resize((width, height), Pillow.Resampling.BILINEAR))


def closest_mask(image: Image, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask [H, W] at the size of `most_pixels`."""
    if image.detail is None:
        return mask
    return closest_matte(image, np.where(mask, np.uint8(255), np.uint8(0))) >= 128
