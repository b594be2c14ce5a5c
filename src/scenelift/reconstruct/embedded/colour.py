"""Colours of a solid: the photo's in front, the shape head's guess behind, a blur on the sides."""

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
from scenelift.types import Instance, View

__all__ = ["Colours", "colours_of"]

# Longest side in pixels of the part of the photo that colours come from. Twice that is the width of
# the mesh's texture, whose PNG takes more time and space than all the rest of a small scene.
COLOUR_SIDE = 640
# Longest side of the back's picture, which is a blur anyway.
BACK_SIDE = 64
BACK_BLUR = 0.06  # standard deviation over the longest side
BACK_SHADE = 0.88  # light mostly comes from where the camera stands
# Cosines to the camera between which a side's colours become the photo's, and the back's.
FRONT_FROM, BACK_FROM = (0.1, 0.35), (0.1, 0.5)
GUESSED = 0.5  # of the head's guess in the back's colours; the rest is the front's blur
BESIDE_FRONT = 0.6  # of the front's colours in those of a side; the rest is the back's


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Colours:
    """Colours by pixel and side.

    Attributes:
        front: float32 [h, w, 3], the photo around the object in 0…1, background replaced.
        back: float32 [h', w', 3], likewise, of the same part of the photo.
        origin: (u, v) of that part's upper left corner.
        size: width and height in photo pixels that `front` covers.
        side: float32 [h', w', 3], the front's colours without detail, of the same part as `front`.
        back_origin: (u, v) of the upper left corner of what `back` covers.
        back_size: width and height in photo pixels that it covers.
        side_size: likewise of `side`, whose last pixels may reach beyond the front's.
    """

    front: NDArray[np.float32]
    back: NDArray[np.float32]
    side: NDArray[np.float32]
    origin: tuple[float, float]
    size: tuple[float, float]
    back_origin: tuple[float, float]
    back_size: tuple[float, float]
    side_size: tuple[float, float]

    def at(self, u: NDArray, v: NDArray, facing: NDArray) -> NDArray[np.float32]:  # [N] -> [N, 3]
        """Return sRGB colours in 0…1 at photo coordinates.

        Args:
            facing: cosine of the angle between the surface's normal and the way to the camera.
        """
        front = self._sample(self.front, self.origin, self.size, u, v)
        back = self._sample(self.back, self.back_origin, self.back_size, u, v)
        # All of a side that is seen edge on lies on a few pixels: with their detail it is streaked.
        beside = self._sample(self.side, self.origin, self.side_size, u, v)
        beside = BESIDE_FRONT * beside + (1 - BESIDE_FRONT) * back
        ahead = _step(facing, *FRONT_FROM)[:, None]
        behind = _step(-facing, *BACK_FROM)[:, None]
        colour = ahead * front + behind * back + (1 - ahead - behind) * beside
        return np.clip(colour, 0, 1).astype(np.float32)

    @staticmethod
    def _sample(
        picture: NDArray[np.float32],
        origin: tuple[float, float],
        size: tuple[float, float],
        u: NDArray,
        v: NDArray,
    ) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        rows = (v - origin[1]) / size[1] * height - 0.5
        columns = (u - origin[0]) / size[0] * width - 0.5
        return np.stack(
            [
                map_coordinates(picture[..., c], [rows, columns], order=1, mode="nearest")
                for c in range(3)
            ],
            -1,
        ).astype(np.float32)


def _step(x: NDArray, low: float, high: float) -> NDArray[np.float64]:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def colours_of(
    view: View,
    guessed: NDArray[np.float32] | None = None,
    window: tuple[float, float, float, float] | None = None,
) -> Colours:
    """Compute the colours of an object, free of its background's.

    Args:
        view: the object in the photo.
        guessed: float32 [h, w, 3] in 0…1, the back's colours as a head has them, or None.
        window: the part of the photo that they cover.
    """
    x0, y0, x1, y1 = (int(side) for side in Instance.box_of(view.instance.mask))
    pixels, mask = view.image.pixels[y0:y1, x0:x1], view.instance.mask[y0:y1, x0:x1]
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
    side = _blurred(front, mask, block)
    side_size = (
        side.shape[1] * block * width / mask.shape[1],
        side.shape[0] * block * height / mask.shape[0],
    )
    back, back_origin, back_size = BACK_SHADE * side, (x0, y0), side_size
    if guessed is not None and window is not None:
        back_origin = (window[0], window[1])
        back_size = (window[2] - window[0], window[3] - window[1])
        u, v = (
            a + (np.arange(n) + 0.5) / n * w
            for a, n, w in zip(back_origin, guessed.shape[1::-1], back_size, strict=True)
        )
        uu, vv = (x.ravel() for x in np.meshgrid(u, v))
        blur = Colours._sample(side, (x0, y0), side_size, uu, vv).reshape(guessed.shape)
        back = GUESSED * guessed + (1 - GUESSED) * BACK_SHADE * blur
    return Colours(
        front=front,
        back=back,
        side=side,
        origin=(x0, y0),
        size=(width, height),
        back_origin=back_origin,
        back_size=back_size,
        side_size=side_size,
    )


def _own_colours(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:  # [h, w, 3]
    """Replace everything in the photo but the object's own colours by the nearest of these.

    Pixels on the outline mix object and background, and masks are seldom exact, so a rim of the
    mask counts as background too. Where the object is hardly wider than the rim, its middle line
    still counts as its own.
    """
    inset = distance_inside(np.pad(mask, 1))[1:-1, 1:-1]
    rim = float(np.clip(0.008 * np.sqrt(mask.sum()), 1, 4))
    ridge = maximum_filter(inset, size=2 * int(np.ceil(rim)) + 1)
    own = mask & (inset > np.minimum(rim, 0.7 * ridge))
    return (pixels[nearest_inside(own)] / 255).astype(np.float32)


def _blurred(
    front: NDArray[np.float32], mask: NDArray[np.bool_], block: int
) -> NDArray[np.float32]:  # [ceil(h / block), ceil(w / block), 3]
    """Blur the front's colours within the object."""
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
    return colour.astype(np.float32)
