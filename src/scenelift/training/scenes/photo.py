"""Develops linear light into the numbers of a photo."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter

from scenelift.srgb import srgb_encode

__all__ = ["develop", "encode", "exposure", "worn"]

KNEE = 0.7
"""Brightness from which highlights are compressed."""


def develop(linear: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Expose for the bright parts, compress the highlights, encode as sRGB, add sensor noise."""
    srgb = encode(linear * exposure(linear, rng))
    noise = rng.normal(0, rng.uniform(0.5, 2.0), srgb.shape)
    return np.clip(srgb * 255 + noise, 0, 255).round().astype(np.uint8)


def exposure(linear: NDArray[np.floating], rng: np.random.Generator) -> float:
    """Choose the factor of light that makes the bright parts nearly white."""
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    return float(rng.uniform(0.6, 0.9) / max(float(np.percentile(luminance, 95)), 1e-6))


def encode(exposed: NDArray[np.floating]) -> NDArray[np.floating]:
    """Encode exposed light as sRGB in 0…1, its highlights compressed."""
    over = np.maximum(exposed - KNEE, 0)
    exposed = np.minimum(exposed, KNEE) + (1 - KNEE) * (1 - np.exp(-over / (1 - KNEE)))
    return srgb_encode(exposed)


def worn(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Degrade a photo [H, W, 3] as use does: out of focus or sharpened, and through a JPEG."""
    picture = Pillow.fromarray(pixels)
    chance = rng.random()
    if chance < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.3)))
    elif chance < 0.5:
        percent = int(rng.uniform(40, 180))
        picture = picture.filter(ImageFilter.UnsharpMask(rng.uniform(0.6, 2), percent, 2))
    if rng.random() < 0.7:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(rng.uniform(35, 96)))
        picture = Pillow.open(buffer, formats=["JPEG"])
    return np.asarray(picture)
