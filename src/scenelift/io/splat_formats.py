"""Write splats in the compact formats of other programs; gaussforge packs them.

    spz              Niantic's, version 4: 24-bit positions and bytes; a tenth of the PLY
    spz3             its version 3, which older readers stop at
    sog              PlayCanvas': WebP pictures in a zip; the smallest
    splat            antimatter15's: 32 bytes a splat, read by nearly everything
    compressed.ply   PlayCanvas' PLY of chunks with 16 bytes a splat

All of them are lossy, a little. SPZ has y up by its description; the others have the axes that
`scene.ply` has (`--splat-frame`).
"""

# gaussforge has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportMissingTypeArgument=false

from __future__ import annotations

from pathlib import Path

import numpy as np
from gaussforge import GaussForge
from numpy.typing import NDArray

from scenelift.errors import FormatError
from scenelift.geometry.transforms import take_gaussians
from scenelift.io.files import write_bytes
from scenelift.io.ply import ply_bytes
from scenelift.io.splat_reader import in_frame
from scenelift.options import SplatFrame
from scenelift.types import Gaussians

__all__ = ["SPLAT_FORMATS", "write_splats"]

SPLAT_FORMATS = ("spz", "spz3", "sog", "splat", "compressed.ply")
_MORTON_BITS = 21


def write_splats(
    path: Path, gaussians: Gaussians, kind: str, *, frame: SplatFrame = "y-up"
) -> None:
    """Write splats in one of `SPLAT_FORMATS`.

    They are sorted along a Morton curve, so that neighbours in the file are neighbours in space:
    the formats with chunks and pictures get smaller and truer by it.

    Args:
        path: the file, replaced atomically.
        gaussians: in the axes of this package.
        kind: the format.
        frame: axes of the file; SPZ has y up whatever is asked for.

    Raises:
        FormatError: there are no splats, or they cannot be packed.
        OutputError: the file cannot be written.
    """
    if not len(gaussians):
        raise FormatError(f"There are no splats to write to {path.name}.")
    ordered = take_gaussians(gaussians, morton_order(gaussians.means))
    if not kind.startswith("spz"):
        ordered = in_frame(ordered, frame)
    version = 3 if kind == "spz3" else 4
    ending = "spz" if kind == "spz3" else kind
    reply = GaussForge().convert(ply_bytes(ordered), "ply", ending, spz_version=version)
    if "data" not in reply:
        raise FormatError(f"The splats could not be packed as .{kind}: {reply.get('error')}.")
    write_bytes(path, bytes(reply["data"]))


def morton_order(points: NDArray[np.float32]) -> NDArray[np.int64]:  # [N, 3] -> [N]
    """Sort points along a curve on which neighbours are close; return their indices."""
    low, high = points.min(0), points.max(0)
    extent = np.maximum(high - low, 1e-12)
    cells = ((points - low) / extent * (2**_MORTON_BITS - 1)).astype(np.uint64)
    key = np.zeros(len(points), np.uint64)
    for axis in range(3):
        key |= _spread(cells[:, axis]) << np.uint64(axis)
    return np.argsort(key, kind="stable")


def _spread(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Put two zeros between the lowest 21 bits (the usual magic masks)."""
    x = bits & np.uint64(0x1FFFFF)
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        x = (x | x << np.uint64(shift)) & np.uint64(mask)
    return x
