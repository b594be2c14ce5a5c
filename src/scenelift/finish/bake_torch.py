"""Colours from splats on any torch device; contract and mathematics of `bake.py`.

For every patch of texels the splats around are listed from a grid, those that reach it kept for
each of its lines of sight, sorted by depth and blended front to back. Plain tensor operations
do all of it; on CUDA a Triton kernel blends.

Shape letters: T texels, G patches, W texels of the largest patch, S lines of sight, N splats, P
pairs of line of sight and splat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from scenelift.finish.bake import (
    AT_ONCE,
    BEHIND,
    BLUR,
    DARKEST,
    IN_FRONT,
    MAX_ALPHA,
    MIN_ALPHA,
    OPAQUE,
    cell_of,
    widest_of,
)
from scenelift.finish.sights import CLEAR, CROWD, SIGHTS, TILT
from scenelift.render.splats_torch import SplatTensors, rotation_matrices
from scenelift.types import Gaussians

__all__ = ["blend_patches", "blend_splats"]

ASK_AFTER = 16  # steps of a line of sight: whether all have left the grid
PATCHES_AT_ONCE = 2048  # bounds the memory: a dense object has some 3000 splats around each


def blend_splats(
    gaussians: Gaussians,
    points: np.ndarray,
    normals: np.ndarray,
    patch: np.ndarray,
    texel: float,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [T, 3] times alpha, and alpha [T]; arguments of `bake.bake_gaussians`."""
    widest = widest_of(gaussians, texel)
    splats = _Cells.of(SplatTensors.from_gaussians(gaussians, device), texel, widest)
    patches = _Patches.of(
        torch.from_numpy(np.array(points, np.float32)).to(device),
        torch.from_numpy(np.array(normals, np.float32)).to(device),
        torch.from_numpy(np.array(patch, np.int64)).to(device),
    )
    blend = blend_patches
    if device.type == "cuda" and find_spec("triton") is not None:
        from scenelift.finish.bake_triton import blend_patches_triton as blend
    blended = torch.zeros((len(points), 4), device=device)
    every_frame = _lines_of_sight(patches)  # [G, SIGHTS, 3, 3]
    every_weight = splats.open(patches.centre, every_frame[:, :, 2])  # [G, SIGHTS]
    for begin in range(0, len(patches.texel), PATCHES_AT_ONCE):
        some = patches.part(begin, begin + PATCHES_AT_ONCE)
        frames = every_frame[begin : begin + PATCHES_AT_ONCE].flatten(0, 1)  # [S, 3, 3]
        weight = every_weight[begin : begin + PATCHES_AT_ONCE]
        table, starts = _pairs(splats, some, frames, (BLUR * texel) ** 2)
        offsets = (some.points - some.centre[:, None]).repeat_interleave(SIGHTS, 0)
        at = (offsets @ frames[:, :2].transpose(1, 2)).contiguous()  # [S, W, 2]
        there = some.there.repeat_interleave(SIGHTS, 0)
        seen = blend(table, starts, at, there).unflatten(0, (-1, SIGHTS))
        mean = (seen * weight[..., None, None]).sum(1)  # [G, W, 4]
        blended[some.texel[some.there]] = mean[some.there]
    blended = blended.cpu().numpy()
    return blended[:, :3], blended[:, 3]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Patches:
    """Texels by patch.

    Attributes:
        texel: int64 [G, W], which one; 0 where a patch has fewer.
        there: bool [G, W].
        points: [G, W, 3]; those that are not there lie in the centre.
        centre: [G, 3]. out: [G, 3], the mean normal. reach: [G], of its texels from the centre.
    """

    texel: Tensor
    there: Tensor
    points: Tensor
    centre: Tensor
    out: Tensor
    reach: Tensor

    @classmethod
    def of(cls, points: Tensor, normals: Tensor, patch: Tensor) -> _Patches:
        patch, order = patch.sort(stable=True)
        _, count = torch.unique_consecutive(patch, return_counts=True)
        slot = torch.arange(int(count.amax()), device=points.device)
        there = slot < count[:, None]
        texel = torch.zeros_like(there, dtype=torch.int64)
        texel[there] = order
        centre = (points[texel] * there[..., None]).sum(1) / count[:, None]
        total = (normals[texel] * there[..., None]).sum(1)
        length = total.norm(dim=1, keepdim=True)
        upward = torch.tensor([0.0, 1.0, 0.0], device=points.device)
        local = torch.where(there[..., None], points[texel], centre[:, None])
        return cls(
            texel=texel,
            there=there,
            points=local,
            centre=centre,
            out=torch.where(length > 0, total / length.clamp(min=1e-30), upward),
            reach=(local - centre[:, None]).norm(dim=-1).amax(1),
        )

    def part(self, begin: int, end: int) -> _Patches:
        return _Patches(
            texel=self.texel[begin:end],
            there=self.there[begin:end],
            points=self.points[begin:end],
            centre=self.centre[begin:end],
            out=self.out[begin:end],
            reach=self.reach[begin:end],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """Splats in the order of a grid's cells.

    Attributes:
        means: [N, 3]. axes: [N, 3, 3], columns as long as the scales. opacities: [N]. rgb: [N, 3].
        radii: [N], beyond which a splat is not looked for. widest: the largest of them.
        starts: int64 [cells + 1], where each cell begins.
        low: [3], the grid's corner. size: int64 [3], cells along each axis. cell: their side.
    """

    means: Tensor
    axes: Tensor
    opacities: Tensor
    rgb: Tensor
    radii: Tensor
    widest: float
    starts: Tensor
    low: Tensor
    size: Tensor
    cell: float

    @classmethod
    def of(cls, splats: SplatTensors, texel: float, widest: float) -> _Cells:
        cell, low = cell_of(widest), splats.means.amin(0)
        size = ((splats.means.amax(0) - low) / cell).floor().to(torch.int64) + 1
        i, j, k = ((splats.means - low) / cell).floor().to(torch.int64).unbind(1)
        key, order = ((i * size[1] + j) * size[2] + k).sort(stable=True)
        axes = rotation_matrices(splats.rotations) * splats.scales[:, None, :]
        radii = (3 * splats.scales.amax(1) + texel).clamp(max=widest)
        cells = torch.arange(int(size.prod()) + 1, device=key.device)
        return cls(
            means=splats.means[order],
            axes=axes[order],
            opacities=splats.opacities[order].clamp(max=1),
            rgb=splats.rgb[order],
            radii=radii[order],
            widest=widest,
            starts=torch.searchsorted(key, cells),
            low=low,
            size=size,
            cell=cell,
        )

    def open(self, centre: Tensor, toward: Tensor) -> Tensor:
        """What each line of sight [G, SIGHTS, 3] from a patch weighs: nothing where it is blocked,
        unless they all are."""
        crowded = self.starts.diff() >= CROWD
        blocked = torch.zeros(toward.shape[:2], dtype=torch.bool, device=centre.device)
        for step in range(2 * int(self.size.sum())):
            along = self.cell * (CLEAR + step / 2)
            at = (centre[:, None] + along * toward - self.low) / self.cell
            at = at.floor().to(torch.int64)
            inside = ((at >= 0) & (at < self.size)).all(-1)
            # Asking makes the CPU wait for the GPU.
            if step % ASK_AFTER == ASK_AFTER - 1 and not inside.any():
                break
            number = (at[..., 0] * self.size[1] + at[..., 1]) * self.size[2] + at[..., 2]
            blocked |= inside & crowded[number.clamp(0, len(crowded) - 1)]
        weight = torch.where(blocked.all(1, keepdim=True), 1.0, (~blocked).to(torch.float32))
        return weight / weight.sum(1, keepdim=True)

    def around(self, centre: Tensor, span: Tensor) -> tuple[Tensor, Tensor]:
        """Splats in the cells of a cube about each centre: which patch [C], which splat [C]."""
        first = ((centre - span[:, None] - self.low) / self.cell).floor().to(torch.int64)
        last = ((centre + span[:, None] - self.low) / self.cell).floor().to(torch.int64)
        first, last = first.clamp(min=0), torch.minimum(last, self.size - 1)
        across = (last - first + 1).clamp(min=0)  # [G, 3]
        columns = across[:, 0] * across[:, 1] * (across[:, 2] > 0)
        patch, number = _expanded(columns)
        i = first[patch, 0] + number // across[patch, 1]
        j = first[patch, 1] + number % across[patch, 1]
        column = (i * self.size[1] + j) * self.size[2]
        begin = self.starts[column + first[patch, 2]]
        end = self.starts[column + last[patch, 2] + 1]
        column, number = _expanded(end - begin)
        return patch[column], begin[column] + number


def _expanded(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts [n] the owner and the number within of each of their sum."""
    owner = torch.repeat_interleave(counts)
    offset = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - offset[owner]


def _lines_of_sight(patches: _Patches) -> Tensor:  # [G, SIGHTS, 3, 3]
    """Rows right, up and towards the eye."""
    x, y, z = patches.out.unbind(1)
    none = torch.zeros_like(x)
    steep = (y.abs() >= 0.9)[:, None]
    right = torch.where(steep, torch.stack([none, -z, y], 1), torch.stack([z, none, -x], 1))
    right = right / right.norm(dim=1, keepdim=True)
    up = torch.linalg.cross(patches.out, right)
    cos, sin = math.cos(TILT), math.sin(TILT)
    frames = []
    for sight in range(SIGHTS):
        angle = sight * 2 * math.pi / SIGHTS
        across = math.cos(angle) * right + math.sin(angle) * up
        turned = [
            cos * across - sin * patches.out,
            math.cos(angle) * up - math.sin(angle) * right,
            cos * patches.out + sin * across,
        ]
        frames.append(torch.stack(turned, 1))
    return torch.stack(frames, 1)


def _pairs(splats: _Cells, patches: _Patches, frames: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    """What every line of sight has to blend, front to back.

    Returns:
        table: float32 [P, 9]: u, v, the exponent's factors of du² du·dv dv², opacity, rgb.
        starts: int32 [S + 1], where each line of sight begins.
    """
    span = patches.reach + max(splats.widest, BEHIND)
    patch, splat = splats.around(patches.centre, span)
    offset = splats.means[splat] - patches.centre[patch]
    square = offset.square().sum(1)
    reach = patches.reach[patch]
    limit = (reach + splats.radii[splat]).square()
    found = []
    for sight in range(SIGHTS):
        height = (offset * frames[SIGHTS * patch + sight, 2]).sum(1)
        near = (height <= IN_FRONT + reach) & (height >= -BEHIND - reach)
        near = (near & (square - height.square() <= limit)).nonzero()[:, 0]
        found.append((SIGHTS * patch[near] + sight, near, -height[near]))
    sight, near, depth = (torch.cat(parts) for parts in zip(*found, strict=True))
    bits = depth.view(torch.int32).to(torch.int64)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # as integers in the floats' order
    _, order = ((sight << 32) + ordered).sort(stable=True)
    sight, near = sight[order], near[order]
    starts = torch.searchsorted(
        sight, torch.arange(len(frames) + 1, device=sight.device), out_int32=True
    )

    offset, splat = offset[near], splat[near]
    right, up = frames[sight, 0], frames[sight, 1]
    axes = splats.axes[splat]
    along = (axes * right[:, :, None]).sum(1)  # [P, 3]
    across = (axes * up[:, :, None]).sum(1)
    var_u, var_v = along.square().sum(1), across.square().sum(1)
    cov = (along * across).sum(1)
    sharp = (var_u * var_v - cov * cov).clamp(min=0)
    var_u, var_v = var_u + blur, var_v + blur
    determinant = var_u * var_v - cov * cov
    opacity = splats.opacities[splat] * (sharp / determinant).sqrt()
    columns = [
        (offset * right).sum(1),
        (offset * up).sum(1),
        -0.5 * var_v / determinant,
        cov / determinant,
        -0.5 * var_u / determinant,
        torch.where(opacity >= MIN_ALPHA, opacity, 0.0),
    ]
    return torch.cat([torch.stack(columns, 1), splats.rgb[splat]], 1), starts


def blend_patches(table: Tensor, starts: Tensor, at: Tensor, there: Tensor) -> Tensor:
    """Blend front to back along every line of sight, with plain tensor operations.

    Args:
        table, starts: from `_pairs`.
        at: [S, W, 2], the texels' u and v.
        there: bool [S, W], which of them exist.

    Returns:
        float32 [S, W, 4]: red, green, blue, each times alpha, and alpha; zero where there is none.
    """
    out = torch.zeros((*there.shape, 4), device=at.device)
    through = there.to(torch.float32)
    sights = torch.arange(len(starts) - 1, device=at.device)
    layer = 0
    while True:
        begin, end = starts[sights] + layer * AT_ONCE, starts[sights + 1]
        open_ = (begin < end) & (through[sights].amax(1) >= OPAQUE)
        sights, begin, end = sights[open_], begin[open_], end[open_]
        if not len(sights):
            break
        index = begin[:, None] + torch.arange(AT_ONCE, device=at.device)  # [S, L]
        valid = index < end[:, None]
        splat = table[index.clamp(max=len(table) - 1)]  # [S, L, 9]
        u, v, a, b, e, opacity = (s[..., None] for s in splat[..., :6].unbind(-1))
        du, dv = at[sights, None, :, 0] - u, at[sights, None, :, 1] - v  # [S, L, W]
        power = a * du * du + e * dv * dv + b * du * dv
        weight = (opacity * power.exp()).clamp(max=MAX_ALPHA)
        weight = torch.where(valid[..., None] & (power >= DARKEST), weight, 0.0)
        before = through[sights]  # [S, W]
        passed = torch.cumprod(1 - weight, 1)
        reaching = torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], 1) * before[:, None]
        out[sights, :, :3] += torch.einsum("slw,slc->swc", weight * reaching, splat[..., 6:])
        through[sights] = before * passed[:, -1]
        layer += 1
    out[..., 3] = there.to(torch.float32) - through
    return out
