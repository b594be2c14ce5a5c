"""Colour spaces by their primaries and curves, and their conversion to sRGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.srgb import srgb_encode

__all__ = [
    "SRGB_PRIMARIES",
    "FloatArray",
    "Space",
    "gamma_light",
    "in_srgb",
    "matrix_to_srgb",
]

FloatArray = NDArray[np.floating[Any]]
# x and y of white, red, green and blue, as in a cHRM chunk (IEC 61966-2-1).
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# How much of red, green and blue of BT.2020 is brightness, by which HLG's curve goes.
BT2020_BRIGHTNESS = np.array([0.2627, 0.678, 0.0593], np.float32)
# Light up to here stays as it is where highlights are compressed.
KNEE = 0.5
ROWS = 256  # a band at a time: floats take four times the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A colour space: what a picture's values mean.

    Attributes:
        light: values in 0…1 as light; 1 is white.
        matrix: linear RGB to linear sRGB [3, 3], None where the primaries are the same.
        is_full_range: False for video's range, which leaves room at both ends.
        is_hdr: light may be more than white, and is compressed.
        system_gamma: power of brightness between scene and display, 1 but for HLG.
        top: light of the display where the scene's is 1.
    """

    light: Callable[[FloatArray], FloatArray]
    matrix: FloatArray | None = None
    is_full_range: bool = True
    is_hdr: bool = False
    system_gamma: float = 1.0
    top: float = 1.0


def in_srgb(pixels: NDArray[np.unsignedinteger[Any]], space: Space) -> NDArray[np.uint8]:
    """Convert pixels [H, W, 3] or grey [H, W] of 8 or 16 bits to sRGB; the rest is clipped."""
    levels = 256 if pixels.dtype == np.uint8 else 65536
    steps = np.arange(levels, dtype=np.float64)
    values = steps / (levels - 1)
    if not space.is_full_range:
        values = ((steps - 16 * levels / 256) / (219 * levels / 256)).clip(0, 1)
    light = space.light(values).astype(np.float32)
    if pixels.ndim == 2 and not space.is_hdr:
        # The matrix takes white to white: grey stays grey.
        return _eight_bits(light)[pixels]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    bands = range(0, len(pixels), ROWS)
    peak = 1.0
    if space.is_hdr:
        peak = max(float(_linear(pixels[r : r + ROWS], light, space).max()) for r in bands)
    # 65 536 steps of linear light are finer than 8 bits of sRGB are at their darkest.
    table = _eight_bits(np.linspace(0, 1, 65536))
    result = np.zeros(pixels.shape, np.uint8)
    for row in bands:
        linear = _linear(pixels[row : row + ROWS], light, space)
        if peak > 1:
            linear = _compressed(linear, peak)
        result[row : row + ROWS] = table[np.rint(linear.clip(0, 1) * 65535).astype(np.uint16)]
    return result


def _linear(
    pixels: NDArray[np.unsignedinteger[Any]], light: NDArray[np.float32], space: Space
) -> NDArray[np.float32]:
    linear = light[pixels]
    if space.system_gamma != 1:
        brightness = linear @ BT2020_BRIGHTNESS
        linear = linear * (space.top * brightness ** (space.system_gamma - 1))[..., None]
    return linear if space.matrix is None else linear @ space.matrix.T.astype(np.float32)


def _compressed(linear: NDArray[np.float32], peak: float) -> NDArray[np.float32]:
    """Compress light so that the brightest becomes white; hues stay, and all below the knee."""
    brightest = linear.max(-1, keepdims=True).clip(1e-6)
    over = (brightest - KNEE) / (1 - KNEE)
    top = (peak - KNEE) / (1 - KNEE)
    bent = KNEE + (1 - KNEE) * over * (1 + over / top**2) / (1 + over)
    return linear * np.where(brightest > KNEE, bent / brightest, 1)


def _eight_bits(light: FloatArray) -> NDArray[np.uint8]:
    return np.round(srgb_encode(light.clip(0, 1)) * 255).astype(np.uint8)


def gamma_light(gamma: float) -> Callable[[FloatArray], FloatArray]:
    """Convert values that were encoded with a power to light."""
    return lambda values: values ** (1 / gamma)


def matrix_to_srgb(primaries: tuple[float, ...]) -> FloatArray:
    """Make the matrix [3, 3] from linear RGB of some primaries to linear sRGB (Bradford)."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )

    def to_xyz(values: tuple[float, ...]) -> FloatArray:
        white, columns = xyz(values)
        return columns * np.linalg.solve(columns, white)

    ratio = (cones @ xyz(SRGB_PRIMARIES)[0]) / (cones @ xyz(primaries)[0])
    adapted = np.linalg.solve(cones, ratio[:, None] * (cones @ to_xyz(primaries)))
    return np.linalg.solve(to_xyz(SRGB_PRIMARIES), adapted)


def xyz(primaries: tuple[float, ...]) -> tuple[FloatArray, FloatArray]:
    """Convert white [3] and the primaries [3, 3] (columns) to XYZ with Y = 1."""
    x, y = np.array(primaries[0::2]), np.array(primaries[1::2])
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, 0], columns[:, 1:]
