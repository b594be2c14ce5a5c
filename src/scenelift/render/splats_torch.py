"""Draw Gaussian splats on any torch device; contract and mathematics of `splats.py`.

Splats are projected, sorted by depth, listed for every tile of 16 × 16 pixels that they touch, and
blended front to back. Plain tensor operations do all of it; on CUDA Triton kernels project and
blend.

Where there are many, the picture is drawn in bands, each of the splats that touch it, which are
projected again for it. So drawing takes about 1 GB besides the splats themselves (56 bytes each),
however many they are, unless a single row of tiles has more. Where more is free, bands are larger:
the picture is the same.

Shape letters: N splats, M splats on the screen, P pairs of splat and tile, T tiles, A active tiles.
The camera frame here is x right, y down, z forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.device import room_on, uses_triton
from scenelift.render.rendering import Rendering, camera_from_scene
from scenelift.render.splatting import (
    DILATION,
    FRUSTUM_MARGIN,
    LARGEST,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    TILE,
)
from scenelift.types import SH_C0, Camera, Gaussians

__all__ = [
    "SplatTensors",
    "TensorRendering",
    "blend_tiles",
    "draw_splats",
    "list_pairs",
    "project",
    "rotation_matrices",
]

LAYERS = 32  # splats of a tile that are blended at once by plain tensor operations
TILES_AT_ONCE = 1024  # bounds the memory that takes: 1024 · 32 · 256 floats are 33 MB
SPLATS_AT_ONCE = 1 << 20  # projected together by plain tensor operations: 0.4 GB
BY_KERNEL = 4  # times as many by the kernel, which keeps nothing in between: 0.2 GB
# What a band has, a row of tiles at least: splats that are sorted together (0.4 GB), and pairs of
# splat and tile that are listed together (0.5 GB). Splats as large as the picture are on all of
# its tiles.
SORTED_AT_ONCE = 1 << 21
PAIRS_AT_ONCE = 1 << 22
WORKING = 1 << 30  # what that takes; so many times as much where there is room for it
MOST_TIMES = 8
DEPTH = 7  # column of the table of splats on the screen


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplatTensors:
    """Splats on a device, float32: upload once, draw from many cameras.

    Attributes:
        means: [N, 3]; scales: [N, 3]; rotations: [N, 4]; opacities: [N]; rgb: [N, 3] in 0…1.
    """

    means: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    rgb: Tensor

    @classmethod
    def from_gaussians(cls, gaussians: Gaussians, device: torch.device) -> SplatTensors:
        return cls.from_several([gaussians], device)

    @classmethod
    def from_several(cls, groups: Sequence[Gaussians], device: torch.device) -> SplatTensors:
        """Upload splats one group after another, without a copy of all of them on the host."""

        def upload(name: str) -> Tensor:
            arrays = [getattr(group, name) for group in groups]
            count = sum(len(array) for array in arrays)
            tensor = torch.empty((count, *arrays[0].shape[1:]), device=device)
            begin = 0
            for array in arrays:
                # Torch warns of arrays that it must not write to: such are copied.
                there = torch.from_numpy(np.require(array, np.float32, ("C", "W")))
                tensor[begin : begin + len(array)].copy_(there)
                begin += len(array)
            return tensor

        return cls(
            means=upload("means"),
            scales=upload("scales"),
            rotations=upload("rotations"),
            opacities=upload("opacities"),
            rgb=upload("sh0").mul_(SH_C0).add_(0.5).clamp_(0, 1),  # `Gaussians.rgb`
        )

    def part(self, first: int, end: int) -> SplatTensors:
        return SplatTensors(
            means=self.means[first:end],
            scales=self.scales[first:end],
            rotations=self.rotations[first:end],
            opacities=self.opacities[first:end],
            rgb=self.rgb[first:end],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TensorRendering:
    """A `Rendering` on its device: float32 color [H, W, 3], alpha [H, W], depth [H, W]."""

    color: Tensor
    alpha: Tensor
    depth: Tensor

    def pixels(self) -> NDArray[np.uint8]:  # [H, W, 3]
        """Return the picture as 8-bit sRGB."""
        return (self.color * 255).round().to(torch.uint8).cpu().numpy()

    def to_numpy(self) -> Rendering:
        return Rendering(
            color=self.color.cpu().numpy(),
            alpha=self.alpha.cpu().numpy(),
            depth=self.depth.cpu().numpy(),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Screen:
    """Splats on the screen, front to back.

    Attributes:
        table: float32 [M, 11]: u, v, conic a b c, opacity, least weight that can be seen, depth,
            red, green, blue.
        reach: float32 [M, 2], how far from their centre they can be seen, in pixels.
    """

    table: Tensor
    reach: Tensor


def draw_splats(
    splats: SplatTensors,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    near: float = 0.01,
) -> TensorRendering:
    """Draw splats as the camera sees them; arguments as of `render_splats`."""
    device = splats.means.device
    if uses_triton(device):
        from scenelift.render.splats_triton import blend_tiles_triton as blend
    else:
        blend = blend_tiles
    width, height = camera.width, camera.height
    projection = _Projection.of(splats, camera, scene_from_camera, near)
    survey = _survey(projection)
    bands = survey.bands
    whole = None if survey.parts is None else _front_to_back(survey.parts)
    survey.parts = None
    images = []
    for first, end in bands:
        screen = whole or _front_to_back(projection.parts(first, end, survey.reaches))
        members, starts = _list_tiles(screen, width, height, first, end)
        image = blend(screen.table[members], starts, width, height)
        images.append(image[first * TILE : end * TILE])
    blended = torch.cat(images)  # [H, W, 5]
    through = blended[..., 4]
    alpha = 1 - through
    behind = torch.tensor(background, dtype=torch.float32, device=device)
    depth = torch.where(alpha > 0, blended[..., 3] / alpha, torch.inf)
    color = (blended[..., :3] + through[..., None] * behind).clamp(0, 1)
    return TensorRendering(color=color, alpha=alpha, depth=depth)


def list_pairs(
    splats: SplatTensors,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    *,
    near: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """List what every tile has to blend, front to back.

    Returns:
        pairs: float32 [P, 11]: u, v, conic a b c, opacity, least weight that can be seen, depth,
            red, green, blue of a splat.
        starts: int32 [T + 1], where each tile, counted row by row, begins among them.
    """
    screen = _front_to_back(_Projection.of(splats, camera, scene_from_camera, near).parts())
    rows = -(-camera.height // TILE)
    members, starts = _list_tiles(screen, camera.width, camera.height, 0, rows)
    return screen.table[members], starts


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Projection:
    """Splats and a camera.

    Attributes:
        view: float32 [4, 4], camera from scene; the camera's x is right, y down, z forward.
    """

    splats: SplatTensors
    camera: Camera
    view: Tensor
    near: float

    @classmethod
    def of(
        cls,
        splats: SplatTensors,
        camera: Camera,
        scene_from_camera: NDArray[np.float64] | None,
        near: float,
    ) -> _Projection:
        view = np.diag([1.0, -1, -1, 1]) @ camera_from_scene(scene_from_camera)
        on_device = torch.tensor(view, dtype=torch.float32, device=splats.means.device)
        return cls(splats=splats, camera=camera, view=on_device, near=near)

    def parts(
        self,
        first: int = 0,
        end: int | None = None,
        reaches: Sequence[tuple[int, int]] | None = None,
    ) -> Iterator[_Screen]:
        """Project some splats after others, and choose those that can be seen.

        Args:
            first, end: rows of tiles; splats that touch none of them are left out.
            reaches: rows that each part touches, first and end: those beyond are not looked at.
        """
        at_once = SPLATS_AT_ONCE
        if uses_triton(self.view.device):
            from scenelift.render.project_triton import project_triton as project_some

            at_once *= BY_KERNEL
        else:
            project_some = project
        for number, start in enumerate(range(0, max(1, len(self.splats.means)), at_once)):
            if reaches is not None and end is not None:
                top, bottom = reaches[number]
                if top >= end or bottom <= first:
                    continue
            some = self.splats.part(start, start + at_once)
            table, reach, visible = project_some(some, self.camera, self.view, self.near)
            if end is not None:
                top, bottom = _tile_range(table[:, 1], reach[:, 1], self.camera.height)
                visible &= (top < end) & (bottom > first)
            rows = visible.nonzero()[:, 0]
            yield _Screen(table=torch.cat([table[rows], some.rgb[rows]], -1), reach=reach[rows])


@dataclass(slots=True, kw_only=True, eq=False)
class _Survey:
    """How a picture is split.

    Attributes:
        parts: what can be seen, where one band has it all.
        bands: rows of tiles, first and end.
        reaches: rows of tiles that each part of the splats touches, first and end.
    """

    parts: list[_Screen] | None
    bands: list[tuple[int, int]]
    reaches: list[tuple[int, int]]


def _survey(projection: _Projection) -> _Survey:
    """Count what every row of tiles has, and split the picture into bands with not too much."""
    width, height = projection.camera.width, projection.camera.height
    rows = -(-height // TILE)
    device = projection.view.device
    if len(projection.splats.means) <= SORTED_AT_ONCE:
        few = list(projection.parts())
        listed = 0
        for part in few:
            first, end = _tile_ranges(part, width, height)
            listed += int((end - first).clamp(min=0).to(torch.int64).prod(-1).sum())
        if listed <= PAIRS_AT_ONCE:  # as most pictures have: nothing need be split
            return _Survey(parts=few, bands=[(0, rows)], reaches=[])
    # How many splats go from each row to just before another, and their pairs with tiles. Tables
    # count them: millions that add to a few numbers at once wait for each other on a GPU.
    side = rows + 1
    splats = torch.zeros(side * side, dtype=torch.int64, device=device)
    pairs = torch.zeros(side * side, dtype=torch.float64, device=device)
    parts: list[_Screen] | None = []
    total, reaches = 0, []
    times = _times(device)
    most_sorted, most_pairs = times * SORTED_AT_ONCE, times * PAIRS_AT_ONCE
    for part in projection.parts():
        first, end = _tile_ranges(part, width, height)
        across = (end - first).clamp(min=0)[:, 0].to(torch.float64)
        top, bottom = (r[:, 1].clamp(0, rows).to(torch.int64) for r in (first, end))
        ranges = top * side + bottom
        splats += torch.bincount(ranges, minlength=side * side)
        pairs += torch.bincount(ranges, across, minlength=side * side)
        total += len(part.table)
        parts = None if parts is None or total > most_sorted else [*parts, part]
        none = torch.zeros(2, dtype=torch.int64, device=device)
        reaches.append(torch.stack([top.amin(), bottom.amax()]) if len(top) else none)
    there = [np.triu(t.view(side, side).cpu().numpy().astype(np.int64), 1) for t in (splats, pairs)]
    new = there[0].sum(1)[:rows].tolist()
    on, listings = ((t.sum(1) - t.sum(0)).cumsum()[:rows].tolist() for t in there)
    bands, begin, members, entries = [], 0, 0, 0
    for row, listing in enumerate(listings):
        members += new[row] if row > begin else on[row]
        if row > begin and (members > most_sorted or entries + listing > most_pairs):
            bands.append((begin, row))
            begin, members, entries = row, on[row], 0
        entries += listing
    return _Survey(
        parts=parts,
        bands=[*bands, (begin, rows)],
        reaches=[(top, bottom) for top, bottom in torch.stack(reaches).tolist()],
    )


def _times(device: torch.device) -> int:
    """How many times as much as usual a band may have: up to three quarters of what is free."""
    room = room_on(device)
    return 1 if room is None else max(1, min(MOST_TIMES, 3 * room // (4 * WORKING)))


def _front_to_back(parts: Iterable[_Screen]) -> _Screen:
    """Sort what can be seen by its depth; of the same depth, as they came."""
    tables, reaches = zip(*((part.table, part.reach) for part in parts), strict=True)
    table, reach = torch.cat(tables), torch.cat(reaches)
    del tables, reaches, parts
    order = torch.argsort(table[:, DEPTH], stable=True)
    return _Screen(table=table[order], reach=reach[order])


def project(
    splats: SplatTensors, camera: Camera, view: Tensor, near: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Project splats to the screen.

    Args:
        view: float32 [4, 4], camera from scene; the camera's x is right, y down, z forward.

    Returns:
        table: float32 [N, 8]: u, v, conic a b c, opacity, least weight that can be seen, depth.
        reach: float32 [N, 2], how far from their centre they can be seen, in pixels.
        visible: bool [N], which can be seen; the others' numbers mean nothing.
    """
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    width, height = camera.width, camera.height
    x, y, z = (splats.means @ view[:3, :3].T + view[:3, 3]).unbind(-1)
    margin_x, margin_y = FRUSTUM_MARGIN * width / fx / 2, FRUSTUM_MARGIN * height / fy / 2
    tx = (x / z).clamp(-cx / fx - margin_x, (width - cx) / fx + margin_x)
    ty = (y / z).clamp(-cy / fy - margin_y, (height - cy) / fy + margin_y)

    # The splat's axes in the camera's frame, as long as its scales, projected: [N, 2, 3].
    axes = view[:3, :3] @ (rotation_matrices(splats.rotations) * splats.scales[:, None, :])
    across = fx * (axes[:, 0] - tx[:, None] * axes[:, 2]) / z[:, None]
    down = fy * (axes[:, 1] - ty[:, None] * axes[:, 2]) / z[:, None]
    var_u, var_v = (across * across).sum(-1), (down * down).sum(-1)
    cov = (across * down).sum(-1)
    # Cauchy and Binet: var_u · var_v − cov² without its cancellation, which single precision
    # does not survive for needles and discs seen edge-on.
    minors = across * down.roll(1, -1) - across.roll(1, -1) * down
    determinant = (minors * minors).sum(-1)
    var_u, var_v = var_u + DILATION, var_v + DILATION
    dilated = determinant + DILATION * (var_u + var_v - DILATION)
    opacity = splats.opacities.clamp(max=1) * (determinant / dilated).sqrt()

    radius = (2 * (opacity / MIN_ALPHA).log()).clamp(min=0).sqrt()
    u, v = cx + fx * x / z, cy + fy * y / z
    reach_x, reach_y = radius * var_u.sqrt(), radius * var_v.sqrt()
    largest = torch.stack([u.abs(), v.abs(), reach_x, reach_y]).amax(0)
    norm = splats.rotations.square().sum(-1)
    visible = (
        (z > near)
        & torch.isfinite(x + y + z)
        & (splats.opacities >= MIN_ALPHA)
        & (norm > 0)
        & torch.isfinite(norm)
        & (opacity >= MIN_ALPHA)
        & torch.isfinite(dilated)
        & (largest < LARGEST)
        & (u + reach_x >= 0)
        & (u - reach_x <= width)
        & (v + reach_y >= 0)
        & (v - reach_y <= height)
    )
    several = splats.opacities.clamp(min=1)
    conic = (var_v / dilated, -cov / dilated, var_u / dilated)
    table = torch.stack([u, v, *conic, several * opacity, several * MIN_ALPHA, z], -1)
    return table, torch.stack([reach_x, reach_y], -1), visible


def rotation_matrices(quaternions: Tensor) -> Tensor:  # [N, 4] -> [N, 3, 3]
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1, eps=1e-30).unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _tile_ranges(screen: _Screen, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Find half-open ranges of tiles along both axes, int32 [M, 2] each: columns, rows."""
    columns, rows = (
        _tile_range(screen.table[:, k], screen.reach[:, k], size)
        for k, size in enumerate((width, height))
    )
    return torch.stack([columns[0], rows[0]], -1), torch.stack([columns[1], rows[1]], -1)


def _tile_range(centre: Tensor, reach: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Find the half-open range of tiles along one axis, int32 [M] each."""
    first = ((centre - reach).clamp(min=0) // TILE).to(torch.int32)
    return first, ((centre + reach).clamp(max=size - 1.0) // TILE).to(torch.int32) + 1


def _list_tiles(
    screen: _Screen, width: int, height: int, top: int, bottom: int
) -> tuple[Tensor, Tensor]:
    """List each tile's splats, front to back: `members[starts[t] : starts[t + 1]]`.

    Args:
        top, bottom: rows of tiles; the others are empty.

    Returns:
        members: int64 [P], rows of the table.
        starts: int32 [T + 1].
    """
    device = screen.table.device
    columns, rows = -(-width // TILE), -(-height // TILE)
    first, end = _tile_ranges(screen, width, height)
    first[:, 1].clamp_(min=top)
    end[:, 1].clamp_(max=bottom)
    span = (end - first).clamp(min=0)
    counts = span[:, 0] * span[:, 1]
    owners = torch.repeat_interleave(counts)  # [P]; in the order of depth
    offsets = counts.cumsum(0) - counts
    within = torch.arange(len(owners), device=device, dtype=torch.int32) - offsets[owners]
    across = span[owners, 0].to(torch.int32)
    tile_row, tile_column = within // across, within % across
    tiles = (first[owners, 1] + tile_row) * columns + first[owners, 0] + tile_column
    # Stable, so that each tile's splats stay in the order of depth; 16 bits sort faster than 32.
    small = columns * rows <= torch.iinfo(torch.int16).max
    tiles, order = torch.sort(tiles.to(torch.int16 if small else torch.int32), stable=True)
    bounds = torch.arange(columns * rows + 1, device=device, dtype=tiles.dtype)
    return owners[order], torch.searchsorted(tiles, bounds, out_int32=True)


def blend_tiles(pairs: Tensor, starts: Tensor, width: int, height: int) -> Tensor:
    """Blend every tile's splats front to back, with plain tensor operations.

    Args:
        pairs, starts: from `list_pairs`.

    Returns:
        float32 [H, W, 5]: red, green, blue and distance, each weighted; what passes through.
    """
    columns, rows = -(-width // TILE), -(-height // TILE)
    device = pairs.device
    out = torch.zeros((rows * columns, TILE * TILE, 5), device=device)
    out[..., 4] = 1
    offset = torch.arange(TILE, device=device) + 0.5
    du = offset.repeat(TILE)  # [256], row by row
    dv = offset.repeat_interleave(TILE)
    for first in range(0, rows * columns, TILES_AT_ONCE):
        tiles = torch.arange(
            first, min(first + TILES_AT_ONCE, rows * columns), device=device, dtype=torch.int64
        )
        layer = 0
        while True:
            begin, end = starts[tiles] + layer * LAYERS, starts[tiles + 1]
            open_ = (begin < end) & (out[tiles, :, 4].amax(1) >= MIN_TRANSMITTANCE)
            tiles, begin, end = tiles[open_], begin[open_], end[open_]
            if not len(tiles):
                break
            index = begin[:, None] + torch.arange(LAYERS, device=device)  # [A, L]
            there = index < end[:, None]
            splat = pairs[index.clamp(max=len(pairs) - 1)]  # [A, L, 10]
            u, v, a, b, c, opacity, least = (s[..., None] for s in splat[..., :DEPTH].unbind(-1))
            dx = (tiles % columns * TILE)[:, None, None] + du - u  # [A, L, 256]
            dy = (tiles // columns * TILE)[:, None, None] + dv - v
            weight = opacity * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
            weight = torch.where(
                there[..., None] & (weight >= least), weight.clamp(max=MAX_ALPHA), 0.0
            )
            before = out[tiles, :, 4]  # [A, 256]
            passed = torch.cumprod(1 - weight, 1)
            reaches = before[:, None] * torch.cat([torch.ones_like(before[:, None]), passed], 1)
            # A pixel that is finished takes nothing more, and lets through what it then let.
            weight = torch.where(reaches[:, :-1] >= MIN_TRANSMITTANCE, weight, 0.0)
            share = weight * reaches[:, :-1]
            values = torch.cat([splat[..., DEPTH + 1 :], splat[..., DEPTH, None]], -1)  # [A, L, 4]
            out[tiles, :, :4] += torch.einsum("alp,alc->apc", share, values)
            out[tiles, :, 4] = before * (1 - weight).prod(1)
            layer += 1
    picture = out.view(rows, columns, TILE, TILE, 5).permute(0, 2, 1, 3, 4)
    return picture.reshape(rows * TILE, columns * TILE, 5)[:height, :width]
