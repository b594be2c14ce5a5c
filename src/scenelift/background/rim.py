"""Find pixels around a mask that still show the object, so that the background omits them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.geometry.regions import distance_inside, nearest_inside
from scenelift.threads import side_by_side

__all__ = ["hidden_by"]

REACH = 0.012  # of the longer side: as far as masks are trusted to be wrong
MIXED_WIDTH = (
    0.0025  # of the longer side: pixels so near mix object and background, whatever they look like
)
SURROUNDINGS = 2.0  # times the reach: standard deviation of the neighbourhood that colours are of
NOISE = 6.0  # grey levels that two pixels of one thing may differ by
DARKER = 0.8  # than what is around: a shadow
TRUST = (
    3.0  # log odds for the object at the mask, falling to as many against at the end of the reach
)


def hidden_by(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Extend a mask by the pixels around it that look like the object, not like what is behind.

    Colours inside and outside are each a normal distribution around every pixel: a pixel of the
    rim goes to the likelier one, with the odds of its distance to the mask.

    Args:
        pixels: uint8 [H, W, 3], the photo.
        mask: bool [H, W], of the objects.

    Returns:
        bool [H, W], in which the mask lies.
    """
    if not mask.any() or mask.all():
        return mask.copy()
    longer = max(mask.shape)
    reach, mixed_width = max(2, round(REACH * longer)), max(1.0, MIXED_WIDTH * longer)
    distance = distance_inside(~mask)
    rim = ~mask & (distance <= reach)
    sigma = SURROUNDINGS * reach
    rows, columns = np.nonzero(rim)
    pad = int(3 * sigma)
    box = (
        slice(max(0, rows.min() - pad), rows.max() + pad + 1),
        slice(max(0, columns.min() - pad), columns.max() + pad + 1),
    )
    values = pixels[box].astype(np.float32)
    own = _misfit(values, mask[box], sigma)
    behind = _misfit(values, ~(mask | rim)[box], sigma)
    odds = TRUST * (1 - 2 * distance[box] / reach) + behind - own
    # One pixel alone is noise.
    likely = np.asarray(ndimage.uniform_filter(np.clip(odds, -20, 20), 3)) > 0
    likely |= distance[box] <= mixed_width
    likely &= ~_shadow_below(values, mask[box], rim[box], sigma)
    hidden = mask.copy()
    hidden[box] |= rim[box] & likely
    return hidden


def _shadow_below(
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    rim: NDArray[np.bool_],
    sigma: float,
) -> NDArray[np.bool_]:
    """Find pixels of the rim that are darker than their surroundings and lie below a mask.

    Where a thing stands, its shadow begins: taken for a part of it, a bright line would be left.
    """
    rows, columns = nearest_inside(mask)
    below = rows < np.arange(mask.shape[0])[:, None] - 0.5 * np.abs(
        columns - np.arange(mask.shape[1])
    )
    light = values.mean(-1)
    weight, around = side_by_side(
        lambda x: ndimage.gaussian_filter(x, sigma, truncate=2.5),
        [(~(mask | rim)).astype(np.float32), light * ~(mask | rim)],
    )
    return rim & below & (light < DARKER * around / np.maximum(weight, 1e-6))


def _misfit(
    values: NDArray[np.float32], where: NDArray[np.bool_], sigma: float
) -> NDArray[np.float32]:
    """Compute minus log likelihood [H, W] of each colour under the colours around it in a part."""

    def around(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(ndimage.gaussian_filter(x, sigma, truncate=2.5), np.float32)

    inside = where.astype(np.float32)
    channels = [values[..., k] for k in range(values.shape[2])]
    blurred = side_by_side(
        around, [inside, *(c * inside for c in channels), *(c**2 * inside for c in channels)]
    )
    weight, *sums = blurred
    weight = np.maximum(weight, 1e-6)
    means, squares = sums[: len(channels)], sums[len(channels) :]
    misfit = np.zeros(where.shape, np.float32)
    for channel, total, square in zip(channels, means, squares, strict=True):
        mean = total / weight
        spread = square / weight - mean**2
        variance = np.maximum(spread, 0) + NOISE**2
        misfit += ((channel - mean) ** 2 / variance + np.log(variance)) / 2
    return misfit
