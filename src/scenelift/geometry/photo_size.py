"""Convert pixels between the photo, in which users speak, and the stages' working picture.

A photo with a side above `io.image.MAX_SIDE` is reduced when it is read (`types.Image`). Whatever
was drawn, cut out or measured on the photo itself goes along: boxes, points, masks, cameras. Where
the photo was not reduced, all of these give back what they got.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Box, Image

__all__ = [
    "own_box",
    "photo_size",
    "working_box",
    "working_mask",
    "working_point",
]


def photo_size(image: Image) -> tuple[int, int]:
    """Return width and height of the photo itself, upright."""
    return image.own_size or (image.width, image.height)


def working_point(image: Image, point: tuple[float, float]) -> tuple[float, float]:
    """Convert a photo's point x, y to the working picture's continuous pixel coordinates."""
    width, height = photo_size(image)
    return point[0] * image.width / width, point[1] * image.height / height


def working_box(image: Image, box: Box) -> Box:
    """Convert a photo's box x0, y0, x1, y1 to the working picture."""
    return (*working_point(image, box[:2]), *working_point(image, box[2:]))


def own_box(image_size: tuple[int, int], own_size: tuple[int, int], box: Box) -> Box:
    """Convert a working picture's box to the photo's pixels; sizes are width and height."""
    x, y = own_size[0] / image_size[0], own_size[1] / image_size[1]
    return (box[0] * x, box[1] * y, box[2] * x, box[3] * y)


def working_mask(image: Image, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Resize a photo's mask [H, W] to the working picture's size.

    A working pixel belongs to the object where half of it is covered, or more; a mask that would
    vanish so, being thinner, keeps whatever it touches. A mask of any other size comes back as it
    is: whoever asked for it knows better how to refuse it.
    """
    width, height = photo_size(image)
    if mask.shape != (height, width) or mask.shape == (image.height, image.width):
        return mask
    from PIL import Image as Pillow

    size = (image.width, image.height)
    picture = Pillow.fromarray(mask.astype(np.uint8) * np.uint8(255))
    coverage = np.asarray(picture.resize(size, Pillow.Resampling.BOX))
    inside = coverage >= 128
    return inside if inside.any() else coverage > 0
