"""Blend patches of a texture on CUDA; `bake_torch.blend_patches` is the definition.

One program a line of sight. A splat's numbers are the same for all its texels, so they are read as
scalars, as in `render/splats_triton.py`.
"""

from __future__ import annotations

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.finish.blending import AT_ONCE, DARKEST, MAX_ALPHA, OPAQUE

__all__ = ["blend_patches_triton"]


@triton.jit
def _blend(
    table,  # [P, 9]
    starts,  # [S + 1]
    at,  # [S, W, 2]
    there,  # [S, W]
    out,  # [S, W, 4]
    width,
    LANES: tl.constexpr,
    AT_ONCE: tl.constexpr,
    DARKEST: tl.constexpr,
    MAX_ALPHA: tl.constexpr,
    OPAQUE: tl.constexpr,
):
    sight = tl.program_id(0)
    lane = tl.arange(0, LANES)
    inside = lane < width
    texel = sight * width + lane
    exists = tl.load(there + texel, mask=inside, other=0.0)
    u = tl.load(at + 2 * texel, mask=inside, other=0.0)
    v = tl.load(at + 2 * texel + 1, mask=inside, other=0.0)
    through = exists
    red = tl.zeros_like(through)
    green = tl.zeros_like(through)
    blue = tl.zeros_like(through)

    k = tl.load(starts + sight)
    end = tl.load(starts + sight + 1)
    while (k < end) & (tl.max(through, 0) >= OPAQUE):
        for _ in tl.static_range(AT_ONCE):
            valid = k < end
            splat = table + k * 9
            du = u - tl.load(splat, mask=valid, other=0.0)
            dv = v - tl.load(splat + 1, mask=valid, other=0.0)
            a = tl.load(splat + 2, mask=valid, other=0.0)
            b = tl.load(splat + 3, mask=valid, other=0.0)
            e = tl.load(splat + 4, mask=valid, other=0.0)
            opacity = tl.load(splat + 5, mask=valid, other=0.0)
            power = a * du * du + e * dv * dv + b * du * dv
            weight = tl.minimum(opacity * tl.exp(power), MAX_ALPHA)
            share = tl.where(power >= DARKEST, weight, 0.0) * through
            red += share * tl.load(splat + 6, mask=valid, other=0.0)
            green += share * tl.load(splat + 7, mask=valid, other=0.0)
            blue += share * tl.load(splat + 8, mask=valid, other=0.0)
            through -= share
            k += 1

    where = out + 4 * texel
    tl.store(where, red, mask=inside)
    tl.store(where + 1, green, mask=inside)
    tl.store(where + 2, blue, mask=inside)
    tl.store(where + 3, exists - through, mask=inside)


def blend_patches_triton(table: Tensor, starts: Tensor, at: Tensor, there: Tensor) -> Tensor:
    """Contract of `blend_patches`; contiguous tensors on one CUDA device."""
    sights, width = there.shape
    out = torch.empty((sights, width, 4), device=at.device)
    with torch.cuda.device(at.device):  # Triton launches on the current one
        _blend[(sights,)](  # pyright: ignore[reportIndexIssue]
            table.contiguous(),
            starts,
            at.contiguous(),
            there.to(torch.float32),
            out,
            width,
            LANES=triton.next_power_of_2(width),
            AT_ONCE=AT_ONCE,
            DARKEST=DARKEST,
            MAX_ALPHA=MAX_ALPHA,
            OPAQUE=OPAQUE,
            num_warps=2,
        )
    return out
