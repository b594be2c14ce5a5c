"""Reading photos: checked before they are decoded, upright, sRGB.

A photo may come from a stranger, so the header's word on format and size is taken first and the
pixels are only decoded when both are reasonable.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageCms, ImageOps, UnidentifiedImageError

from scenelift.errors import ImageError
from scenelift.types import Image

__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS", "MAX_SIDE", "MIN_SIDE", "read_image"]

# MPO, what phones write for bursts and depth, comes through Pillow's JPEG reader.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
MAX_FILE_BYTES = 256 * 2**20
# 16 384 × 8 192: beyond any phone's or camera's single shot, and 400 MB once decoded.
MAX_PIXELS = 2**27
# Objects keep a few hundred pixels a side in every model we run: more would cost memory only.
MAX_SIDE = 4096
# Below this no model can tell an object from its surroundings.
MIN_SIDE = 16
# Diagonal of a 36 × 24 mm frame: EXIF's 35 mm equivalent compares diagonals (CIPA DCG-001).
FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)


def read_image(source: str | Path | BinaryIO, *, max_side: int = MAX_SIDE) -> Image:
    """Read a photo.

    EXIF orientation is applied, embedded colour profiles are converted to sRGB, transparency is
    laid on white, 16-bit and CMYK pictures become 8-bit RGB, the first frame of an animation is
    taken. Photos with a side above `max_side` are reduced; `Image.notes` says so.

    Args:
        source: path or binary file (seekable).
        max_side: longest side of the result in pixels.

    Raises:
        ImageError: missing, empty, truncated, not a picture, or of an unreasonable size.
    """
    if isinstance(source, str | Path):
        name = Path(source).name
        try:
            with Path(source).open("rb") as file:
                return _read(file, name, max_side)
        except FileNotFoundError as exc:
            raise ImageError(f"There is no file {source}. Check the path of the photo.") from exc
        except IsADirectoryError as exc:
            raise ImageError(
                f"{source} is a folder; give the path of one photo inside it."
            ) from exc
        except PermissionError as exc:
            raise ImageError(f"{source} may not be read: check its permissions.") from exc
    return _read(source, "the uploaded photo", max_side)


def _read(file: BinaryIO, name: str, max_side: int) -> Image:
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
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; both are judged here.
            warnings.simplefilter("ignore")
            PIL.Image.init()
            # Pillow may have been built without one of them (AVIF).
            formats = [f for f in FORMATS if f in PIL.Image.OPEN]
            with PIL.Image.open(file, formats=formats) as picture:
                _check_size(picture.size, name)
                if getattr(picture, "is_animated", False) and picture.format != "MPO":
                    frames = getattr(picture, "n_frames", 2)
                    notes.append(f"{name} is animated: the first of its {frames} frames was used.")
                # JPEG can be decoded at a half, quarter or eighth of its size, which is what
                # keeps a 100-megapixel photo cheap.
                full_size = picture.size
                picture.draft(picture.mode, (max_side, max_side))
                picture.load()
                focal_35mm = _focal_35mm(picture)
                upright = ImageOps.exif_transpose(picture)
                rgb = _to_srgb(upright, notes)
    except UnidentifiedImageError as exc:
        raise ImageError(
            f"{name} is not a picture we can read. Formats: {', '.join(FORMATS)}."
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

    if max(rgb.size) > max_side:
        scale = max_side / max(rgb.size)
        target = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
        rgb = rgb.resize(target, PIL.Image.Resampling.LANCZOS, reducing_gap=3.0)
    if max(full_size) > max_side:
        notes.append(
            f"{name} was read at {rgb.width} × {rgb.height} pixels (longest side {max_side})."
        )
    pixels = np.asarray(rgb)
    focal_px = None
    if focal_35mm:
        focal_px = focal_35mm / FULL_FRAME_DIAGONAL_MM * math.hypot(*rgb.size)
    return Image(pixels=np.ascontiguousarray(pixels), focal_px=focal_px, notes=tuple(notes))


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise ImageError(
            f"{name} is {width} × {height} pixels; both sides must have at least {MIN_SIDE}. "
            "Use the original photo."
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is {width} × {height} = {width * height / 1e6:.0f} megapixels; photos of up "
            f"to {MAX_PIXELS // 10**6} are read. Reduce it first."
        )


def _focal_35mm(picture: PIL.Image.Image) -> float | None:
    """EXIF's 35 mm equivalent focal length, where it is there and plausible."""
    try:
        exif = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        value = exif.get(ExifTags.Base.FocalLengthIn35mmFilm)
        focal = float(value) if value is not None else 0.0
    except (SyntaxError, ValueError, TypeError, KeyError, OverflowError, struct.error, OSError):
        return None  # damaged metadata is no reason to refuse a photo
    return focal if 4 <= focal <= 2000 else None


def _to_srgb(picture: PIL.Image.Image, notes: list[str]) -> PIL.Image.Image:
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(picture).astype(np.float64)
        top = 65535 if values.max(initial=0) <= 65535 else values.max()
        return PIL.Image.fromarray(np.round(values * 255 / top).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ImageError(
            "The photo has floating-point pixels, whose range is unknown. Export it as PNG or JPEG."
        )
    if "A" in picture.getbands() or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", rgba.size, "white")
        return PIL.Image.alpha_composite(white, rgba).convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            converted = ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("The photo's colour profile is damaged and was ignored.")
        else:
            if converted is not None:
                return converted
    return picture.convert("RGB")
