"""Load rows of three numbers in Triton's kernels."""

from __future__ import annotations

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]

__all__ = ["load_three"]


@triton.jit
def load_three(rows, at, there):
    """Load the three numbers of rows [N, 3], zeros where there is none."""
    at = 3 * at
    x = tl.load(rows + at, mask=there, other=0.0)
    y = tl.load(rows + at + 1, mask=there, other=0.0)
    return x, y, tl.load(rows + at + 2, mask=there, other=0.0)
