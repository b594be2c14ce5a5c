"""The picture of an object for TRELLIS and its successors: cropped around it, on black.

Shape letters in this file: H, W photo rows and columns, s side of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scenelift.errors import InputError

__all__ = ["INPUT_SIZE", "OPAQUE", "crop_box", "crop_on_black", "resized", "shrunk"]

# Side of the pictures that the published embedder was trained on.
INPUT_SIZE = 518

# The crop is this much longer than the box of what is opaque.
BOX_FACTOR = 1.2
# Alpha above which a pixel counts as the object's: 0.8 of 255.
OPAQUE = 204


def crop_on_black(
    pixels: NDArray[np.uint8],  # [H, W, 3] sRGB
    alpha: NDArray[np.uint8],  # [H, W], 255 where the object covers the pixel
    *,
    size: int | None = INPUT_SIZE,
    factor: float = BOX_FACTOR,
) -> NDArray[np.uint8]:  # [s, s, 3]
    """Crop, resize and matte an object, bit by bit as the published code does.

    Args:
        pixels: the photo.
        alpha: the object's matte.
        size: s; None leaves the crop as large as it is.
        factor: the crop's length over that of the box of what is opaque.

    Raises:
        InputError: the matte is empty, or a single pixel.
    """
    # Pillow crops beyond the photo with transparent black, and resamples colours that are
    # multiplied by their alpha, so that the background does not bleed in.
    box = crop_box(alpha, factor=factor)
    picture = Image.fromarray(np.dstack([pixels, alpha])).crop(box)
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    rgba = np.asarray(picture, np.float32) / 255
    return (rgba[..., :3] * rgba[..., 3:] * 255).astype(np.uint8)


def shrunk(
    pixels: NDArray[np.uint8],  # [H, W, 3]
    alpha: NDArray[np.uint8],  # [H, W]
    *,
    most: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Shrink photo and matte to at most so many pixels along the longer side; never enlarge."""
    height, width = alpha.shape
    scale = min(1.0, most / max(height, width))
    if scale == 1:
        return pixels, alpha
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    rgba = np.asarray(
        picture.resize((int(width * scale), int(height * scale)), Image.Resampling.LANCZOS)
    )
    return rgba[..., :3], rgba[..., 3]


def resized(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:  # [s, s, 3]
    """Resize a square picture."""
    square = Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(square)


def crop_box(alpha: NDArray[np.uint8], *, factor: float) -> tuple[int, int, int, int]:
    """Find the square box x0, y0, x1, y1 around what is opaque; it may reach beyond the photo.

    Raises:
        InputError: the matte is empty, or a single pixel.
    """
    rows, columns = np.nonzero(alpha > OPAQUE)
    if not rows.size:
        raise InputError("The mask is empty: there is no object to reconstruct.")
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()])
    half = int(max(high - low) * factor) // 2
    if not half:
        raise InputError(
            "The mask is a single pixel; an object needs more. Take a larger photo, or a closer "
            "one."
        )
    x, y = ((low + high) / 2).tolist()
    # round() takes halves to the even number, as the published crop does.
    return round(x - half), round(y - half), round(x + half), round(y + half)
