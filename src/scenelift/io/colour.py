"""Convert a decoded picture of any mode to 8-bit RGB in sRGB.

more than 8 bits            10, 12 and 14 bits in 16 are told by their largest value
palette                     its colours
code points                 PNG's cICP; AVIF's and HEIC's where there is no profile
ICC profile                 converted, under alpha and in palettes too
PNG's gAMA and cHRM         where there is neither a profile nor an sRGB chunk
EXIF's Adobe RGB            where there is neither a profile nor a gAMA
transparency                laid on white, last
"""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ExifTags, ImageCms

from scenelift.errors import ImageError
from scenelift.io.cicp import CodePoints, space_of
from scenelift.io.spaces import SRGB_PRIMARIES, Space, gamma_light, in_srgb, matrix_to_srgb, xyz
from scenelift.io.tiff import is_half_float, numbers_of

__all__ = ["needs_all_bits", "to_srgb"]

# Sensors count to these; what stops at one of them is not a dark picture of 16 bits.
SENSOR_BITS = (8, 10, 12, 14, 16)
# 1/2.2 is what sRGB is written as; encoders round it.
SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.02
# As `SRGB_PRIMARIES` (Adobe RGB (1998) §4.3).
ADOBE_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 256 / 563
PRIMARIES_TOLERANCE = 0.002


def needs_all_bits(picture: PIL.Image.Image, points: CodePoints | None) -> bool:
    """Return whether a loaded picture's 16 bits a channel hold more than eight can.

    They are where it is so dark that it may be of a sensor's 10, 12 or 14 bits, and where its
    values are not sRGB's, so that the dark ones are far apart.
    """
    brightest = max(high for _, high in _extrema(picture)[:3])
    return brightest < 2 ** (SENSOR_BITS[-2] - 8) or bool(points) or "gamma" in picture.info


def _extrema(picture: PIL.Image.Image) -> list[tuple[int, int]]:
    limits: Any = picture.getextrema()
    if picture.mode == "LA":
        return [limits[0]]
    return list(limits) if isinstance(limits[0], tuple) else [limits]


def to_srgb(
    picture: PIL.Image.Image,
    notes: list[str],
    *,
    points: CodePoints | None = None,
    wide: NDArray[np.uint16] | None = None,
) -> PIL.Image.Image:
    """Convert a picture to RGB in sRGB; assumptions are added to `notes`.

    Args:
        picture: loaded.
        notes: is added to.
        points: what the file says of its colours.
        wide: its red, green and blue, or its grey, in 16 bits, where those are needed.

    Raises:
        ImageError: its pixels are floating-point numbers.
    """
    if picture.mode == "F" or is_half_float(picture):
        raise ImageError(
            "The photo has floating-point pixels, whose range is unknown. Export it as PNG or JPEG."
        )
    info = picture.info
    clear = "A" in picture.getbands() or picture.mode in ("La", "RGBa") or "transparency" in info
    clear = clear and not picture.mode.startswith("I")
    alpha = picture.convert("RGBA").getchannel("A") if clear else None
    if picture.mode.startswith("I"):
        wide = numbers_of(picture)
    values = None if wide is None else _by_own_range(wide, notes)
    space = space_of(points, notes) if points else None
    rgb = None
    if points is None and info.get("icc_profile"):
        opaque = _without_alpha(picture) if values is None else _eight_bits(values)
        rgb = _by_profile(opaque, info.get("icc_profile"), notes)
    elif points is None and "srgb" not in info:
        space = _stated_space(picture, notes)
    if rgb is None:
        rgb = _in_space(picture, values, space)
    if alpha is None:
        return rgb
    white = PIL.Image.new("RGB", rgb.size, "white")
    return PIL.Image.composite(rgb, white, alpha)


def _in_space(
    picture: PIL.Image.Image, values: NDArray[np.uint16] | None, space: Space | None
) -> PIL.Image.Image:
    """Convert the picture, or its values in 16 bits, to sRGB."""
    if space is None:
        opaque = _without_alpha(picture) if values is None else _eight_bits(values)
        return opaque.convert("RGB")
    pixels = np.asarray(_without_alpha(picture).convert("RGB")) if values is None else values
    return PIL.Image.fromarray(in_srgb(pixels, space)).convert("RGB")


def _by_own_range(values: NDArray[Any], notes: list[str]) -> NDArray[np.uint16]:
    """Scale values of 16 or 32 bits to 0…65535 by their own range."""
    brightest = int(values.max(initial=0))
    bits = next((b for b in SENSOR_BITS if brightest < 2**b), 0)
    top = 2**bits - 1 if bits else brightest
    if bits in (10, 12, 14):
        what = "grey values" if values.ndim == 2 else "colours"
        notes.append(f"The photo's {what} end at {brightest}: they were read as {bits} bits.")
    if top == 65535:
        return values.clip(0, 65535).astype(np.uint16, copy=False)
    if top < 65535:
        table = np.round(np.arange(65536) * (65535 / top)).clip(0, 65535).astype(np.uint16)
        return table[values.clip(0, 65535).astype(np.uint16, copy=False)]
    return np.round(values.clip(0).astype(np.float32) * np.float32(65535 / top)).astype(np.uint16)


def _eight_bits(values: NDArray[np.uint16]) -> PIL.Image.Image:
    table = np.round(np.arange(65536) / 257).astype(np.uint8)
    return PIL.Image.fromarray(table[values])


def _without_alpha(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Drop the picture's alpha, and choose a mode that a colour profile can describe."""
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
    """Convert the picture to sRGB by its ICC profile; None if it has none that fits."""
    if not profile or picture.mode not in ("RGB", "CMYK", "L", "LAB"):
        return None
    try:
        return ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("The photo's colour profile is damaged and was ignored.")
        return None


def _stated_space(picture: PIL.Image.Image, notes: list[str]) -> Space | None:
    """Read gamma and primaries that a PNG or EXIF states without a profile; None for sRGB's."""
    gamma, primaries = picture.info.get("gamma"), picture.info.get("chromaticity")
    if gamma is None and primaries is None and _is_adobe_rgb(picture):
        notes.append("The photo says that it is in Adobe RGB: its colours were read as that.")
        return Space(light=gamma_light(ADOBE_GAMMA), matrix=matrix_to_srgb(ADOBE_PRIMARIES))
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        gamma = SRGB_GAMMA
    matrix = None
    if primaries is not None and _are_unlike_srgb(primaries):
        matrix = matrix_to_srgb(primaries)
    if abs(gamma - SRGB_GAMMA) >= GAMMA_TOLERANCE:
        notes.append(f"The photo's values were encoded with a gamma of {gamma:g}: read as sRGB.")
    elif matrix is None:
        return None
    if matrix is not None:
        notes.append("The photo states the primaries of its colours: they were read by them.")
    return Space(light=gamma_light(gamma), matrix=matrix)


def _is_adobe_rgb(picture: PIL.Image.Image) -> bool:
    """Return whether EXIF names Adobe RGB: DCF's option "R03", or 2 as a few cameras write it."""
    exif = picture.getexif()
    space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    option = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    return space == 2 or (space == 0xFFFF and str(option).startswith("R03"))


def _are_unlike_srgb(primaries: Any) -> bool:
    """Return whether a cHRM chunk states primaries that are possible and differ from sRGB's."""
    numbers = cast("tuple[float, ...]", primaries) if isinstance(primaries, tuple) else ()
    if len(numbers) != 8 or min(numbers[1::2]) <= 0:
        return False
    if np.abs(np.subtract(numbers, SRGB_PRIMARIES)).max() < PRIMARIES_TOLERANCE:
        return False
    return bool(abs(np.linalg.det(xyz(numbers)[1])) > 1e-3)
