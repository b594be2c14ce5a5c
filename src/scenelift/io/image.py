"""Read photos: check them before they are decoded, turn them upright, convert them to sRGB.

A photo may come from a stranger, so the header's word on format and size is taken first and the
pixels are only decoded when both are reasonable.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageOps, UnidentifiedImageError

from scenelift.errors import ImageError
from scenelift.io.cicp import code_points
from scenelift.io.colour import needs_all_bits, to_srgb
from scenelift.io.files import display_path
from scenelift.io.regular import check_regular
from scenelift.io.wide import wide_channels, wide_layout
from scenelift.types import Image

__all__ = [
    "MAX_DETAIL_PIXELS",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "MIN_SIDE",
    "image_of_picture",
    "known_formats",
    "read_image",
]

# MPO, what phones write for bursts and depth, comes through Pillow's JPEG reader.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF", "PPM")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What libtiff is seldom built with: it says so on standard error and gives no reason.
TIFF_COMPRESSION = 259
SELDOM_BUILT = {34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}
MAX_FILE_BYTES = 256 * 2**20
# 16 384 × 8 192: beyond any phone's or camera's single shot, and 400 MB once decoded.
MAX_PIXELS = 2**27
# What segmenters, point maps and fits work at: more would cost memory only.
MAX_SIDE = 4096
# Objects are cut out of the photo's own pixels up to 8192 × 8192 of them (200 MB), beyond that out
# of every second row and column: a fixed rule, so that a seed gives the same bytes everywhere.
MAX_DETAIL_PIXELS = 2**26
# Below this no model can tell an object from its surroundings.
MIN_SIDE = 16
# Diagonal of a 36 × 24 mm frame: EXIF's 35 mm equivalent compares diagonals (CIPA DCG-001).
FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)


def read_image(
    source: str | Path | BinaryIO, *, max_side: int = MAX_SIDE, detail: bool = True
) -> Image:
    """Read a photo.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB, transparency is
    laid on white, 16-bit and CMYK pictures become 8-bit RGB, the first frame of an animation is
    taken. Photos with a side above `max_side` are reduced; `Image.notes` says so.

    Args:
        source: path or binary file (seekable).
        max_side: longest side of the result in pixels.
        detail: keep the pixels of a reduced photo too, for cutting objects out of it. Whoever
            does not reconstruct can do without: it costs time and up to 200 MB.

    Raises:
        ImageError: missing, empty, truncated, not a picture, or of an unreasonable size.
    """
    if isinstance(source, str | Path):
        name = display_path(Path(source).name)
        if "\0" in str(source):
            raise ImageError(f"{str(source)[:200]!r} is no path: it has a character of code 0.")
        check_regular(source, ImageError)
        try:
            with Path(source).open("rb") as file:
                return _read(file, name, max_side, detail)
        except FileNotFoundError as exc:
            raise ImageError(
                f"There is no file {display_path(source)}. Check the path of the photo."
            ) from exc
        except IsADirectoryError as exc:
            raise ImageError(
                f"{source} is a folder; give the path of one photo inside it."
            ) from exc
        except PermissionError as exc:
            raise ImageError(f"{source} cannot be read: check its permissions.") from exc
    return _read(source, "the uploaded photo", max_side, detail)


def image_of_picture(picture: object, *, max_side: int = MAX_SIDE) -> Image | None:
    """Convert a Pillow picture to an `Image`, like a file of it; None for anything else.

    Raises:
        ImageError: it has an unreasonable size.
    """
    if not isinstance(picture, PIL.Image.Image):
        return None
    name = "The picture"
    notes: list[str] = []
    _check_size(picture.size, name)
    focal_35mm = _focal_35mm(picture)
    rgb = _upright(to_srgb(picture, notes), picture)
    return _sized(rgb, rgb.size, name, focal_35mm, notes, max_side, detail=True)


def _read(file: BinaryIO, name: str, max_side: int, detail: bool) -> Image:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size == 0:
        raise ImageError(f"{name} is empty (0 bytes). Copy or export the photo again.")
    if size > MAX_FILE_BYTES:
        raise ImageError(
            f"{name} has {size / 2**20:.0f} MiB; photos of up to {MAX_FILE_BYTES // 2**20} MiB are "
            "read. Export it as JPEG."
        )
    notes: list[str] = []
    formats: list[str] = []
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; both are judged here.
            warnings.simplefilter("ignore")
            formats = known_formats()
            with PIL.Image.open(file, formats=formats) as picture:
                _check_size(picture.size, name, is_tiff=picture.format == "TIFF")
                _check_compression(picture, name)
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    # How many there are is not asked: counting millions takes a while.
                    notes.append(f"{name} is animated: its first frame was used.")
                # JPEG can be decoded at half its size, which keeps a 100-megapixel photo cheap.
                # Whether detail is asked for must not change the working pixels.
                width, height = picture.size
                if width * height > MAX_DETAIL_PIXELS:
                    picture.draft(picture.mode, (width // 2, height // 2))
                layout, points = wide_layout(picture), code_points(file, picture)
                picture.load()
                focal_35mm = _focal_35mm(picture)
                wide = None
                if layout and needs_all_bits(picture, points):
                    wide = wide_channels(picture, layout, file)
                rgb = to_srgb(picture, notes, points=points, wide=wide)
                del wide
                decoded_size = rgb.size
                rgb = _upright(rgb, picture)
                swaps_sides = rgb.size != decoded_size  # by a quarter
    except UnidentifiedImageError as exc:
        file.seek(0)
        if _is_heic(file.read(32)) and "HEIF" not in formats:
            raise ImageError(
                f"{name} is a HEIC photo, which needs one more package: "
                "pip install 'scenelift[heic]'. Or export it as JPEG."
            ) from exc
        file.seek(0)
        if file.read(4) in TIFF_STARTS:
            raise ImageError(
                f"{name} is a kind of TIFF that cannot be read (floating-point colours or packed "
                "12 bits, say). Export it as PNG or JPEG, or with 8 or 16 bits a channel."
            ) from exc
        raise ImageError(
            f"{name} is not a picture we can read. Formats: {_format_names()}."
        ) from exc
    except MemoryError as exc:
        raise ImageError(
            f"{name} needs more memory to decode than there is. Reduce it first."
        ) from exc
    except PIL.Image.DecompressionBombError as exc:
        raise ImageError(
            f"{name} claims more than {PIL.Image.MAX_IMAGE_PIXELS or MAX_PIXELS} × 2 pixels; "
            f"photos of up to {MAX_PIXELS // 10**6} megapixels are read. Reduce it first."
        ) from exc
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        struct.error,
    ) as exc:
        # What Pillow's decoders raise for damaged data, by format.
        raise ImageError(
            f"{name} is damaged or truncated ({exc}). Copy or export the photo again."
        ) from exc

    own_size = (height, width) if swaps_sides else (width, height)
    return _sized(rgb, own_size, name, focal_35mm, notes, max_side, detail)


def _upright(rgb: PIL.Image.Image, picture: PIL.Image.Image) -> PIL.Image.Image:
    """Turn a picture's colours as its EXIF says."""
    rgb.info = {}  # or an orientation in its own metadata would count
    rgb.getexif()[ExifTags.Base.Orientation] = picture.getexif().get(ExifTags.Base.Orientation, 1)
    return ImageOps.exif_transpose(rgb)


def _sized(
    rgb: PIL.Image.Image,
    own_size: tuple[int, int],
    name: str,
    focal_35mm: float | None,
    notes: list[str],
    max_side: int,
    detail: bool,
) -> Image:
    """Resize the upright picture to its working size; keep its detail if it is reduced."""
    closest = None
    halved = own_size[0] * own_size[1] > MAX_DETAIL_PIXELS
    if max(rgb.size) > max_side:
        if detail:
            # Formats that cannot be decoded at half their size are halved here.
            closest = rgb.reduce(2) if halved and rgb.size == own_size else rgb
        scale = max_side / max(rgb.size)
        target = (round(rgb.width * scale), round(rgb.height * scale))
        if min(target) < MIN_SIDE:
            raise ImageError(
                f"{name} is {own_size[0]} × {own_size[1]} pixels, and {target[0]} × {target[1]} "
                f"when reduced to a longest side of {max_side}; both sides need {MIN_SIDE}. Cut "
                "out the part that shows the objects."
            )
        rgb = rgb.resize(target, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    reduced = rgb.size != own_size
    if reduced:
        note = f"{name} was read at {rgb.width} × {rgb.height} pixels (longest side {max_side})"
        if closest is not None:
            own = " × ".join(map(str, own_size))
            half = " at half that size" if halved else ""
            note += f"; objects are cut out of its own {own} pixels{half}"
        notes.append(f"{note}.")
    pixels = np.asarray(rgb)
    focal_px = None
    if focal_35mm:
        focal_px = focal_35mm / FULL_FRAME_DIAGONAL_MM * math.hypot(*rgb.size)
    return Image(
        pixels=np.ascontiguousarray(pixels),
        focal_px=focal_px,
        own_size=own_size if reduced else None,
        detail=None if closest is None else np.ascontiguousarray(closest),
        notes=tuple(notes),
    )


def known_formats() -> list[str]:
    """Return the `FORMATS` that can be read here: Pillow may lack AVIF, HEIF is an extra."""
    PIL.Image.init()
    if "HEIF" not in PIL.Image.OPEN and find_spec("pi_heif"):
        import pi_heif

        pi_heif.register_heif_opener(thumbnails=False)  # pyright: ignore[reportUnknownMemberType]
    return [f for f in FORMATS if f in PIL.Image.OPEN]


def _is_heic(start: bytes) -> bool:
    """Return whether a file begins like HEIC: an ISO media file of a HEVC brand."""
    brands = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
    return start[4:8] == b"ftyp" and any(brand in start[8:] for brand in brands)


def _format_names() -> str:
    usual = {"HEIF": "HEIC", "PPM": "PPM and PGM"}
    return ", ".join(usual.get(f, f) for f in known_formats())


def _check_compression(picture: PIL.Image.Image, name: str) -> None:
    number = getattr(picture, "tag_v2", {}).get(TIFF_COMPRESSION)
    if number in SELDOM_BUILT:
        raise ImageError(
            f"{name} is a TIFF compressed as {SELDOM_BUILT[number]}, which is not read. Save it "
            "with LZW, ZIP or no compression, or as PNG."
        )


def _check_size(size: tuple[int, int], name: str, *, is_tiff: bool = False) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        advice = "Use the original photo."
        if is_tiff and min(size) < 8:
            advice = "If those are its channels, export three of them as PNG."
        raise ImageError(
            f"{name} is {width} × {height} pixels; both sides must have at least {MIN_SIDE}. "
            f"{advice}"
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width} × {height} = {width * height / 1e6:.0f} megapixels; photos of up "
            f"to {MAX_PIXELS // 10**6} are read. Reduce it first."
        )


def _focal_35mm(picture: PIL.Image.Image) -> float | None:
    """Read EXIF's 35 mm equivalent focal length, if it is there and plausible."""
    try:
        exif = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        value = exif.get(ExifTags.Base.FocalLengthIn35mmFilm)
        focal = float(value) if value is not None else 0.0
    except (SyntaxError, ValueError, TypeError, KeyError, OverflowError, struct.error, OSError):
        return None  # damaged metadata is no reason to refuse a photo
    return focal if 4 <= focal <= 2000 else None
