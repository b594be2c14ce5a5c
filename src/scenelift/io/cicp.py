"""Read code points for colour (ITU-T H.273): PNG's cICP chunk, AVIF's or HEIC's nclx box."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import PIL.Image

from scenelift.io.spaces import FloatArray, Space, gamma_light, matrix_to_srgb
from scenelift.srgb import srgb_decode

__all__ = ["CodePoints", "code_points", "space_of"]

# A PNG's header ends at its first pixels, an AVIF's within this.
MOST_CHUNKS, MOST_HEADER = 1000, 2**16
UNSPECIFIED = 2
# x and y of white, red, green and blue, by number (H.273, table 2).
D65, ILLUMINANT_C, CINEMA = (0.3127, 0.329), (0.31, 0.316), (0.314, 0.351)
PRIMARIES = {
    4: (*ILLUMINANT_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    11: (*CINEMA, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
    22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
SRGB_PRIMARIES_CODE, SRGB_TRANSFERS = 1, (1, 6, 13, 14, 15)  # video's curves are shown as sRGB's
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
PQ, HLG = 16, 18
# White of a page or a face in HDR pictures (ITU-R BT.2408), and the brightest that each can say.
WHITE_NITS, PQ_NITS, HLG_NITS = 203.0, 10_000.0, 1000.0
HLG_SYSTEM_GAMMA = 1.2  # on a display of 1000 cd/m² (BT.2100)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodePoints:
    """What a file says about its colours.

    Attributes:
        primaries: H.273's number for red, green, blue and white.
        transfer: its number for what a value means in light.
        is_full_range: 0 is black and the highest value white; video leaves room on both sides.
    """

    primaries: int
    transfer: int
    is_full_range: bool = True


def code_points(file: BinaryIO, picture: PIL.Image.Image) -> CodePoints | None:
    """Read the code points of a picture's file; None if it has none."""
    position = file.tell()
    try:
        if picture.format == "PNG":
            return _of_png(file)
        if picture.format in ("AVIF", "HEIF") and "icc_profile" not in picture.info:
            return _of_boxes(file)
        return None
    finally:
        file.seek(position)


def _of_png(file: BinaryIO) -> CodePoints | None:
    file.seek(8)
    for _ in range(MOST_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return None
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IDAT":
            return None
        if kind == b"cICP" and length == 4:
            primaries, transfer, _, full = file.read(4)
            return CodePoints(primaries=primaries, transfer=transfer, is_full_range=bool(full))
        file.seek(length + 4, 1)
    return None


def _of_boxes(file: BinaryIO) -> CodePoints | None:
    """Read the first box of that kind: decoders have already undone matrix and range."""
    file.seek(0)
    start = file.read(MOST_HEADER)
    at = start.find(b"colrnclx")
    if at < 0 or len(start) < at + 12:
        return None
    primaries, transfer = struct.unpack_from(">HH", start, at + 8)
    return CodePoints(primaries=primaries, transfer=transfer)


def space_of(points: CodePoints, notes: list[str]) -> Space | None:
    """Return the colour space that code points name; None for sRGB and for unknown ones."""
    matrix = None
    if points.primaries in PRIMARIES:
        matrix = matrix_to_srgb(PRIMARIES[points.primaries])
    elif points.primaries not in (SRGB_PRIMARIES_CODE, UNSPECIFIED):
        notes.append(_unknown("primaries", points.primaries))
    light: Any = srgb_decode
    is_hdr, system_gamma = points.transfer in (PQ, HLG), 1.0
    if points.transfer == PQ:
        light = _pq_light
    elif points.transfer == HLG:
        light, system_gamma = _hlg_light, HLG_SYSTEM_GAMMA
    elif points.transfer in GAMMAS:
        light = gamma_light(1 / GAMMAS[points.transfer])
    elif points.transfer not in (*SRGB_TRANSFERS, UNSPECIFIED):
        notes.append(_unknown("curve", points.transfer))
    if is_hdr:
        notes.append("The photo is HDR: its highlights were compressed into the range of sRGB.")
    elif matrix is None and light is srgb_decode and points.is_full_range:
        return None
    return Space(
        light=light,
        matrix=matrix,
        is_full_range=points.is_full_range,
        is_hdr=is_hdr,
        system_gamma=system_gamma,
        top=HLG_NITS / WHITE_NITS if points.transfer == HLG else 1.0,
    )


def _unknown(what: str, number: int) -> str:
    return f"The photo's {what} of number {number} are not known here: it was read as sRGB."


def _pq_light(values: FloatArray) -> FloatArray:
    """Convert BT.2100's PQ to light of which 1 is white."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = np.clip(values, 0, 1) ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (PQ_NITS / WHITE_NITS)


def _hlg_light(values: FloatArray) -> FloatArray:
    """Convert BT.2100's HLG to the scene's light in 0…1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)
