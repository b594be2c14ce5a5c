"""What baking means, for every backend: see `bake.py`."""

from __future__ import annotations

import math

import numpy as np

from scenelift.types import Gaussians

__all__ = [
    "AT_ONCE",
    "BEHIND",
    "DARKEST",
    "IN_FRONT",
    "MAX_ALPHA",
    "MIN_ALPHA",
    "OPAQUE",
    "TILT",
    "cell_of",
    "widest_of",
]

# How far behind the surface splats count, in the object's unit cube, and how far in front of it:
# decoded splats lie up to a voxel (1/64) off the mesh, and what is farther out is another part.
BEHIND = 0.03
IN_FRONT = 1 / 64
# From the normal to either side. On a noisy object the mean of ±35° is 0.35 dB PSNR better than the
# normal alone, ±50° no better, and four sides are 0.05 dB better than two.
TILT = math.radians(35)
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.99
DARKEST = -5.5  # exponent below which a splat is not seen: e^-5.5 = 1/245
OPAQUE = 1e-2  # what may still pass through a patch that is finished
AT_ONCE = 16  # splats between two looks whether it is
WIDEST = 0.999  # quantile of the splats' radii: wider ones are cut off, so that cells stay few


def widest_of(gaussians: Gaussians, texel: float) -> float:
    """The largest distance at which a splat is looked for."""
    return float(np.quantile(3 * gaussians.scales.max(1) + texel, WIDEST))


def cell_of(widest: float) -> float:
    """Side of the grid's cells in which splats are found."""
    return max(0.5 * widest, 1 / 128)
