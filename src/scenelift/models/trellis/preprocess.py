"""The picture that TRELLIS sees of an object: cropped around it, on black.

Shape letters in this file: H, W photo rows and columns, s side of the picture.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scenelift.errors import InputError

__all__ = ["INPUT_SIZE", "OPAQUE", "crop_on_black"]

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
    size: int = INPUT_SIZE,
) -> NDArray[np.uint8]:  # [s, s, 3]
    """Crop, resize and matte an object, bit by bit as the published code does.

    Raises:
        InputError: the matte is empty, or a single pixel.
    """
    rows, columns = np.nonzero(alpha > OPAQUE)
    if not rows.size:
        raise InputError("The mask is empty: there is no object to reconstruct.")
    box = _square(columns, rows)
    if box[2] == box[0]:
        raise InputError(
            "The mask is a single pixel; an object needs more. Take a larger photo, or a closer "
            "one."
        )
    # Pillow crops beyond the photo with transparent black, and resamples colours that are
    # multiplied by their alpha, so that the background does not bleed in.
    picture = Image.fromarray(np.dstack([pixels, alpha])).crop(box)
    rgba = np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255
    return (rgba[..., :3] * rgba[..., 3:] * 255).astype(np.uint8)


def _square(columns: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[int, int, int, int]:
    """Square box x0, y0, x1, y1 around pixels, which may reach beyond the photo."""
    low = np.array([columns.min(), rows.min()])
    high = np.array([columns.max(), rows.max()])
    half = int(max(high - low) * BOX_FACTOR) // 2
    x, y = ((low + high) / 2).tolist()
    # round() takes halves to the even number, as the published crop does.
    return round(x - half), round(y - half), round(x + half), round(y + half)
