"""The picture of an object for Pixal3D: TRELLIS.2's, with a margin."""

from __future__ import annotations

__all__ = ["BOX_FACTOR"]

# The crop is this much longer than the box of what is opaque.
BOX_FACTOR = 1.1
