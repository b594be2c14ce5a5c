"""From a decoded picture of any mode to 8-bit RGB in sRGB.

grey of more than 8 bits    to 8 bits; 10, 12 and 14 bits in 16 are told by their largest value
palette                     its colours
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

__all__ = ["to_srgb"]

# Sensors count to these; what stops at one of them is not a dark picture of 16 bits.
SENSOR_BITS = (8, 10, 12, 14, 16)
# 1/2.2 is what sRGB is written as; encoders round it.
SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.02
# x and y of white, red, green and blue, as in a cHRM chunk (IEC 61966-2-1; Adobe RGB (1998) §4.3).
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
ADOBE_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
ADOBE_GAMMA = 256 / 563
PRIMARIES_TOLERANCE = 0.002

FloatArray = NDArray[np.floating[Any]]


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
        if "srgb" not in info and "icc_profile" not in info:
            rgb = _by_stated_space(rgb, picture, notes)
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
            ImageCms.createProfile("sRGB"),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("The photo's colour profile is damaged and was ignored.")
        return None


def _by_stated_space(
    rgb: PIL.Image.Image, picture: PIL.Image.Image, notes: list[str]
) -> PIL.Image.Image:
    """RGB in sRGB by the gamma and primaries that a PNG or EXIF states without a profile."""
    gamma, primaries = picture.info.get("gamma"), picture.info.get("chromaticity")
    if gamma is None and primaries is None and _is_adobe_rgb(picture):
        notes.append("The photo says that it is in Adobe RGB: its colours were read as that.")
        return _from_primaries(rgb, ADOBE_GAMMA, _matrix_to_srgb(ADOBE_PRIMARIES))
    if not isinstance(gamma, float) or not 0.05 < gamma < 5:
        gamma = SRGB_GAMMA
    matrix = None
    if primaries is not None and _are_unlike_srgb(primaries):
        matrix = _matrix_to_srgb(primaries)
    if abs(gamma - SRGB_GAMMA) >= GAMMA_TOLERANCE:
        notes.append(f"The photo's values were encoded with a gamma of {gamma:g}: read as sRGB.")
    elif matrix is None:
        return rgb
    if matrix is not None:
        notes.append("The photo states the primaries of its colours: they were read by them.")
        return _from_primaries(rgb, gamma, matrix)
    table = _encoded((np.arange(256) / 255) ** (1 / gamma))
    return rgb.point(np.round(table * 255).astype(int).tolist() * 3)


def _is_adobe_rgb(picture: PIL.Image.Image) -> bool:
    """Whether EXIF names Adobe RGB: DCF's option "R03", or 2 as a few cameras write it."""
    exif = picture.getexif()
    space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
    option = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    return space == 2 or (space == 0xFFFF and str(option).startswith("R03"))


def _are_unlike_srgb(primaries: Any) -> bool:
    """Whether a cHRM chunk states primaries that are possible, and not those of sRGB."""
    numbers = cast("tuple[float, ...]", primaries) if isinstance(primaries, tuple) else ()
    if len(numbers) != 8 or min(numbers[1::2]) <= 0:
        return False
    if np.abs(np.subtract(numbers, SRGB_PRIMARIES)).max() < PRIMARIES_TOLERANCE:
        return False
    return bool(abs(np.linalg.det(_xyz(numbers)[1])) > 1e-3)


def _xyz(primaries: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """White [3] and the primaries [3, 3] (columns) as XYZ of Y = 1."""
    x, y = np.array(primaries[0::2]), np.array(primaries[1::2])
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, 0], columns[:, 1:]


def _matrix_to_srgb(primaries: tuple[float, ...]) -> FloatArray:
    """Linear RGB of some primaries to linear sRGB, white to white by Bradford's cones, [3, 3]."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )

    def to_xyz(values: tuple[float, ...]) -> FloatArray:
        white, columns = _xyz(values)
        return columns * np.linalg.solve(columns, white)

    ratio = (cones @ _xyz(SRGB_PRIMARIES)[0]) / (cones @ _xyz(primaries)[0])
    adapted = np.linalg.solve(cones, ratio[:, None] * (cones @ to_xyz(primaries)))
    return np.linalg.solve(to_xyz(SRGB_PRIMARIES), adapted)


def _from_primaries(rgb: PIL.Image.Image, gamma: float, matrix: FloatArray) -> PIL.Image.Image:
    """RGB of other primaries, encoded with a gamma, as sRGB; what sRGB has not is clipped."""
    light = ((np.arange(256) / 255) ** (1 / gamma)).astype(np.float32)
    # 65 536 steps of linear light are finer than 8 bits of sRGB are at their darkest.
    table = np.round(_encoded(np.linspace(0, 1, 65536)) * 255).astype(np.uint8)
    pixels = np.asarray(rgb)
    result = np.empty_like(pixels)
    for row in range(0, len(pixels), 256):  # a band at a time: floats take four times the memory
        linear = light[pixels[row : row + 256]] @ matrix.T.astype(np.float32)
        result[row : row + 256] = table[np.rint(linear.clip(0, 1) * (len(table) - 1)).astype(int)]
    return PIL.Image.fromarray(result)


def _encoded(light: FloatArray) -> FloatArray:
    """Linear light in 0…1 with sRGB's transfer function (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
