"""Write pictures and short loops of a scene."""

from __future__ import annotations

import math
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.GifImagePlugin import getdata

from scenelift.errors import OutputError
from scenelift.io.ffmpeg import find_ffmpeg
from scenelift.io.files import atomic_write
from scenelift.threads import side_by_side

__all__ = ["write_animation", "write_gif", "write_mp4", "write_png", "write_webp"]

# Thresholds 0…63 of ordered dithering (Bayer 1973), and how far they shift a value of 0…255:
# about the distance of neighbours in a palette.
_PAIR = np.array([[0, 2], [3, 1]])
BAYER = sum(
    4**k * np.kron(np.ones((2**k, 2**k), int), np.kron(_PAIR, np.ones((4 >> k, 4 >> k), int)))
    for k in range(3)
)
DITHER = 12
TRANSPARENT = np.uint8(255)  # the last entry of a GIF's palette: what is as in the frame before
ENOUGH_PIXELS = 150_000  # to choose a palette from
WEBP_QUALITY = 85
MP4_QUALITY = 20  # constant rate factor of x264: 18 looks like the original, 23 is its default
MP4_REPEATS = 3  # a film has an end: the loop is seen so many times
FFMPEG_TIMEOUT = 600.0  # seconds


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W, 3] sRGB, without loss.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(path) as file:
        PillowImage.fromarray(pixels).save(file, "PNG")


def write_gif(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float = 20.0) -> None:
    """Write a GIF that loops for ever.

    All frames share one palette, which is in the file once, and an ordered pattern that stands
    still on the screen hides its steps: no bands on smooth surfaces, no flicker from frame to
    frame. The commonest colour of the first frame, its background, is kept exactly. A frame holds
    the rectangle that changed, and in it what is as before is transparent.

    Args:
        path: the file, replaced atomically.
        frames: one or more pictures, uint8 [H, W, 3] sRGB, of one size.
        fps: frames per second; GIF counts in hundredths of a second, and browsers slow down what
            is faster than 50.

    Raises:
        ValueError: there is no frame, or their sizes differ.
        OutputError: the file cannot be written.
    """
    stack = _stacked(frames)
    red, green, blue = np.moveaxis(stack[0].astype(np.int32), -1, 0)
    values, counts = np.unique(65536 * red + 256 * green + blue, return_counts=True)
    commonest = int(values[counts.argmax()])
    background = np.array([commonest >> 16, commonest >> 8 & 255, commonest & 255], np.uint8)
    palette = _palette(_some_without(background, stack), background)

    height, width = stack.shape[1:3]
    tiles = (height // 8 + 1, width // 8 + 1)
    offset = DITHER * (np.tile(BAYER, tiles)[:height, :width, None] / 63 - 0.5)

    def reduced(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        dithered = np.clip(np.rint(frame + offset), 0, 255).astype(np.uint8)
        nearest = PillowImage.fromarray(dithered).quantize(
            palette=palette, dither=PillowImage.Dither.NONE
        )
        # Pillow finds the nearest colour but roughly: the background must be exact.
        hidden = _has_color(frame, background)
        return np.where(hidden, np.uint8(0), np.asarray(nearest))

    # A loop that swings shows almost every picture twice.
    distinct = {id(frame): frame for frame in frames}
    indices = dict(zip(distinct, side_by_side(reduced, distinct.values()), strict=True))
    content = _gif([indices[id(frame)] for frame in frames], palette, max(2, round(100 / fps)))
    with atomic_write(path) as file:
        file.write(content)


def _gif(
    pictures: Sequence[NDArray[np.uint8]], palette: PillowImage.Image, hundredths: int
) -> bytes:
    """Write indexed pictures [H, W] as a GIF that loops for ever.

    Pillow's own writer gives every frame a palette, 768 bytes each, so that it can make an entry
    of it transparent; here that entry is set aside from the beginning.
    """
    height, width = pictures[0].shape
    colours = bytes(palette.getpalette() or []).ljust(3 * 256, b"\0")
    parts = [b"GIF89a", struct.pack("<HHBBB", width, height, 0xF7, 0, 0), colours]
    parts += [b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"]  # for ever
    before = np.full((height, width), TRANSPARENT, np.uint8)
    for picture in pictures:
        differs = picture != before
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        # A frame without a change still takes its time: of one pixel that is as before.
        top, bottom = (rows[0], rows[-1] + 1) if rows.size else (0, 1)
        first, right = (columns[0], columns[-1] + 1) if columns.size else (0, 1)
        box = np.s_[top:bottom, first:right]
        patch = PillowImage.fromarray(np.where(differs[box], picture[box], TRANSPARENT))
        patch.putpalette(colours)
        parts += getdata(
            patch,
            offset=(int(first), int(top)),
            duration=10 * hundredths,
            transparency=int(TRANSPARENT),
            disposal=1,
            include_color_table=False,
        )
        before = picture
    return b"".join([*parts, b";"])


def write_animation(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float = 20.0) -> None:
    """Write a loop in the format that the file's name ends in: .gif, .webp or .mp4.

    Raises:
        ValueError: another ending, no frame, or frames of different sizes.
        SetupError: MP4, and there is no ffmpeg here.
        OutputError: the file cannot be written.
    """
    writers = {".gif": write_gif, ".webp": write_webp, ".mp4": write_mp4}
    if path.suffix not in writers:
        raise ValueError(f"expected one of {', '.join(writers)}, got {path.name!r}")
    writers[path.suffix](path, frames, fps)


def write_webp(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float = 20.0) -> None:
    """Write a WebP that loops for ever, in all colours; arguments and errors of `write_gif`."""
    pictures = [PillowImage.fromarray(frame) for frame in _stacked(frames)]
    with atomic_write(path) as file:
        pictures[0].save(
            file,
            "WEBP",
            save_all=True,
            append_images=pictures[1:],
            duration=round(1000 / fps),
            loop=0,
            quality=WEBP_QUALITY,
            method=4,
        )


def write_mp4(path: Path, frames: Sequence[NDArray[np.uint8]], fps: float = 20.0) -> None:
    """Write a film (H.264) that repeats the loop three times, for every player and website.

    Sides of odd length are continued by a pixel, as the colours of H.264 come in pairs.

    Raises:
        ValueError: there is no frame, or their sizes differ.
        SetupError: there is no ffmpeg here.
        OutputError: the file cannot be written, or ffmpeg failed.
    """
    ffmpeg = find_ffmpeg()
    stack = _stacked(frames)
    height, width = stack.shape[1:3]
    stack = np.pad(stack, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), "edge")
    size = f"{stack.shape[2]}x{stack.shape[1]}"
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"  # ffmpeg seeks in it, to put the index first
        command = [
            *(ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", size, "-r", str(fps), "-i", "-"),
            *("-c:v", "libx264", "-crf", str(MP4_QUALITY), "-pix_fmt", "yuv420p"),
            *("-movflags", "+faststart", str(film)),
        ]
        try:
            subprocess.run(
                command,
                input=np.tile(stack, (MP4_REPEATS, 1, 1, 1)).tobytes(),
                capture_output=True,
                check=True,
                timeout=FFMPEG_TIMEOUT,
            )
        except subprocess.CalledProcessError as exc:
            reason = exc.stderr.decode(errors="replace").strip() or f"exit code {exc.returncode}"
            raise OutputError(f"{path} could not be written: ffmpeg says {reason}") from exc
        except subprocess.TimeoutExpired as exc:
            raise OutputError(
                f"{path} could not be written: ffmpeg took longer than {FFMPEG_TIMEOUT:g} s"
            ) from exc
        with atomic_write(path) as file:
            file.write(film.read_bytes())


def _stacked(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:  # [K, H, W, 3]
    if not frames or len({frame.shape for frame in frames}) != 1:
        raise ValueError(f"expected frames of one size, got {[f.shape for f in frames]}")
    return np.stack(frames)


def _has_color(
    pixels: NDArray[np.uint8],  # [..., 3]
    color: NDArray[np.uint8],  # [3]
) -> NDArray[np.bool_]:  # [...]
    """Return which pixels have this colour; by channels, as NumPy is slow at rows of three."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red == color[0]) & (green == color[1]) & (blue == color[2])


def _some_without(background: NDArray[np.uint8], stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Choose pixels [N, 3] of another colour than the background's; of very many, every so many."""
    others = np.flatnonzero(~_has_color(stack, background))
    return stack.reshape(-1, 3)[others[:: math.ceil(len(others) / ENOUGH_PIXELS) or 1]]


def _palette(pixels: NDArray[np.uint8], background: NDArray[np.uint8]) -> PillowImage.Image:
    """Choose 255 colours for pixels [N, 3], the background first, as an image with a palette."""
    palette = PillowImage.new("P", (1, 1))
    colours = background.tolist()
    if len(pixels):
        quantized = PillowImage.fromarray(pixels[None]).quantize(
            254, method=PillowImage.Quantize.MEDIANCUT, dither=PillowImage.Dither.NONE
        )
        colours += (quantized.getpalette() or [])[: 3 * 254]
    palette.putpalette(colours)
    return palette
