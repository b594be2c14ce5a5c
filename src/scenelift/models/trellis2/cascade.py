"""Finds the voxels that a finer flow works on, from a coarse shape."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "LEAST_RESOLUTION",
    "MOST_TOKENS",
    "PUBLISHED_FINER",
    "Rounding",
    "finer_cells",
    "pooled",
]

Rounding: TypeAlias = Literal["cells", "corners"]
"""What a token of the finer flow stands for: a cell of its grid (TRELLIS.2), or a point of a grid
whose outermost points lie on the cube's faces (Pixal3D)."""

# A finer flow takes fewer tokens than this, or the resolution falls by a step, down to the least.
MOST_TOKENS = 49_152
LEAST_RESOLUTION = 1024
STEP = 128
# Fine voxels that one of the published latents' is split into, along a side.
PUBLISHED_FINER = 16


def pooled(logits: Tensor, side: int) -> Tensor:  # [B, 1, X, X, X] -> [B, 1, side, side, side]
    """Pool logits to a coarser grid: a cell is occupied where any cell in it is."""
    return F.max_pool3d(logits, logits.shape[-1] // side)


def finer_cells(
    coords: Tensor,  # int [M, 4]: batch, x, y, z of the coarse shape's fine voxels
    side: int,  # of their grid
    resolution: int,  # asked for
    *,
    rounding: Rounding = "cells",
    most: int = MOST_TOKENS,
    least: int = LEAST_RESOLUTION,
    finer: int = PUBLISHED_FINER,
) -> tuple[Tensor, int]:
    """Find the cells that hold a piece of the coarse shape, on as fine a grid as there is room for.

    Args:
        coords: where the coarse shape is.
        side: of the grid of `coords`.
        resolution: fine voxels along a side that are asked for.
        rounding: what a token stands for.
        most: fewer tokens than this, or the resolution falls, but
        least: not below this.
        finer: fine voxels along a side of a token's.

    Returns:
        int32 [N, 4]: batch, x, y, z, in lexicographic order, and the resolution that it came to.
    """
    while True:
        cells = resolution // finer
        at = (coords[:, 1:].float() + 0.5) / side
        # `round` takes halves to the even number.
        at = at * cells if rounding == "cells" else (at * (cells - 1)).round()
        tokens = torch.cat([coords[:, :1].int(), at.int()], 1).unique(dim=0)
        if len(tokens) < most or resolution <= least:
            return tokens, resolution
        resolution -= STEP // PUBLISHED_FINER * finer
