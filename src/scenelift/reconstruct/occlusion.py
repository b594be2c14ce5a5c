"""Measures how much of an object's outline is due to something before it or the photo's edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["hidden_share"]

STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
REACH = 0.015  # of the mask's longer side: how far from the outline depths are compared
# What is nearer than the object by this share of its distance stands before it. What an object
# stands on is nearer too, but by less, that close to it.
NEARER = 0.05


def hidden_share(
    mask: NDArray[np.bool_],  # [H, W]
    points: NDArray[np.float32],  # [H, W, 3] in the camera frame
) -> float:
    """Measure the share in 0…1 of the mask's outline along which something hides the object.

    The point map tells: other objects need not have been looked for.
    """
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return 0.0
    depth = -points[..., 2]
    reach = max(2, round(REACH * float(max(np.ptp(rows), np.ptp(columns)) + 1)))
    hidden = total = 0
    for dy, dx in STEPS:
        inside, beyond = _at(mask, rows + dy, columns + dx)
        edge = beyond | ~inside
        y, x = rows[edge], columns[edge]
        total += y.size
        hidden += int(np.count_nonzero(beyond[edge]))
        there, off = _at(depth, y + reach * dy, x + reach * dx)
        here, _ = _at(depth, y - reach * dy, x - reach * dx)
        within, _ = _at(mask, y - reach * dy, x - reach * dx)
        with np.errstate(invalid="ignore"):
            nearer = there < (1 - NEARER) * here
        hidden += int(np.count_nonzero(nearer & within & ~off & ~beyond[edge]))
    return hidden / total


def _at(values: NDArray, y: NDArray, x: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Read values at pixels, the nearest ones beyond the photo, and tell which those are."""
    height, width = values.shape
    beyond = (y < 0) | (y >= height) | (x < 0) | (x >= width)
    return values[y.clip(0, height - 1), x.clip(0, width - 1)], beyond
