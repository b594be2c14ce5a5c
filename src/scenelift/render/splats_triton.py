"""Blend tiles of splats on CUDA; `splats_torch.blend_tiles` is the definition.

One program a tile of 16 × 16 pixels. Every splat's numbers are the same for all pixels, so they are
read as scalars; several at a time, so that reading the next ones hides behind blending these.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.device import current_device
from scenelift.render.splatting import MAX_ALPHA, MIN_TRANSMITTANCE, TILE

__all__ = ["blend_tiles_triton"]

AT_ONCE = 16  # splats between two looks whether the tile is finished
WARPS = 4


@triton.jit
def _blend(
    pairs,  # [P, 11]
    starts,  # [T + 1]
    out,  # [H, W, 5]
    width,
    height,
    columns,
    TILE: tl.constexpr,
    AT_ONCE: tl.constexpr,
    MAX_ALPHA: tl.constexpr,
    MIN_TRANSMITTANCE: tl.constexpr,
):
    tile = tl.program_id(0)
    pixel = tl.arange(0, TILE * TILE)
    column = tile % columns * TILE + pixel % TILE
    row = tile // columns * TILE + pixel // TILE
    x = column.to(tl.float32) + 0.5
    y = row.to(tl.float32) + 0.5
    inside = (column < width) & (row < height)
    through = tl.where(inside, 1.0, 0.0)
    red = tl.zeros_like(through)
    green = tl.zeros_like(through)
    blue = tl.zeros_like(through)
    distance = tl.zeros_like(through)

    at = tl.load(starts + tile)
    end = tl.load(starts + tile + 1)
    while (at < end) & (tl.max(through, 0) >= MIN_TRANSMITTANCE):
        for k in tl.static_range(AT_ONCE):
            there = at + k < end
            splat = pairs + (at + k) * 11
            dx = x - tl.load(splat, mask=there, other=0.0)
            dy = y - tl.load(splat + 1, mask=there, other=0.0)
            a = tl.load(splat + 2, mask=there, other=0.0)
            b = tl.load(splat + 3, mask=there, other=0.0)
            c = tl.load(splat + 4, mask=there, other=0.0)
            opacity = tl.load(splat + 5, mask=there, other=0.0)
            least = tl.load(splat + 6, mask=there, other=1.0)
            weight = opacity * tl.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
            visible = (weight >= least) & (through >= MIN_TRANSMITTANCE)
            weight = tl.where(visible, tl.minimum(weight, MAX_ALPHA), 0.0)
            share = weight * through
            distance += share * tl.load(splat + 7, mask=there, other=0.0)
            red += share * tl.load(splat + 8, mask=there, other=0.0)
            green += share * tl.load(splat + 9, mask=there, other=0.0)
            blue += share * tl.load(splat + 10, mask=there, other=0.0)
            through *= 1.0 - weight
        at += AT_ONCE

    where = out + (row * width + column) * 5
    tl.store(where, red, mask=inside)
    tl.store(where + 1, green, mask=inside)
    tl.store(where + 2, blue, mask=inside)
    tl.store(where + 3, distance, mask=inside)
    tl.store(where + 4, through, mask=inside)


def blend_tiles_triton(
    pairs: Tensor,
    starts: Tensor,
    width: int,
    height: int,
    *,
    at_once: int = AT_ONCE,
    warps: int = WARPS,
) -> Tensor:
    """Contract of `blend_tiles`; contiguous tensors on one CUDA device."""
    out = torch.empty((height, width, 5), device=pairs.device)
    columns, rows = triton.cdiv(width, TILE), triton.cdiv(height, TILE)
    with current_device(pairs.device):
        _blend[(columns * rows,)](  # pyright: ignore[reportIndexIssue]
            pairs.contiguous(),
            starts,
            out,
            width,
            height,
            columns,
            TILE=TILE,
            AT_ONCE=at_once,
            MAX_ALPHA=MAX_ALPHA,
            MIN_TRANSMITTANCE=MIN_TRANSMITTANCE,
            num_warps=warps,
        )
    return out
