"""sRGB and linear light (IEC 61966-2-1)."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["linear_from_srgb", "srgb_decode", "srgb_encode", "srgb_from_linear"]

F = TypeVar("F", bound=np.floating[Any])


def linear_from_srgb(srgb: ArrayLike) -> NDArray[np.float32]:
    """Convert sRGB values in 0…1, or uint8 values, to linear light in 0…1."""
    values = np.asarray(srgb)
    if values.dtype == np.uint8:
        return _LINEAR_OF_BYTE[values]
    return srgb_decode(values.astype(np.float32))


def srgb_from_linear(linear: ArrayLike) -> NDArray[np.float32]:
    """Convert linear light, clipped to 0…1, to sRGB values in 0…1."""
    return srgb_encode(np.clip(np.asarray(linear, np.float32), 0, 1))


def srgb_decode(values: NDArray[F]) -> NDArray[F]:
    """Apply sRGB's curve to values in 0…1: linear light, as exact as they are."""
    result: Any = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return result


def srgb_encode(light: NDArray[F]) -> NDArray[F]:
    """Apply the inverse curve to linear light in 0…1, as exact as it is."""
    result: Any = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return result


_LINEAR_OF_BYTE = linear_from_srgb(np.arange(256, dtype=np.float32) / 255)
