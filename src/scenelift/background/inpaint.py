"""Complete a picture behind objects from patches of the rest of the picture.

From coarse to fine, every patch that touches the hole is matched with the most similar one outside
it, and the hole's pixels become the mean of what the matches say (Wexler, Shechtman, Irani,
"Space-Time Completion of Video", PAMI 2007, section 3); matches are found by propagation and random
search (Barnes and others, "PatchMatch", SIGGRAPH 2009, section 3). Fine detail is copied at last
from where the matches lie, so that nothing is smeared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.background.harmonic import harmonic
from scenelift.geometry.regions import nearest_inside
from scenelift.jit import compiled

__all__ = ["SAME", "Sources", "complete"]

RADIUS = 3  # of a patch, in pixels
COARSEST = 24  # pixels of the shorter side
MATCHED = 288  # pixels of the longer side at which patches are matched
ROUNDS = 5  # of matching and averaging a level
BLEND = 2.0  # pixels of the last level
MOST_LIGHT = 60.0  # grey levels that may be light
HARDLY = 0.02  # of a vote: what a patch that matches shows of another surface
SEARCHES = 6  # random places a round, each half as far away
SAME = 15  # numbers of regions that differ by no more are of one surface
OTHER_REGION = 1500.0  # a pixel's cost of a match on another surface: some 22 grey levels a channel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sources:
    """Another picture of the same size that a hole is filled from.

    Attributes:
        pixels: uint8 [H, W, 3].
        left_out: bool [H, W], what nothing is taken from.
        regions: int [H, W], as of the picture that is completed.
    """

    pixels: NDArray[np.uint8]
    left_out: NDArray[np.bool_]
    regions: NDArray[np.int64]


def complete(
    pixels: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    regions: NDArray[np.int64] | None = None,
    *,
    sources: Sources | None = None,
) -> NDArray[np.uint8]:
    """Fill a picture's hole with what is plausibly there; the rest of the picture stays.

    The same input gives the same bytes.

    Args:
        pixels: uint8 [H, W, 3].
        hole: bool [H, W], what is unknown.
        regions: int [H, W], a number for the surface that each pixel lies on: matches keep to
            numbers that differ by at most `SAME` where they can.
        sources: what to take patches from; by default the rest of the picture.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = hole.shape
    if not hole.any():
        return pixels.copy()
    if hole.all():
        return np.full_like(pixels, 128)
    if regions is None:
        regions = np.zeros(hole.shape, np.int64)
    sizes = _sizes(height, width)
    colours = offsets = origin = None
    for size in sizes:
        level, unknown, region = _level(pixels, hole, regions, size)
        if sources is not None:
            origin = _Origin(*_level(sources.pixels, sources.left_out, sources.regions, size))
        if colours is None:
            colours = _first_guess(level, unknown, region, origin)
        else:
            finer = _resized(colours, size)
            colours = np.where(unknown[..., None], finer, level)
        # Colours that are found have their say in what is found next.
        place = origin or _Origin(colours, unknown, region)
        offsets = _match(colours, unknown, region, place, offsets)
    assert colours is not None
    assert offsets is not None
    _, unknown, _ = _level(pixels, hole, regions, sizes[-1])
    colours = _lit_as_around(colours, unknown)
    return _detailed(
        pixels,
        hole,
        colours,
        offsets,
        source=pixels if sources is None else sources.pixels,
        source_colours=colours if origin is None else origin.colours,
    )


class _Origin(NamedTuple):
    """One level of what patches are taken from: colours, where there are none, regions."""

    colours: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    region: NDArray[np.int64]


def _sizes(height: int, width: int) -> list[tuple[int, int]]:
    """List heights and widths of the levels, the coarsest first."""
    factor = min(1.0, MATCHED / max(height, width))
    sizes = []
    while True:
        size = max(1, round(height * factor)), max(1, round(width * factor))
        sizes.append(size)
        if min(size) < 2 * COARSEST:
            return sizes[::-1]
        factor /= 2


def _first_guess(
    colours: NDArray[np.float32],
    unknown: NDArray[np.bool_],
    region: NDArray[np.int64],
    origin: _Origin | None,
) -> NDArray[np.float32]:
    """Give the hole the colours of the nearest places on the same surfaces, if there are any."""
    from scipy.spatial import KDTree

    origin = origin or _Origin(colours, unknown, region)

    def places(where: NDArray[np.bool_], region: NDArray[np.int64]) -> NDArray[np.float64]:
        # Another surface is as far away as the picture is wide.
        away = region[where] / SAME * max(region.shape)
        rows, columns = np.nonzero(where)
        return np.stack([rows, columns, away], 1).astype(np.float64)

    there = ~origin.unknown
    _, nearest = KDTree(places(there, origin.region)).query(places(unknown, region))
    result = colours.copy()
    result[unknown] = origin.colours[there][nearest]
    return result


def _level(
    pixels: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    regions: NDArray[np.int64],
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int64]]:
    """Scale picture, hole and regions to a size; a pixel that the hole touches is in the hole."""
    height, width = size
    valid = (~hole).astype(np.float32)
    weight = _resized(valid[..., None], size)[..., 0]
    weighted = _resized(pixels.astype(np.float32) * valid[..., None], size)
    level = weighted / np.maximum(weight, 1e-3)[..., None]
    rows = ((np.arange(height) + 0.5) * hole.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * hole.shape[1] / width).astype(int)
    unknown = weight < 0.999
    if unknown.all():
        unknown = weight < weight.max()
    return level.astype(np.float32), unknown, regions[rows[:, None], columns]


def _resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample [H, W, C]: each pixel is the mean of what it covers."""
    height, width = size
    planes = [
        np.asarray(
            Pillow.fromarray(np.ascontiguousarray(values[..., k]), "F").resize(
                (width, height),
                Pillow.Resampling.BOX if height < values.shape[0] else Pillow.Resampling.BILINEAR,
            )
        )
        for k in range(values.shape[2])
    ]
    return np.stack(planes, -1)


def _match(
    colours: NDArray[np.float32],
    unknown: NDArray[np.bool_],
    region: NDArray[np.int64],
    origin: _Origin,
    coarser: NDArray[np.int32] | None,
) -> NDArray[np.int32]:
    """Improve the hole's colours in place; return where each pixel's match is, [h, w, 2]."""
    height, width = unknown.shape
    sources = _whole_patches(origin.unknown)
    match = np.zeros((height, width, 2), np.int32)
    rows, columns = nearest_inside(sources)
    match[..., 0], match[..., 1] = rows, columns
    if coarser is not None:
        _take_over(match, coarser, sources)
    targets = _patch_centres(unknown)
    places = np.argwhere(targets).astype(np.int64)
    candidates = np.argwhere(sources).astype(np.int64)
    cost = np.zeros(unknown.shape)
    if coarser is not None:
        # Start from this level's own texture: enlarged colours are smooth, and match smooth places.
        _vote(colours, unknown, region, *origin, places, match, cost, 1.0)
    for turn in range(ROUNDS):
        _improve(
            colours,
            region,
            *(origin.colours, origin.region, sources, candidates),
            *(places, match, cost, turn),
        )
        typical = max(float(np.median(cost[targets])), 1.0)
        _vote(colours, unknown, region, *origin, places, match, cost, typical)
    return match


def _whole_patches(unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the centres of patches inside the picture whose pixels are all known."""
    from scipy import ndimage

    side = 2 * RADIUS + 1
    reached = ndimage.maximum_filter(unknown, side, mode="constant", cval=1)
    whole = ~np.asarray(reached, bool)
    if whole.any():
        return whole
    return ~unknown  # nothing but slivers is known: patches are compared where they can be


def _patch_centres(unknown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the centres of patches with an unknown pixel."""
    from scipy import ndimage

    return np.asarray(ndimage.maximum_filter(unknown, 2 * RADIUS + 1), bool)


def _take_over(
    match: NDArray[np.int32], coarser: NDArray[np.int32], sources: NDArray[np.bool_]
) -> None:
    """Start from the matches of the coarser level, if they are allowed as sources here."""
    height, width = sources.shape
    h, w = coarser.shape[:2]
    i = np.minimum(np.arange(height) * h // height, h - 1)
    j = np.minimum(np.arange(width) * w // width, w - 1)
    before = coarser[i[:, None], j]
    rows = np.arange(height)[:, None] + np.rint((before[..., 0] - i[:, None]) * height / h)
    columns = np.arange(width) + np.rint((before[..., 1] - j) * width / w)
    rows = np.clip(rows, 0, height - 1).astype(int)
    columns = np.clip(columns, 0, width - 1).astype(int)
    fits = sources[rows, columns]
    match[fits, 0], match[fits, 1] = rows[fits], columns[fits]


@compiled
def _cost(colours, region, source, source_region, i, j, a, b, best):
    """Compute the mean squared difference of two patches where both are known, up to `best`."""
    height, width = region.shape
    total, count = 0.0, 0
    for di in range(-RADIUS, RADIUS + 1):
        for dj in range(-RADIUS, RADIUS + 1):
            y, x, v, u = i + di, j + dj, a + di, b + dj
            if y < 0 or x < 0 or v < 0 or u < 0:
                continue
            if y >= height or v >= height or x >= width or u >= width:
                continue
            for k in range(3):
                d = colours[y, x, k] - source[v, u, k]
                total += d * d
            if abs(region[y, x] - source_region[v, u]) > SAME:
                total += OTHER_REGION
            count += 1
        # A lower bound of the mean: what is left cannot make it smaller than this.
        if count and total / ((2 * RADIUS + 1) ** 2) > best:
            return np.inf
    return total / count if count else np.inf


@compiled
def _improve(
    colours, region, source, source_region, sources, candidates, places, match, costs, turn
):
    """Run one round of propagation and random search over all targets, forwards or backwards."""
    height, width = region.shape
    state = np.uint64(turn + 1) * np.uint64(0x9E3779B97F4A7C15)
    step = 1 if turn % 2 == 0 else -1
    count = len(places)
    for index in range(count):
        at = index if step == 1 else count - 1 - index
        i, j = places[at, 0], places[at, 1]
        a, b = match[i, j, 0], match[i, j, 1]
        best = _cost(colours, region, source, source_region, i, j, a, b, np.inf)
        for k in range(2):
            y, x = (i - step, j) if k == 0 else (i, j - step)
            if y < 0 or x < 0 or y >= height or x >= width:
                continue
            v, u = match[y, x, 0] + (i - y), match[y, x, 1] + (j - x)
            if v < 0 or u < 0 or v >= height or u >= width or not sources[v, u]:
                continue
            cost = _cost(colours, region, source, source_region, i, j, v, u, best)
            if cost < best:
                best, a, b = cost, v, u
        reach = max(height, width)
        for _ in range(SEARCHES):
            # Xorshift: the same places in every run.
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            if reach >= max(height, width) // 2:
                pick = np.int64(state % np.uint64(len(candidates)))
                v, u = candidates[pick, 0], candidates[pick, 1]
            else:
                v = a + np.int64(state % np.uint64(2 * reach + 1)) - reach
                u = b + np.int64((state >> np.uint64(20)) % np.uint64(2 * reach + 1)) - reach
            reach = max(1, reach // 2)
            if v < 0 or u < 0 or v >= height or u >= width or not sources[v, u]:
                continue
            cost = _cost(colours, region, source, source_region, i, j, v, u, best)
            if cost < best:
                best, a, b = cost, v, u
        match[i, j, 0], match[i, j, 1] = a, b
        costs[i, j] = best


@compiled
def _vote(colours, unknown, region, source, missing, source_region, places, match, costs, typical):
    """Set every unknown pixel to the mean of what the matches of the patches around it say.

    Good matches count for more, or all texture would be averaged away; what a match shows of
    another surface hardly counts.
    """
    height, width = unknown.shape
    total = np.zeros((height, width, 3), np.float64)
    count = np.zeros((height, width), np.float64)
    for at in range(len(places)):
        i, j = places[at, 0], places[at, 1]
        a, b = match[i, j, 0], match[i, j, 1]
        weight = 1 / (0.01 + (costs[i, j] / typical) ** 2)
        for di in range(-RADIUS, RADIUS + 1):
            for dj in range(-RADIUS, RADIUS + 1):
                y, x, v, u = i + di, j + dj, a + di, b + dj
                if y < 0 or x < 0 or v < 0 or u < 0:
                    continue
                if y >= height or v >= height or x >= width or u >= width:
                    continue
                if unknown[y, x] and not missing[v, u]:
                    say = weight
                    if abs(region[y, x] - source_region[v, u]) > SAME:
                        say *= HARDLY
                    for k in range(3):
                        total[y, x, k] += say * source[v, u, k]
                    count[y, x] += say
    for y in range(height):
        for x in range(width):
            if count[y, x] > 0:
                for k in range(3):
                    colours[y, x, k] = total[y, x, k] / count[y, x]


def _lit_as_around(colours: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Adapt the hole's light to its surroundings, as its matches may come from other light.

    The differences across the rim are continued smoothly into the hole.
    """
    from scipy import ndimage

    def mean_over(where: NDArray[np.bool_]) -> NDArray[np.float64]:
        weight = ndimage.gaussian_filter(where.astype(np.float64), BLEND)
        total = ndimage.gaussian_filter(colours * where[..., None], (BLEND, BLEND, 0))
        return total / np.maximum(weight, 1e-6)[..., None]

    rim = ~unknown & np.asarray(ndimage.binary_dilation(unknown), bool)
    if not rim.any():
        return colours
    difference = np.clip(mean_over(~unknown) - mean_over(unknown), -MOST_LIGHT, MOST_LIGHT)
    # Where rim and hole show different things, as at an object's edge, it is no light.
    rim &= np.abs(difference).max(-1) < MOST_LIGHT
    if not rim.any():
        return colours
    light = harmonic(difference, unknown, rim)
    result = colours.copy()
    result[unknown] += light[unknown].astype(np.float32)
    return result


def _detailed(
    pixels: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    colours: NDArray[np.float32],
    match: NDArray[np.int32],
    *,
    source: NDArray[np.uint8],
    source_colours: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Fill the hole in full resolution: matched colours with the detail of the matched places.

    What is finer than `BLEND` pixels of the last level comes from the match of the pixel itself,
    unblended; only the light over larger parts is the blend of all matches.
    """
    height, width = hole.shape
    h, w = match.shape[:2]
    from scipy import ndimage

    def without_detail(level: NDArray[np.float32]) -> NDArray[np.float32]:
        soft = ndimage.gaussian_filter(level, (BLEND, BLEND, 0))
        return _resized(np.asarray(soft, np.float32), (height, width))

    smooth = without_detail(colours)
    source_smooth = smooth if source_colours is colours else without_detail(source_colours)
    rows, columns = np.nonzero(hole)
    i, j = rows * h // height, columns * w // width
    v = np.clip(rows + np.rint((match[i, j, 0] - i) * height / h).astype(int), 0, height - 1)
    u = np.clip(columns + np.rint((match[i, j, 1] - j) * width / w).astype(int), 0, width - 1)
    detail = source[v, u] - source_smooth[v, u]
    result = pixels.copy()
    values = np.clip(smooth[rows, columns] + detail, 0, 255)
    result[rows, columns] = np.rint(values).astype(np.uint8)
    return result
