"""sRGB and linear light (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["linear_from_srgb", "srgb_from_linear"]


def linear_from_srgb(srgb: ArrayLike) -> NDArray[np.float32]:
    """Convert sRGB values in 0…1, or uint8 values, to linear light in 0…1."""
    values = np.asarray(srgb)
    if values.dtype == np.uint8:
        return _LINEAR_OF_BYTE[values]
    values = values.astype(np.float32)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def srgb_from_linear(linear: ArrayLike) -> NDArray[np.float32]:
    """Convert linear light, clipped to 0…1, to sRGB values in 0…1."""
    values = np.clip(np.asarray(linear, np.float32), 0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


_LINEAR_OF_BYTE = linear_from_srgb(np.arange(256, dtype=np.float32) / 255)
