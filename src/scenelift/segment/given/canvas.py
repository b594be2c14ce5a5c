"""The photo that a user's masks and boxes lie on, at its own size and at the working size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.geometry.photo_size import photo_size, working_box, working_mask
from scenelift.prompts import LEAST_SIDE, PART_SLACK
from scenelift.types import Box, Image, Size

__all__ = ["Canvas"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Canvas:
    """The photo that masks and boxes lie on.

    Attributes:
        image: the picture that is worked at; it knows the photo's own size.
        photo: its file, None where it has none.
    """

    image: Image
    photo: Path | None = None

    @classmethod
    def of_size(cls, size: Size) -> Canvas:
        """Make the canvas of a photo whose working size is its own."""
        return cls(image=Image(pixels=np.zeros((*size, 3), np.uint8)))

    @classmethod
    def of_image(cls, image: Image, photo: Path | None = None) -> Canvas:
        """Make the canvas of a photo that was read."""
        return cls(image=image, photo=photo)

    @property
    def size(self) -> Size:
        """Height and width of the pixels that the models see."""
        return self.image.height, self.image.width

    @property
    def full(self) -> Size:
        """Height and width of the photo's own pixels, in which tools write."""
        width, height = photo_size(self.image)
        return height, width

    def fitted(self, mask: NDArray[np.bool_], name: str) -> NDArray[np.bool_]:
        """Bring a mask [H, W] of either size to the working size.

        Raises:
            InputError: it has neither.
        """
        if mask.shape not in (self.size, self.full):
            lying = mask.shape[::-1] in (self.size, self.full)
            hint = " Its sides are swapped: turn it (an array: .T)." if lying else ""
            raise InputError(
                f"The mask {name!r} is {mask.shape[1]} × {mask.shape[0]} pixels, the photo is "
                f"{self.full[1]} × {self.full[0]}. Masks must have the photo's size (after its "
                f"EXIF orientation).{hint}"
            )
        return working_mask(self.image, mask)

    def box(self, box: Box) -> Box:
        """Convert a box from the photo's own pixels to working pixels.

        Raises:
            ValueError: it lies outside the photo, or is smaller than an object can be.
        """
        height, width = self.full
        x0, y0, x1, y1 = box
        edges_text = ",".join(f"{v:g}" for v in box)
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise ValueError(
                f"its box {edges_text} lies outside the photo, {width} × {height} pixels"
            )
        if x1 - x0 < LEAST_SIDE or y1 - y0 < LEAST_SIDE:
            raise ValueError(f"its box {edges_text} is smaller than {LEAST_SIDE:g} pixels")
        return working_box(self.image, box)

    def unit(self, numbers: Sequence[float]) -> tuple[float, float]:
        """Find the factors of x and y: the photo's sides where all numbers are fractions of them.

        Args:
            numbers: every coordinate that a file has of this photo.
        """
        in_parts = numbers and all(-PART_SLACK <= v <= 1 + PART_SLACK for v in numbers)
        height, width = self.full
        return (float(width), float(height)) if in_parts else (1.0, 1.0)
