"""Fits coarse masks to the photo's edges: a cut at working size, then a guided filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from scenelift.geometry.regions import border_of
from scenelift.types import Box

__all__ = ["over", "refine", "resized"]

# The cut is made at this size at most; a linear map for each pixel carries it to the photo's.
LONGEST_SIDE = 256
# Chosen among a dozen combinations on `python -m benchmarks.masks` and flat around these values:
# halving or doubling one of them costs less than 0.01 of mean IoU.
COLOURS = 32
COLOUR_WEIGHT = 0.5  # of the colours' evidence against the coarse mask's
MOST_COLOUR_EVIDENCE = 2.0  # of one colour, as a log ratio
SMOOTHNESS = 3.0
LEAST_EDGE_COST = 0.05  # of cutting along the strongest edge, relative to cutting a flat region
ROUNDS = 2  # colours are learned again from the first cut
STEPS = 80
STEP_SIZE = 0.35  # both steps of the primal-dual scheme: it converges for σ τ ≤ 1/8

RADIUS = 0.012  # of the guided filter, in parts of the longer side
FLAT = 1e-4  # variance of sRGB in 0…1 below which a neighbourhood has no edges to follow
# What remains of the guided filter's haze is cut off at both ends.
HAZE = 0.1
# Parts smaller than this, relative to the largest, are islands; an occluded object may well
# have several parts. Smaller gaps than this, relative to the mask, are holes.
ISLAND, HOLE = 0.08, 0.01
# A larger gap is a hole too where what was known before colours were looked at says that it is the
# object: a bear's muzzle, a label on a bottle. A handle's hole, which it says nothing of, stays.
HOLE_OF_COLOUR, SURE = 0.2, 0.5


def refine(
    pixels: NDArray[np.uint8],  # [H, W, 3]
    coarse: NDArray[np.float32],  # [h, w] in 0…1
    region: NDArray[np.bool_],  # [H, W]
) -> NDArray[np.float32]:  # [H, W] in 0…1
    """Let a coarse mask follow the edges of the picture it lies over.

    Args:
        pixels: sRGB.
        coarse: chance of the object, at any resolution, covering the same picture.
        region: where the object may be.
    """
    height, width = region.shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Pillow.fromarray(pixels).resize(size, Pillow.Resampling.BOX)
    image = np.asarray(small, np.float32) / np.float32(255)
    inside = resized(region.astype(np.float32), size) > 0.5
    mask = _cut_by_colour(image, resized(coarse, size), inside)

    radius = max(1, round(RADIUS * max(size)))
    slopes, offset = _guided_coefficients(image, mask, radius, FLAT)
    alpha = resized(offset, (width, height))
    for channel in range(3):
        slope = resized(slopes[..., channel], (width, height))
        alpha += slope * (pixels[..., channel] * np.float32(1 / 255))
    alpha = ((alpha - HAZE) / (1 - 2 * HAZE)).clip(0, 1) * region
    return _tidied(alpha, resized(coarse, (width, height))) * region


def _cut_by_colour(
    image: NDArray[np.float32],  # [H, W, 3] in 0…1
    chance: NDArray[np.float32],  # [H, W]
    inside: NDArray[np.bool_],  # [H, W]
) -> NDArray[np.float32]:  # [H, W] in 0…1
    """Weigh a coarse mask against the colours of what it covers, and cut along edges."""
    colours = _quantised(image)
    chance = chance.clip(0.01, 0.99)
    prior = np.where(inside, np.log(chance / (1 - chance)), -20).astype(np.float32)
    mask = chance * inside
    for _ in range(ROUNDS):
        of_object = np.bincount(colours.ravel(), mask.ravel(), COLOURS) / (mask.sum() + 1e-6)
        rest = 1 - mask
        of_rest = np.bincount(colours.ravel(), rest.ravel(), COLOURS) / (rest.sum() + 1e-6)
        ratio = np.log((of_object + 1e-3) / (of_rest + 1e-3))
        evidence = ratio.clip(-MOST_COLOUR_EVIDENCE, MOST_COLOUR_EVIDENCE).astype(np.float32)
        mask = _cut(image, prior + np.float32(COLOUR_WEIGHT) * evidence[colours], mask)
    return mask


def _quantised(image: NDArray[np.float32]) -> NDArray[np.intp]:  # [H, W, 3] -> [H, W]
    """Assign each pixel the nearest of the picture's typical colours, by k-means on a sample."""
    pixels = image.reshape(-1, 3)
    sample = pixels[:: max(1, len(pixels) // 4000)]
    # Seeds spread over the sample's brightness, so that every run finds the same colours.
    order = np.argsort(sample.sum(1), kind="stable")
    centres = sample[order[np.linspace(0, len(sample) - 1, COLOURS).round().astype(int)]]

    def nearest(values: NDArray[np.float32]) -> NDArray[np.intp]:
        return ((centres**2).sum(1) - 2 * values @ centres.T).argmin(1)

    for _ in range(8):
        members = nearest(sample)
        counts = np.bincount(members, minlength=COLOURS)[:, None]
        sums = np.stack([np.bincount(members, c, COLOURS) for c in sample.T], 1)
        centres = np.where(counts > 0, sums / counts.clip(1), centres).astype(np.float32)
    return nearest(pixels).reshape(image.shape[:2])


def _cut(
    image: NDArray[np.float32],  # [H, W, 3] in 0…1
    evidence: NDArray[np.float32],  # [H, W] log odds of being the object
    start: NDArray[np.float32],  # [H, W] in 0…1
) -> NDArray[np.float32]:  # [H, W] in 0…1
    """Find the mask that agrees best with the evidence and whose outline runs along edges.

    Minimises Σ g |∇u| − Σ u · evidence over u in 0…1: the convex form of a graph cut
    (https://doi.org/10.1137/040615286) by the primal-dual steps of
    https://doi.org/10.1007/s10851-010-0251-1. g is small where colours change.
    """
    cost_x, cost_y = _edge_costs(image)
    u = start.astype(np.float32)
    ahead = u.copy()
    flow_x, flow_y = np.zeros_like(cost_x), np.zeros_like(cost_y)
    drift = np.float32(STEP_SIZE) * evidence
    for _ in range(STEPS):
        flow_x = (flow_x + STEP_SIZE * (ahead[:, 1:] - ahead[:, :-1])).clip(-cost_x, cost_x)
        flow_y = (flow_y + STEP_SIZE * (ahead[1:] - ahead[:-1])).clip(-cost_y, cost_y)
        update = u + drift
        update[:, :-1] += STEP_SIZE * flow_x
        update[:, 1:] -= STEP_SIZE * flow_x
        update[:-1] += STEP_SIZE * flow_y
        update[1:] -= STEP_SIZE * flow_y
        update = update.clip(0, 1)
        ahead, u = 2 * update - u, update
    return u


def _edge_costs(
    image: NDArray[np.float32],  # [H, W, 3]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [H, W - 1], [H - 1, W]
    """Compute an outline's cost between neighbours: low where their colours differ."""
    steps = [(np.diff(image, axis=axis) ** 2).sum(-1) for axis in (1, 0)]
    usual = sum(step.sum() for step in steps) / max(1, sum(step.size for step in steps)) + 1e-6
    x, y = (
        SMOOTHNESS * (LEAST_EDGE_COST + (1 - LEAST_EDGE_COST) * np.exp(-step / (2 * usual)))
        for step in steps
    )
    return x.astype(np.float32), y.astype(np.float32)


def _guided_coefficients(
    guide: NDArray[np.float32],  # [H, W, 3] in 0…1
    target: NDArray[np.float32],  # [H, W]
    radius: int,
    epsilon: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [H, W, 3], [H, W]
    """Fit slopes and offsets of the local linear map from colours to a target.

    Guided filter, https://doi.org/10.1109/TPAMI.2012.213; computed small and applied large as in
    https://arxiv.org/abs/1505.00996.
    """

    def mean(values: NDArray) -> NDArray:
        return ndimage.uniform_filter(values, 2 * radius + 1, mode="nearest", axes=(0, 1))

    # Variances are small differences of large numbers: float32 would not do.
    colour, target_values = guide.astype(np.float64), target.astype(np.float64)
    mean_colour, mean_target = mean(colour), mean(target_values)
    covariance = mean(colour * target_values[..., None]) - mean_colour * mean_target[..., None]
    products = mean(colour[..., :, None] * colour[..., None, :])
    variance = products - mean_colour[..., :, None] * mean_colour[..., None, :]
    variance += epsilon * np.eye(3)
    slopes = np.linalg.solve(variance, covariance[..., None])[..., 0]
    offset = mean_target - (slopes * mean_colour).sum(-1)
    return mean(slopes).astype(np.float32), mean(offset).astype(np.float32)


def _tidied(
    alpha: NDArray[np.float32],  # [H, W]
    chance: NDArray[np.float32],  # [H, W], before colours were looked at
) -> NDArray[np.float32]:  # [H, W]
    """Remove islands and holes."""
    mask = alpha >= 0.5
    if not mask.any():
        return alpha
    parts = _numbered(mask)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    islands = (areas < ISLAND * areas.max())[parts] & mask
    gaps = _numbered(~mask)
    gap_areas = np.bincount(gaps.ravel())
    gap_areas[0] = mask.size
    open_gaps = border_of(gaps)
    gap_areas[open_gaps] = mask.size
    believed = np.bincount(gaps.ravel(), chance.ravel()) / np.bincount(gaps.ravel()).clip(1)
    of_colour = (believed >= SURE) & (gap_areas < HOLE_OF_COLOUR * mask.sum())
    holes = ((gap_areas < HOLE * mask.sum()) | of_colour)[gaps]
    return np.where(islands, 0, np.where(holes, 1, alpha)).astype(np.float32)


def _numbered(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the connected parts of a mask from 1."""
    numbers = np.zeros(mask.shape, np.int32)
    ndimage.label(mask, output=numbers)
    return numbers


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a float image [h, w] to (width, height)."""
    picture = Pillow.fromarray(np.ascontiguousarray(values, np.float32))
    return np.array(picture.resize(size, Pillow.Resampling.BICUBIC))


def over(
    values: NDArray[np.float32], window: Box, part: tuple[int, int, int, int]
) -> NDArray[np.float32]:
    """Read values that cover a window of the photo over a part of it, a value a pixel."""
    rows, columns = values.shape
    x0, y0, x1, y1 = window
    fx, fy = columns / (x1 - x0), rows / (y1 - y0)
    within = (
        max(0.0, (part[0] - x0) * fx),
        max(0.0, (part[1] - y0) * fy),
        min(float(columns), (part[2] - x0) * fx),
        min(float(rows), (part[3] - y0) * fy),
    )
    size = (part[2] - part[0], part[3] - part[1])
    picture = Pillow.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(picture.resize(size, Pillow.Resampling.BILINEAR, box=within))
