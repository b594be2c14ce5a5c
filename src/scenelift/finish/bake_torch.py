"""Bake colours from splats on any torch device, with the contract and mathematics of `bake.py`.

For every patch of texels the splats around are listed from grids, those that reach it kept for
each of its lines of sight, sorted by depth and blended front to back. Plain tensor operations
do all of it; on CUDA a Triton kernel blends.

Every patch is on its own, so they go through in pieces of so many splats around them that a piece
takes less than a gigabyte, and smaller ones where memory runs out: colours do not depend on that.
Splats of different sizes have grids of their own, as a few large ones would make every patch look
at all.

Shape letters: T texels, G patches, W texels of the largest patch, S lines of sight, N splats, C
pairs of patch and splat, P pairs of line of sight and splat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from scenelift.device import uses_triton
from scenelift.finish.blending import (
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

__all__ = ["blend_patches", "blend_splats", "look", "meet"]

ASK_AFTER = 16  # steps of a line of sight: whether all have left the grid
PLACES_AT_ONCE = 1 << 22  # along lines of sight, that are looked at together
PATCHES_AT_ONCE = 2048  # whose splats are counted together
# Pairs of patch and splat that are looked at together, of 0.3 KB each, and of line of sight and
# splat that are sorted and blended together, likewise; and how few where memory runs out.
PAIRS_AT_ONCE, FEWEST_PAIRS = 1 << 21, 1 << 14


def blend_splats(
    gaussians: Gaussians,
    points: np.ndarray,
    normals: np.ndarray,
    patch: np.ndarray,
    texel: float,
    device: torch.device,
) -> tuple[np.ndarray, np.ndarray]:
    """Blend colours [T, 3] times alpha, and alpha [T]; arguments of `bake.bake_gaussians`."""
    widest = widest_of(gaussians, texel)
    splats = _Cells.of(SplatTensors.from_gaussians(gaussians, device), texel, widest)
    patches = _Patches.of(
        torch.from_numpy(np.array(points, np.float32)).to(device),
        torch.from_numpy(np.array(normals, np.float32)).to(device),
        torch.from_numpy(np.array(patch, np.int64)).to(device),
    )
    frames = _lines_of_sight(patches)  # [G, SIGHTS, 3, 3]
    weight = splats.open(patches.centre, frames[:, :, 2])  # [G, SIGHTS]
    blended = torch.zeros((len(points), 4), device=device)
    pairs = PAIRS_AT_ONCE
    begin = 0
    while begin < len(patches.texel):
        try:
            end = _blend_some(blended, splats, patches, frames, weight, texel, begin, pairs)
        except torch.OutOfMemoryError:
            if pairs <= FEWEST_PAIRS:
                raise
            pairs //= 4
        else:
            begin = end
    blended = blended.cpu().numpy()
    return blended[:, :3], blended[:, 3]


def _blend_some(
    blended: Tensor,  # [T, 4], of which those of the patches are written
    splats: _Cells,
    patches: _Patches,
    frames: Tensor,  # [G, SIGHTS, 3, 3]
    weight: Tensor,  # [G, SIGHTS]
    texel: float,
    begin: int,
    most: int,
) -> int:
    """Bake patches from `begin` on, with at most so many pairs at once; return where it stopped."""
    steps = _steps(blended.device)
    for first, end, runs in _pieces(splats, patches, begin, begin + PATCHES_AT_ONCE, most):
        some, sight_frames = patches.part(first, end), frames[first:end]
        near = _Near.of(splats, some, sight_frames, runs, steps)
        for one, last in near.pieces(most):
            few, look = some.part(one, last), sight_frames[one:last].flatten(0, 1)  # [S, 3, 3]
            blur = (BLUR * texel) ** 2
            table, starts = near.table(splats, some, sight_frames, blur, one, last, steps)
            offsets = (few.points - few.centre[:, None]).repeat_interleave(SIGHTS, 0)
            at = (offsets @ look[:, :2].transpose(1, 2)).contiguous()  # [S, W, 2]
            there = few.there.repeat_interleave(SIGHTS, 0)
            blended_sights = steps.blend(table, starts, at, there).unflatten(0, (-1, SIGHTS))
            mean = (blended_sights * weight[first + one : first + last, :, None, None]).sum(
                1
            )  # [G, W, 4]
            blended[few.texel[few.there]] = mean[few.there]
    return min(begin + PATCHES_AT_ONCE, len(patches.texel))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """Splats around patches, stored as runs of neighbours in a grid's order.

    Attributes:
        patch: int64 [R], which of a piece's. begin, end: int64 [R], of the run in the order.
        splats: int64 [n], the grid's order.
    """

    patch: Tensor
    begin: Tensor
    end: Tensor
    splats: Tensor

    def counts(self, patches: int) -> Tensor:  # int64 [patches]
        total = torch.zeros(patches, dtype=torch.int64, device=self.patch.device)
        return total.index_add_(0, self.patch, self.end - self.begin)

    def of(self, first: int, end: int) -> _Runs:
        """Select the runs of the patches `first` to `end`, and renumber these from 0."""
        bounds = torch.tensor([first, end], device=self.patch.device)
        begin, stop = torch.searchsorted(self.patch, bounds).tolist()
        return _Runs(
            patch=self.patch[begin:stop] - first,
            begin=self.begin[begin:stop],
            end=self.end[begin:stop],
            splats=self.splats,
        )

    def pairs(self) -> tuple[Tensor, Tensor]:
        """List every pair of patch [C] and splat [C]."""
        run, number = _expanded(self.end - self.begin)
        return self.patch[run], self.splats[self.begin[run] + number]


def _pieces(
    splats: _Cells, patches: _Patches, begin: int, end: int, most: int
) -> Iterator[tuple[int, int, list[_Runs]]]:
    """Split patches into pieces of at most so many pairs (or one patch), and add their splats."""
    some = patches.part(begin, end)
    runs = [grid.around(some.centre, some.reach, splats.widest) for grid in splats.grids]
    counts = sum(r.counts(len(some.centre)) for r in runs)
    for first, last in _split_evenly(torch.as_tensor(counts), most):
        yield begin + first, begin + last, [r.of(first, last) for r in runs]


def _split_evenly(counts: Tensor, most: int) -> list[tuple[int, int]]:
    """Split neighbours [n] into pieces with counts of at most `most` in all: first and end."""
    pieces, first, total = [], 0, 0
    for number, count in enumerate(counts.tolist()):
        if number > first and total + count > most:
            pieces.append((first, number))
            first, total = number, 0
        total += count
    return [*pieces, (first, len(counts))]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Patches:
    """Texels, grouped by patch.

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
class _Grid:
    """Splats of similar size, sorted by the cells of a grid.

    Attributes:
        splats: int64 [n], which. widest: the largest of their radii.
        starts: int64 [cells + 1], where each cell begins among them.
        low: [3], the grid's corner. size: int64 [3], cells along each axis. cell: their side.
    """

    splats: Tensor
    widest: float
    starts: Tensor
    low: Tensor
    size: Tensor
    cell: float

    @classmethod
    def of(cls, means: Tensor, splats: Tensor, widest: float) -> _Grid:
        means = means[splats]
        cell, low = cell_of(widest), means.amin(0)
        size = ((means.amax(0) - low) / cell).floor().to(torch.int64) + 1
        i, j, k = ((means - low) / cell).floor().to(torch.int64).unbind(1)
        key, order = ((i * size[1] + j) * size[2] + k).sort(stable=True)
        cells = torch.arange(int(size.prod()) + 1, device=key.device)
        return cls(
            splats=splats[order],
            widest=widest,
            starts=torch.searchsorted(key, cells),
            low=low,
            size=size,
            cell=cell,
        )

    def around(self, centre: Tensor, reach: Tensor, widest: float) -> _Runs:
        """Find the splats in the cells of a cube around each patch.

        Args:
            centre: [G, 3]. reach: [G], of a patch from its centre.
            widest: the largest radius in any grid.
        """
        span = reach + max(widest, BEHIND)
        # Smaller splats need not be looked for as far out.
        exact = ((reach + self.widest).square() + (reach + BEHIND).square()).sqrt()
        span = torch.minimum(span, exact)[:, None]
        first = ((centre - span - self.low) / self.cell).floor().to(torch.int64)
        last = ((centre + span - self.low) / self.cell).floor().to(torch.int64)
        first, last = first.clamp(min=0), torch.minimum(last, self.size - 1)
        across = (last - first + 1).clamp(min=0)  # [G, 3]
        columns = across[:, 0] * across[:, 1] * (across[:, 2] > 0)
        patch, number = _expanded(columns)
        i = first[patch, 0] + number // across[patch, 1]
        j = first[patch, 1] + number % across[patch, 1]
        column = (i * self.size[1] + j) * self.size[2]
        return _Runs(
            patch=patch,
            begin=self.starts[column + first[patch, 2]],
            end=self.starts[column + last[patch, 2] + 1],
            splats=self.splats,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """Splats sorted by the cells of one common grid, with further grids by size.

    Attributes:
        means: [N, 3]. axes: [N, 3, 3], columns as long as the scales. opacities: [N]. rgb: [N, 3].
        radii: [N], beyond which a splat is not looked for. widest: the largest of them.
        whole: the grid for all. grids: of splats by their size, in which they are found.
    """

    means: Tensor
    axes: Tensor
    opacities: Tensor
    rgb: Tensor
    radii: Tensor
    widest: float
    whole: _Grid
    grids: Sequence[_Grid]

    @classmethod
    def of(cls, splats: SplatTensors, texel: float, widest: float) -> _Cells:
        everything = torch.arange(len(splats.means), device=splats.means.device)
        whole = _Grid.of(splats.means, everything, widest)
        order = whole.splats
        axes = rotation_matrices(splats.rotations[order]) * splats.scales[order, None, :]
        radii = (3 * splats.scales[order].amax(1) + texel).clamp(max=widest)
        means = splats.means[order]
        whole = replace(whole, splats=everything)
        # Doubling sizes, from the one that the search goes behind the surface for anyway.
        kind = (radii / BEHIND).log2().ceil().clamp(min=0).to(torch.int64)
        kinds = kind.unique().tolist()
        grids = [whole]
        if len(kinds) > 1:
            members = [(kind == k).nonzero()[:, 0] for k in kinds]
            grids = [_Grid.of(means, of, float(radii[of].amax())) for of in members]
        return cls(
            means=means,
            axes=axes,
            opacities=splats.opacities[order].clamp(max=1),
            rgb=splats.rgb[order],
            radii=radii,
            widest=widest,
            whole=whole,
            grids=grids,
        )

    def open(self, centre: Tensor, toward: Tensor) -> Tensor:
        """Weight lines of sight [G, SIGHTS, 3] of patches: a blocked one is 0, unless all are."""
        whole = self.whole
        crowded = whole.starts.diff() >= CROWD
        blocked = torch.zeros(toward.shape[:2], dtype=torch.bool, device=centre.device)
        count, at_once = 2 * int(whole.size.sum()), ASK_AFTER
        while at_once > 1 and blocked.numel() * at_once > PLACES_AT_ONCE:
            at_once //= 2
        along = torch.tensor(
            [whole.cell * (CLEAR + step / 2) for step in range(count)], device=centre.device
        )
        for first in range(0, count, at_once):
            away = along[first : first + at_once, None] * toward[:, :, None]  # [G, SIGHTS, K, 3]
            at = (centre[:, None, None] + away - whole.low) / whole.cell
            at = at.floor().to(torch.int64)
            inside = ((at >= 0) & (at < whole.size)).all(-1)
            number = (at[..., 0] * whole.size[1] + at[..., 1]) * whole.size[2] + at[..., 2]
            blocked |= (inside & crowded[number.clamp(0, len(crowded) - 1)]).any(-1)
            # Asking makes the CPU wait for the GPU.
            if (first + at_once) % ASK_AFTER == 0 and not inside[..., -1].any():
                break
        weight = torch.where(blocked.all(1, keepdim=True), 1.0, (~blocked).to(torch.float32))
        return weight / weight.sum(1, keepdim=True)


def _expanded(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat each number as often as its count in `counts` [n] says, and count within each."""
    owner = torch.repeat_interleave(counts)
    offset = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner), device=counts.device) - offset[owner]


def _lines_of_sight(patches: _Patches) -> Tensor:  # [G, SIGHTS, 3, 3]
    """Build frames whose rows point right, up and towards the eye."""
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
        tilted = [
            cos * across - sin * patches.out,
            math.cos(angle) * up - math.sin(angle) * right,
            cos * patches.out + sin * across,
        ]
        frames.append(torch.stack(tilted, 1))
    return torch.stack(frames, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Near:
    """Splats that the lines of sight of some patches meet, sorted by patch.

    Attributes:
        patch: int64 [P], splat: int64 [P], sight: int64 [P], one of SIGHTS.
        bounds: int64 [G + 1], where each patch begins.
    """

    patch: Tensor
    splat: Tensor
    sight: Tensor
    bounds: Tensor

    @classmethod
    def of(
        cls,
        splats: _Cells,
        patches: _Patches,
        frames: Tensor,
        runs: Sequence[_Runs],
        steps: _Steps,
    ) -> _Near:
        """Test all pairs.

        Args:
            patches: G of them, with their frames [G, SIGHTS, 3, 3] and the splats around them.
        """
        patch, splat = (torch.cat(parts) for parts in zip(*(r.pairs() for r in runs), strict=True))
        if len(runs) > 1:
            patch, order = patch.sort(stable=True)
            splat = splat[order]
        pair, sight = steps.meet(splats, patches, frames, patch, splat).nonzero().unbind(1)
        patch = patch[pair]
        edges = torch.arange(len(frames) + 1, device=patch.device)
        bounds = torch.searchsorted(patch, edges)
        return cls(patch=patch, splat=splat[pair], sight=sight, bounds=bounds)

    def pieces(self, most: int) -> list[tuple[int, int]]:
        """Split patches into pieces that meet at most so many splats (or one patch)."""
        return _split_evenly(self.bounds.diff(), most)

    def table(
        self,
        splats: _Cells,
        patches: _Patches,
        frames: Tensor,
        blur: float,
        first: int,
        end: int,
        steps: _Steps,
    ) -> tuple[Tensor, Tensor]:
        """List what every line of sight of patches `first` to `end` has to blend, front to back.

        Args:
            blur: variance of the anti-aliasing.

        Returns:
            table: float32 [P, 9]: u, v, the exponent's factors of du² du·dv dv², opacity, rgb.
            starts: int32 [S + 1], where each line of sight begins.
        """
        begin, stop = self.bounds[[first, end]].tolist()
        patch, splat, sight = (x[begin:stop] for x in (self.patch, self.splat, self.sight))
        table, key = steps.look(splats, patches, frames, blur, patch, splat, sight)
        key, order = key.sort(stable=True)
        edges = torch.arange(SIGHTS * first, SIGHTS * end + 1, device=key.device) << 32
        # Depths are positive or negative: the lowest key of a line of sight is 2³¹ below its edge.
        return table[order], torch.searchsorted(key, edges - (1 << 31), out_int32=True)


def meet(splats: _Cells, patches: _Patches, frames: Tensor, patch: Tensor, splat: Tensor) -> Tensor:
    """Test which lines of sight of a patch may meet a splat, bool [C, SIGHTS] for C pairs of them.

    Args:
        frames: [G, SIGHTS, 3, 3] of the patches.
        patch, splat: int64 [C].
    """
    offset = splats.means[splat] - patches.centre[patch]
    square = offset.square().sum(1)
    reach = patches.reach[patch]
    limit = (reach + splats.radii[splat]).square()
    columns = []
    for sight in range(SIGHTS):
        height = (offset * frames[:, sight, 2][patch]).sum(1)
        near = (height <= IN_FRONT + reach) & (height >= -BEHIND - reach)
        columns.append(near & (square - height.square() <= limit))
    return torch.stack(columns, 1)


def look(
    splats: _Cells,
    patches: _Patches,
    frames: Tensor,
    blur: float,
    patch: Tensor,
    splat: Tensor,
    sight: Tensor,
) -> tuple[Tensor, Tensor]:
    """Project splats along lines of sight, and make keys that sort them for blending.

    Args:
        frames: [G, SIGHTS, 3, 3] of the patches.
        blur: variance of the anti-aliasing.
        patch, splat, sight: int64 [P].

    Returns:
        table: float32 [P, 9], see `_Near.table`.
        key: int64 [P], by line of sight and then by depth.
    """
    offset = splats.means[splat] - patches.centre[patch]
    right, up, toward = frames[patch, sight].unbind(1)
    depth = -(offset * toward).sum(1)
    bits = depth.view(torch.int32).to(torch.int64)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # integers in the floats' order
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
    table = torch.cat([torch.stack(columns, 1), splats.rgb[splat]], 1)
    return table, ((SIGHTS * patch + sight) << 32) + ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The steps that have kernels of their own on CUDA; without, each is a hundred small ones."""

    meet: Callable[[_Cells, _Patches, Tensor, Tensor, Tensor], Tensor]
    look: Callable[[_Cells, _Patches, Tensor, float, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    blend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _steps(device: torch.device) -> _Steps:
    if not uses_triton(device):
        return _Steps(meet=meet, look=look, blend=blend_patches)
    from scenelift.finish import bake_triton as kernels

    return _Steps(
        meet=kernels.meet_triton,
        look=kernels.look_triton,
        blend=kernels.blend_patches_triton,
    )


def blend_patches(table: Tensor, starts: Tensor, at: Tensor, there: Tensor) -> Tensor:
    """Blend front to back along every line of sight, with plain tensor operations.

    Args:
        table, starts: from `_Near.table`.
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
        transmittance = torch.cumprod(1 - weight, 1)
        reaching = (
            torch.cat([torch.ones_like(transmittance[:, :1]), transmittance[:, :-1]], 1)
            * before[:, None]
        )
        out[sights, :, :3] += torch.einsum("slw,slc->swc", weight * reaching, splat[..., 6:])
        through[sights] = before * transmittance[:, -1]
        layer += 1
    out[..., 3] = there.to(torch.float32) - through
    return out
