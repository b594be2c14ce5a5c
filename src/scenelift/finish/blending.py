"""Rules that all implementations of baking share: which splats count, and how they blend."""

from __future__ import annotations

import numpy as np

from scenelift.geometry.rows import largest_in_rows
from scenelift.types import Gaussians

__all__ = [
    "AT_ONCE",
    "BEHIND",
    "BLUR",
    "DARKEST",
    "IN_FRONT",
    "MAX_ALPHA",
    "MIN_ALPHA",
    "OPAQUE",
    "cell_of",
    "widest_of",
]

# How far behind the surface splats count, in the object's unit cube, and how far in front of it:
# decoded splats lie up to a voxel (1/64) off the mesh, and what is farther out is another part.
BEHIND = 0.03
IN_FRONT = 1 / 64
BLUR = 0.7  # texels, standard deviation of the anti-aliasing
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.99
DARKEST = -5.5  # exponent below which a splat is not seen: e^-5.5 = 1/245
OPAQUE = 1e-2  # what may still pass through a patch that is finished
AT_ONCE = 16  # splats between two looks whether it is
WIDEST = 0.999  # quantile of the splats' radii: wider ones are cut off, so that cells stay few


def widest_of(gaussians: Gaussians, texel: float) -> float:
    """Return the largest distance at which splats are looked for."""
    return float(np.quantile(3 * largest_in_rows(gaussians.scales) + texel, WIDEST))


def cell_of(widest: float) -> float:
    """Return the side of the grid cells in which splats are looked up."""
    return max(0.5 * widest, 1 / 128)
