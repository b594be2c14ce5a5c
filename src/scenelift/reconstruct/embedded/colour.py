"""Colours of a solid: the photo in front, its blurred continuation behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from scipy.ndimage import (
    gaussian_filter,
    map_coordinates,
    maximum_filter,
)

from scenelift.geometry.regions import distance_inside, nearest_inside
from scenelift.types import Image, Instance

__all__ = ["Colours", "colours_of"]

# Longest side in pixels of the part of the photo that colours come from. Twice that is the width of
# the mesh's texture, whose PNG takes more time and space than all the rest of a small scene.
COLOUR_SIDE = 640
# Longest side of the back's picture, which is a blur anyway.
BACK_SIDE = 64
BACK_BLUR = 0.06  # standard deviation over the longest side
BACK_SHADE = 0.88  # light mostly comes from where the camera stands
# Where the photo's colours have faded into the back's, as `Solid.side` counts: far enough behind
# the rim that no seam shows from beside.
FADED_AT = -0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Colours:
    """Colours by pixel and side.

    Attributes:
        front: float32 [h, w, 3], the photo around the object in 0…1, background replaced.
        back: float32 [h', w', 3], likewise, of the same part of the photo.
        origin: (u, v) of that part's upper left corner.
        size: width and height in photo pixels that `front` covers.
        back_size: likewise of `back`, whose last pixels may reach beyond the front's.
    """

    front: NDArray[np.float32]
    back: NDArray[np.float32]
    origin: tuple[float, float]
    size: tuple[float, float]
    back_size: tuple[float, float]

    def at(self, u: NDArray, v: NDArray, side: NDArray) -> NDArray[np.float32]:  # [N] -> [N, 3]
        """sRGB colours in 0…1 at photo coordinates; `side` as of `Solid.side`."""
        t = np.clip(1 - side / FADED_AT, 0, 1)[:, None]
        visible = t * t * (3 - 2 * t)
        front = self._sample(self.front, self.size, u, v)
        back = self._sample(self.back, self.back_size, u, v)
        return np.clip(visible * front + (1 - visible) * back, 0, 1).astype(np.float32)

    def _sample(
        self, picture: NDArray[np.float32], size: tuple[float, float], u: NDArray, v: NDArray
    ) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        rows = (v - self.origin[1]) / size[1] * height - 0.5
        columns = (u - self.origin[0]) / size[0] * width - 0.5
        return np.stack(
            [
                map_coordinates(picture[..., c], [rows, columns], order=1, mode="nearest")
                for c in range(3)
            ],
            -1,
        ).astype(np.float32)


def colours_of(image: Image, instance: Instance) -> Colours:
    """Colours of an object, free of its background's."""
    x0, y0, x1, y1 = (int(side) for side in instance.box_of(instance.mask))
    pixels, mask = image.pixels[y0:y1, x0:x1], instance.mask[y0:y1, x0:x1]
    height, width = mask.shape
    if max(height, width) > COLOUR_SIDE:
        shrink = COLOUR_SIDE / max(height, width)
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BOX))
        mask = np.asarray(
            PIL.Image.fromarray(mask.astype(np.uint8) * 255).resize(size, PIL.Image.Resampling.BOX)
        )
        mask = mask >= 128
        mask = mask if mask.any() else np.ones_like(mask)
    front = _own_colours(pixels, mask)
    block = -(-max(mask.shape) // BACK_SIDE)
    back = _behind(front, mask, block)
    return Colours(
        front=front,
        back=back,
        origin=(x0, y0),
        size=(width, height),
        back_size=(
            back.shape[1] * block * width / mask.shape[1],
            back.shape[0] * block * height / mask.shape[0],
        ),
    )


def _own_colours(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:  # [h, w, 3]
    """The photo with everything but the object's own colours replaced by the nearest of these.

    Pixels on the outline mix object and background, and masks are seldom exact, so a rim of the
    mask counts as background too. Where the object is hardly wider than the rim, its middle line
    still counts as its own.
    """
    inset = distance_inside(np.pad(mask, 1))[1:-1, 1:-1]
    rim = float(np.clip(0.008 * np.sqrt(mask.sum()), 1, 4))
    ridge = maximum_filter(inset, size=2 * int(np.ceil(rim)) + 1)
    own = mask & (inset > np.minimum(rim, 0.7 * ridge))
    return (pixels[nearest_inside(own)] / 255).astype(np.float32)


def _behind(
    front: NDArray[np.float32], mask: NDArray[np.bool_], block: int
) -> NDArray[np.float32]:  # [ceil(h / block), ceil(w / block), 3]
    """What the back looks like: the front's colours, blurred within the object and shaded."""
    rows, columns = (np.arange(0, side, block) for side in mask.shape)

    def block_sums(values: NDArray) -> NDArray:
        return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)

    weight = block_sums(mask.astype(np.float32))[..., None]
    total = block_sums(front * mask[..., None])
    sigma = max(0.5, BACK_BLUR * max(weight.shape))
    # A second, wide blur reaches pixels that the first leaves without a colour.
    blurred, reach = (
        sum(
            share * gaussian_filter(values, (s, s, 0), mode="constant", truncate=8)
            for s, share in ((sigma, 1.0), (6 * sigma, 1e-4))
        )
        for values in (total, weight)
    )
    colour = np.divide(blurred, reach, out=np.full_like(total, 0.5), where=reach > 1e-12)
    return (BACK_SHADE * colour).astype(np.float32)
