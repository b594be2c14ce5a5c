"""What a user's masks and boxes lie on: the photo, at its own size and at the one worked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.types import Box, Size

__all__ = ["Canvas"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The photo that masks and boxes lie on.

    Attributes:
        size: height and width of the pixels that the models see.
        full: height and width of the photo's own pixels, in which tools write.
        photo: its file, None where it has none.
    """

    size: Size
    full: Size
    photo: Path | None = None

    @classmethod
    def of_size(cls, size: Size) -> Canvas:
        """A photo that is worked at as it is."""
        return cls(size=size, full=size)

    def fitted(self, mask: NDArray[np.bool_], name: str) -> NDArray[np.bool_]:
        """A mask [H, W] of either size as one of the working size.

        Raises:
            InputError: it has neither.
        """
        if mask.shape == self.size:
            return mask
        self.check(mask.shape, name)
        picture = PIL.Image.fromarray(mask.astype(np.uint8) * 255)
        reduced = picture.resize((self.size[1], self.size[0]), PIL.Image.Resampling.BOX)
        return np.asarray(reduced) >= 128

    def check(self, have: tuple[int, ...], name: str) -> None:
        """Refuse what is of neither size.

        Raises:
            InputError: with both sizes.
        """
        if tuple(have) not in (self.size, self.full):
            raise InputError(
                f"The mask {name!r} is {have[1]} × {have[0]} pixels, the photo is {self.full[1]} × "
                f"{self.full[0]}. Masks must have the photo's size (after its EXIF orientation)."
            )

    def box(self, box: Box) -> Box:
        """A box in the photo's own pixels as one in working pixels."""
        y, x = self.size[0] / self.full[0], self.size[1] / self.full[1]
        return (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
