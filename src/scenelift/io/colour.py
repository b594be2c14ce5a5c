"""From a decoded picture of any mode to 8-bit RGB in sRGB.

grey of more than 8 bits    to 8 bits; 10, 12 and 14 bits in 16 are told by their largest value
palette                     its colours
ICC profile                 converted, under alpha and in palettes too
PNG's gAMA                  where there is neither a profile nor an sRGB chunk
transparency                laid on white, last
"""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
from PIL import ImageCms

from scenelift.errors import ImageError

__all__ = ["to_srgb"]

# Sensors count to these; what stops at one of them is not a dark picture of 16 bits.
SENSOR_BITS = (8, 10, 12, 14, 16)
# 1/2.2 is what sRGB is written as; encoders round it.
SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.02


def to_srgb(picture: PIL.Image.Image, notes: list[str]) -> PIL.Image.Image:
    """A picture as RGB in sRGB; what had to be assumed goes to `notes`.

    Raises:
        ImageError: its pixels are floating-point numbers.
    """
    if picture.mode == "F":
        raise ImageError(
            "The photo has floating-point pixels, whose range is unknown. Export it as PNG or JPEG."
        )
    info = picture.info
    if picture.mode.startswith("I"):
        picture = _grey_of_8_bits(picture, notes)
    clear = "A" in picture.getbands() or picture.mode in ("La", "RGBa") or "transparency" in info
    alpha = picture.convert("RGBA").getchannel("A") if clear else None
    opaque = _without_alpha(picture)
    rgb = _by_profile(opaque, info.get("icc_profile"), notes)
    if rgb is None:
        rgb = opaque.convert("RGB")
        gamma = info.get("gamma")
        if isinstance(gamma, float) and "srgb" not in info and "icc_profile" not in info:
            rgb = _by_gamma(rgb, gamma, notes)
    if alpha is None:
        return rgb
    white = PIL.Image.new("RGB", rgb.size, "white")
    return PIL.Image.composite(rgb, white, alpha)


def _grey_of_8_bits(picture: PIL.Image.Image, notes: list[str]) -> PIL.Image.Image:
    """Grey values of 16 or 32 bits by their own range; nothing is kept in more than they have."""
    values = np.asarray(picture)
    brightest = int(values.max(initial=0))
    bits = next((b for b in SENSOR_BITS if brightest < 2**b), 0)
    top = 2**bits - 1 if bits else brightest
    if bits in (10, 12, 14):
        notes.append(f"The photo's grey values end at {brightest}: they were read as {bits} bits.")
    if brightest <= 65535:
        table = np.round(np.arange(65536) * (255 / top)).clip(0, 255).astype(np.uint8)
        grey = table[values.clip(0, 65535).astype(np.uint16, copy=False)]
    else:
        grey = np.round(values.clip(0).astype(np.float32) * np.float32(255 / top)).astype(np.uint8)
    return PIL.Image.fromarray(grey)


def _without_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture's colours alone, in a mode that a profile can speak of."""
    if picture.mode in ("P", "PA"):
        return picture.convert("RGBA" if "transparency" in picture.info else "RGB").convert("RGB")
    if picture.mode in ("RGBa", "La"):
        picture = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
    if picture.mode in ("RGBA", "RGBX"):
        return PIL.Image.merge("RGB", picture.split()[:3])
    return picture.getchannel("L") if picture.mode == "LA" else picture


def _by_profile(
    picture: PIL.Image.Image, profile: bytes | None, notes: list[str]
) -> PIL.Image.Image | None:
    """The picture in sRGB by its ICC profile; None where it has none that fits."""
    if not profile or picture.mode not in ("RGB", "CMYK", "L", "LAB"):
        return None
    try:
        return ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("The photo's colour profile is damaged and was ignored.")
        return None


def _by_gamma(rgb: PIL.Image.Image, gamma: float, notes: list[str]) -> PIL.Image.Image:
    """Values that are light to the power of `gamma` (PNG's gAMA) as sRGB."""
    if not 0.05 < gamma < 5 or abs(gamma - SRGB_GAMMA) < GAMMA_TOLERANCE:
        return rgb
    light = (np.arange(256) / 255) ** (1 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    notes.append(f"The photo's values were encoded with a gamma of {gamma:g}: read as sRGB.")
    return rgb.point(np.round(encoded * 255).astype(int).tolist() * 3)
