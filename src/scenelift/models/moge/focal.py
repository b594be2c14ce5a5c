"""Focal length and shift along the viewing axis that make points fall on their pixels.

The network's points are right up to these two numbers: https://arxiv.org/abs/2410.19115,
section 3.2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from scenelift.models.moge.parts import view_plane

__all__ = [
    "focal_in_half_diagonals",
    "focal_in_pixels",
    "focal_of_fov",
    "recover_focal_and_shift",
]

# Points enter the fit from a grid of this many rows and columns.
_GRID = 64


def recover_focal_and_shift(
    points: Tensor,  # [H, W, 3]
    mask: Tensor,  # bool [H, W]
    focal: float | None = None,
) -> tuple[float, float]:
    """Fit focal length and shift to the points under a mask.

    Minimises |f · (x, y) / (z + shift) − (u, v)| over the shift, with the best f for each shift in
    closed form, by Levenberg–Marquardt from a shift of 0.

    Args:
        points: from the network.
        mask: where they count.
        focal: in half diagonals of the image, where it is known; then the shift alone is fitted.

    Returns:
        Focal length in half diagonals of the image, and what to add to z. Where the mask leaves
        fewer than two points: the focal length that was given or 1, and 0.
    """
    height, width = mask.shape
    plane = view_plane(height, width, width / height, points)
    stacked = torch.cat([points.movedim(-1, 0).float(), plane, mask[None].float()])
    samples = F.interpolate(stacked[None], (_GRID, _GRID), mode="nearest")[0].cpu().numpy()
    valid = samples[:, samples[5] > 0]  # [6, n]
    xy, z, uv = valid[:2].T, valid[2], valid[3:5].T
    if len(z) < 2:
        return focal or 1.0, 0.0

    def focal_of(shift: NDArray) -> tuple[NDArray, float]:
        projected = xy / (z + shift)[:, None]
        if focal is not None:
            return projected, focal
        return projected, float((projected * uv).sum() / np.square(projected).sum())

    def residuals(shift: NDArray) -> NDArray:
        projected, f = focal_of(shift)
        return (f * projected - uv).ravel()

    solution = least_squares(residuals, x0=0.0, ftol=1e-3, method="lm")
    shift = solution.x.astype(np.float32)
    return focal_of(shift)[1], float(shift[0])


def focal_in_pixels(focal: float, height: int, width: int) -> float:
    """Convert a focal length in half diagonals to pixels."""
    return focal * math.hypot(height, width) / 2


def focal_of_fov(fov: float, height: int, width: int) -> float:
    """Compute the focal length in half diagonals from the angle in radians of the width."""
    return focal_in_half_diagonals(width / 2 / math.tan(fov / 2), height, width)


def focal_in_half_diagonals(focal_px: float, height: int, width: int) -> float:
    """The inverse of `focal_in_pixels`."""
    return 2 * focal_px / math.hypot(height, width)
