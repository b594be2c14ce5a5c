"""Pictures that Pillow does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np

__all__ = ["png_of_16_bits"]


def png_of_16_bits(values: np.ndarray, **chunks: bytes) -> bytes:
    """A PNG of numbers [H, W] or [H, W, C] with 16 bits a channel, and further chunks."""
    values = np.asarray(values).astype(">u2")
    height, width = values.shape[:2]
    channels = values.size // (height * width)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)),
            *(chunk(kind.encode(), data) for kind, data in chunks.items()),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )
