"""Triton kernels of `meet`, `look` and `blend_patches`, which `bake_torch.py` defines.

`_blend` is one program a line of sight. A splat's numbers are the same for all its texels, so they
are read as scalars, as in `render/splats_triton.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor

from scenelift.device import current_device
from scenelift.finish.blending import (
    AT_ONCE,
    BEHIND,
    DARKEST,
    IN_FRONT,
    MAX_ALPHA,
    MIN_ALPHA,
    OPAQUE,
)
from scenelift.finish.sights import SIGHTS
from scenelift.render.rows_triton import load_three

if TYPE_CHECKING:
    from scenelift.finish.bake_torch import _Cells, _Patches

__all__ = ["blend_patches_triton", "look_triton", "meet_triton"]

ROWS = 256  # pairs of one program


@triton.jit
def _offset(means, centre, patch, splat, there):
    x, y, z = load_three(means, splat, there)
    from_x, from_y, from_z = load_three(centre, patch, there)
    return x - from_x, y - from_y, z - from_z


@triton.jit
def _meet(
    means,  # [N, 3]
    radii,  # [N]
    centre,  # [G, 3]
    reaches,  # [G]
    frames,  # [G, SIGHTS, 3, 3]
    patches,  # [C]
    splats,  # [C]
    crossings,  # [C, SIGHTS]
    count,
    ROWS: tl.constexpr,
    SIGHTS: tl.constexpr,
    BEHIND: tl.constexpr,
    IN_FRONT: tl.constexpr,
):
    c = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = c < count
    patch = tl.load(patches + c, mask=there, other=0)
    splat = tl.load(splats + c, mask=there, other=0)
    x, y, z = _offset(means, centre, patch, splat, there)
    square = x * x + y * y + z * z
    reach = tl.load(reaches + patch, mask=there, other=0.0)
    limit = reach + tl.load(radii + splat, mask=there, other=0.0)
    for sight in tl.static_range(SIGHTS):
        fx, fy, fz = load_three(frames, (patch * SIGHTS + sight) * 3 + 2, there)
        height = x * fx + y * fy + z * fz
        near = (height <= IN_FRONT + reach) & (height >= -BEHIND - reach)
        near = near & (square - height * height <= limit * limit)
        tl.store(crossings + c * SIGHTS + sight, near, mask=there)


def meet_triton(
    splats: _Cells, patches: _Patches, frames: Tensor, patch: Tensor, splat: Tensor
) -> Tensor:
    """Compute `meet` on CUDA."""
    crossings = torch.empty((len(patch), SIGHTS), dtype=torch.bool, device=patch.device)
    if len(patch):
        with current_device(patch.device):
            _meet[(triton.cdiv(len(patch), ROWS),)](  # pyright: ignore[reportIndexIssue]
                splats.means.contiguous(),
                splats.radii.contiguous(),
                patches.centre.contiguous(),
                patches.reach.contiguous(),
                frames.contiguous(),
                patch,
                splat,
                crossings,
                len(patch),
                ROWS=ROWS,
                SIGHTS=SIGHTS,
                BEHIND=BEHIND,
                IN_FRONT=IN_FRONT,
            )
    return crossings


@triton.jit
def _seen_along(axes, splat, x, y, z, there):
    """View a splat's three axes [3, 3] along a direction."""
    at = axes + 9 * splat
    a = tl.load(at, mask=there, other=0.0) * x
    a += tl.load(at + 3, mask=there, other=0.0) * y
    a += tl.load(at + 6, mask=there, other=0.0) * z
    b = tl.load(at + 1, mask=there, other=0.0) * x
    b += tl.load(at + 4, mask=there, other=0.0) * y
    b += tl.load(at + 7, mask=there, other=0.0) * z
    c = tl.load(at + 2, mask=there, other=0.0) * x
    c += tl.load(at + 5, mask=there, other=0.0) * y
    c += tl.load(at + 8, mask=there, other=0.0) * z
    return a, b, c


@triton.jit
def _look(
    means,  # [N, 3]
    axes,  # [N, 3, 3]
    opacities,  # [N]
    rgb,  # [N, 3]
    centre,  # [G, 3]
    frames,  # [G, SIGHTS, 3, 3]
    patches,  # [P]
    splats,  # [P]
    sights,  # [P]
    table,  # [P, 9]
    key,  # [P]
    count,
    blur,
    ROWS: tl.constexpr,
    SIGHTS: tl.constexpr,
    MIN_ALPHA: tl.constexpr,
):
    p = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = p < count
    patch = tl.load(patches + p, mask=there, other=0)
    splat = tl.load(splats + p, mask=there, other=0)
    line = SIGHTS * patch + tl.load(sights + p, mask=there, other=0)
    x, y, z = _offset(means, centre, patch, splat, there)
    rx, ry, rz = load_three(frames, 3 * line, there)
    ux, uy, uz = load_three(frames, 3 * line + 1, there)
    fx, fy, fz = load_three(frames, 3 * line + 2, there)
    depth = -(x * fx + y * fy + z * fz)
    bits = depth.to(tl.int32, bitcast=True).to(tl.int64)
    tl.store(key + p, (line << 32) + tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits), mask=there)

    ra, rb, rc = _seen_along(axes, splat, rx, ry, rz, there)
    ua, ub, uc = _seen_along(axes, splat, ux, uy, uz, there)
    var_u, var_v = ra * ra + rb * rb + rc * rc, ua * ua + ub * ub + uc * uc
    cov = ra * ua + rb * ub + rc * uc
    sharp = tl.maximum(var_u * var_v - cov * cov, 0.0)
    var_u += blur
    var_v += blur
    determinant = var_u * var_v - cov * cov
    opacity = tl.load(opacities + splat, mask=there, other=0.0) * tl.sqrt(sharp / determinant)
    red, green, blue = load_three(rgb, splat, there)
    row = table + 9 * p
    tl.store(row, x * rx + y * ry + z * rz, mask=there)
    tl.store(row + 1, x * ux + y * uy + z * uz, mask=there)
    tl.store(row + 2, -0.5 * var_v / determinant, mask=there)
    tl.store(row + 3, cov / determinant, mask=there)
    tl.store(row + 4, -0.5 * var_u / determinant, mask=there)
    tl.store(row + 5, tl.where(opacity >= MIN_ALPHA, opacity, 0.0), mask=there)
    tl.store(row + 6, red, mask=there)
    tl.store(row + 7, green, mask=there)
    tl.store(row + 8, blue, mask=there)


def look_triton(
    splats: _Cells,
    patches: _Patches,
    frames: Tensor,
    blur: float,
    patch: Tensor,
    splat: Tensor,
    sight: Tensor,
) -> tuple[Tensor, Tensor]:
    """Compute `look` on CUDA."""
    table = torch.empty((len(patch), 9), device=patch.device)
    key = torch.empty(len(patch), dtype=torch.int64, device=patch.device)
    if len(patch):
        with current_device(patch.device):
            _look[(triton.cdiv(len(patch), ROWS),)](  # pyright: ignore[reportIndexIssue]
                splats.means.contiguous(),
                splats.axes.contiguous(),
                splats.opacities.contiguous(),
                splats.rgb.contiguous(),
                patches.centre.contiguous(),
                frames.contiguous(),
                patch.contiguous(),
                splat.contiguous(),
                sight.contiguous(),
                table,
                key,
                len(patch),
                float(blur),
                ROWS=ROWS,
                SIGHTS=SIGHTS,
                MIN_ALPHA=MIN_ALPHA,
            )
    return table, key


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
    """Compute `blend_patches` on CUDA; all tensors are contiguous and on one device."""
    sights, width = there.shape
    out = torch.empty((sights, width, 4), device=at.device)
    with current_device(at.device):
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
