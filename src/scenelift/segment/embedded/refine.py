"""From coarse masks to the photo's edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

__all__ = ["refine", "resized"]

# Coarse masks are sharpened at this size at most; a linear map per pixel carries the result up.
LONGEST_SIDE = 384
RADIUS = 0.02  # of the guided filter, in parts of the longer side
EPSILON = 1e-4  # variance of sRGB in 0…1 below which a neighbourhood counts as flat


def refine(
    pixels: NDArray[np.uint8],  # [H, W, 3]
    coarse: NDArray[np.float32],  # [h, w] in 0…1
) -> NDArray[np.float32]:  # [H, W] in 0…1
    """Let a coarse mask follow the edges of the picture it lies over.

    Args:
        pixels: sRGB.
        coarse: the mask at any resolution, covering the same picture.
    """
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BOX), np.float32)
    mask = resized(coarse, size).clip(0, 1)
    radius = max(1, round(RADIUS * max(size)))
    slopes, offset = guided_coefficients(small / 255, mask, radius, EPSILON)
    alpha = resized(offset, (width, height))
    for channel in range(3):
        alpha += resized(slopes[..., channel], (width, height)) * (pixels[..., channel] / 255.0)
    return alpha.clip(0, 1)


def guided_coefficients(
    guide: NDArray[np.float32],  # [H, W, 3] in 0…1
    target: NDArray[np.float32],  # [H, W]
    radius: int,
    epsilon: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [H, W, 3], [H, W]
    """Slopes and offsets of the local linear map from colours to a target.

    Guided filter, https://doi.org/10.1109/TPAMI.2012.213; computed small and applied large as in
    https://arxiv.org/abs/1505.00996.
    """

    def mean(values: NDArray) -> NDArray:
        size = (2 * radius + 1, 2 * radius + 1) + (1,) * (values.ndim - 2)
        return ndimage.uniform_filter(values, size, mode="nearest")

    guide64, target64 = guide.astype(np.float64), target.astype(np.float64)
    mean_guide, mean_target = mean(guide64), mean(target64)
    covariance = mean(guide64 * target64[..., None]) - mean_guide * mean_target[..., None]
    products = mean(guide64[..., :, None] * guide64[..., None, :])
    variance = products - mean_guide[..., :, None] * mean_guide[..., None, :]
    variance += epsilon * np.eye(3)
    slopes = np.linalg.solve(variance, covariance[..., None])[..., 0]
    offset = mean_target - (slopes * mean_guide).sum(-1)
    return mean(slopes).astype(np.float32), mean(offset).astype(np.float32)


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a float image [h, w] to (width, height)."""
    filtered = Pillow.fromarray(np.ascontiguousarray(values, np.float32))
    return np.array(filtered.resize(size, Pillow.Resampling.BICUBIC))
