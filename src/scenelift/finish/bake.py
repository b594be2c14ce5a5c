"""Bake texture colours from splats, as small cameras in front of the surface see them.

Texels are taken 8 × 8 at a time. The splats around such a patch are projected along a line of sight
(orthographic, so covariances just lose one axis), sorted front to back, and blended at each texel
as a splat renderer blends them at each pixel. Splats lie a little off the surface, so a texel looks
different from every side: the mean of several sides agrees better with other views than the front
does. In a crease only those sides count from which it can be seen.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

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
from scenelift.finish.sights import SIGHTS, in_frame, is_open, leaning, look_at, reach_of
from scenelift.finish.texels import Texels
from scenelift.geometry.rows import all_in_rows, largest_in_rows
from scenelift.geometry.transforms import matrix_from_quaternion, take_gaussians
from scenelift.jit import compiled, kernel_array, spread
from scenelift.types import Gaussians

__all__ = ["Baked", "bake_gaussians", "patches_of"]

log = logging.getLogger(__name__)

PATCH = 8  # texels
BUCKETS = 256  # by which splats are sorted roughly: about as many meet a line of sight
LEAST_ALPHA = 0.5  # alpha below which a texel takes the nearest splat's colour instead


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Baked:
    """Colours of points on a surface.

    Attributes:
        rgb: float32 [T, 3], sRGB in 0…1.
        unseen: bool [T], where no splats reach: there it is the nearest splat's colour.
    """

    rgb: NDArray[np.float32]
    unseen: NDArray[np.bool_]


def bake_gaussians(
    gaussians: Gaussians,
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    patch: NDArray[np.int64],
    texel: float,
    device: str = "cpu",
) -> Baked:
    """Compute the splats' colours at points of the surface.

    Args:
        gaussians: one or more, in the object's frame, as everything here.
        points: [T, 3].
        normals: [T, 3], unit, outward.
        patch: [T], points with one number lie close together and share a line of sight.
        texel: distance between neighbouring points, for the anti-aliasing.
        device: "cpu", where numba computes, or the name of one where torch does.
    """
    visible = _visible(gaussians)
    if not len(visible) or not len(points):
        return Baked(
            rgb=np.full((len(points), 3), 0.5, np.float32), unseen=np.ones(len(points), np.bool_)
        )
    rgb, alpha = _blended(visible, points, normals, patch, texel, device)
    unseen = alpha < LEAST_ALPHA
    rgb[~unseen] /= alpha[~unseen, None]
    if unseen.any():
        _, nearest = KDTree(visible.means).query(points[unseen])
        rgb[unseen] = visible.rgb[nearest]
    return Baked(rgb=np.clip(rgb, 0, 1), unseen=unseen)


def _blended(
    gaussians: Gaussians,
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    patch: NDArray[np.int64],
    texel: float,
    device: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend colours [T, 3] times alpha, and alpha [T]; on the CPU if device memory is too short."""
    if device != "cpu":
        import torch

        from scenelift.finish.bake_torch import blend_splats

        try:
            return blend_splats(gaussians, points, normals, patch, texel, torch.device(device))
        except torch.OutOfMemoryError:
            log.info("%d splats do not fit into %s: the CPU bakes", len(gaussians), device)
    return _blend_splats(gaussians, points, normals, patch, texel)


def _visible(gaussians: Gaussians) -> Gaussians:
    valid = (gaussians.opacities >= MIN_ALPHA) & all_in_rows(np.isfinite(gaussians.means))
    return gaussians if valid.all() else take_gaussians(gaussians, valid)


def _blend_splats(
    gaussians: Gaussians,
    points: NDArray[np.float32],
    normals: NDArray[np.float32],
    patch: NDArray[np.int64],
    texel: float,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend colours [T, 3] times alpha, and alpha [T]."""
    order = np.argsort(patch, kind="stable")
    starts = np.flatnonzero(np.diff(patch[order], prepend=-1))
    starts = np.append(starts, len(order))
    means = gaussians.means
    axes = matrix_from_quaternion(gaussians.rotations) * gaussians.scales[:, None, :]
    widest = widest_of(gaussians, texel)
    radii = np.minimum(3 * largest_in_rows(gaussians.scales) + texel, widest)
    cell = cell_of(widest)
    low = means.min(0)
    size = np.floor((means.max(0) - low) / cell).astype(np.int64) + 1
    key = np.floor((means - low) / cell).astype(np.int64) @ [size[1] * size[2], size[2], 1]
    by_cell = np.argsort(key, kind="stable")
    cells = np.searchsorted(key[by_cell], np.arange(size.prod() + 1))
    # Of every texel in the order of patches; colours are multiplied by alpha.
    rgb, alpha = np.zeros((len(points), 3), np.float32), np.zeros(len(points), np.float32)
    spread(
        _bake,
        len(starts) - 1,
        kernel_array(points[order], np.float32),
        kernel_array(normals[order], np.float32),
        starts,
        kernel_array(means[by_cell], np.float32),
        kernel_array(axes[by_cell], np.float32),
        kernel_array(radii[by_cell], np.float32),
        kernel_array(gaussians.opacities[by_cell], np.float32),
        kernel_array(gaussians.rgb[by_cell], np.float32),
        cells,
        size,
        low.astype(np.float64),
        cell,
        widest,
        np.float32((BLUR * texel) ** 2),
        rgb,
        alpha,
    )
    colors, alphas = np.zeros_like(rgb), np.zeros_like(alpha)
    colors[order], alphas[order] = rgb, alpha
    return colors, alphas


def patches_of(texels: Texels, chart: NDArray[np.int32]) -> NDArray[np.int64]:
    """Number each texel's patch: one patch for each square of PATCH texels in each chart."""
    row, column = np.divmod(texels.index, texels.size[1])
    across = -(-texels.size[1] // PATCH)
    square = (row // PATCH) * across + column // PATCH
    return chart[texels.face].astype(np.int64) * (across * -(-texels.size[0] // PATCH)) + square


@compiled
def _bake(
    first,
    end,
    points,
    normals,
    starts,
    means,
    axes,
    radii,
    opacities,
    rgb,
    cells,
    size,
    low,
    cell,
    widest,
    blur,
    color,
    alpha,
):
    """Compute colours [T, 3] times alpha, and alpha [T], of the texels of some patches."""
    for g in range(first, end):
        own = slice(starts[g], starts[g + 1])
        patch = look_at(points[own], normals[own])
        reach = reach_of(points[own], patch)
        around, offsets, limits = _splats_around(
            patch, reach, means, radii, cells, size, low, cell, widest
        )
        clear, count = np.zeros(SIGHTS, np.bool_), 0
        for sight in range(SIGHTS):
            toward = leaning(patch, sight * 2 * math.pi / SIGHTS)[2]
            clear[sight] = is_open(patch[3], toward, cells, size, low, cell)
            count += clear[sight]
        weight = np.float32(1) / np.float32(count if count else SIGHTS)
        for sight in range(SIGHTS):
            if count and not clear[sight]:
                continue
            frame = leaning(patch, sight * 2 * math.pi / SIGHTS)
            _blend(
                in_frame(points[own], frame),
                frame,
                _front_to_back(around, offsets, limits, frame, reach),
                means,
                axes,
                opacities,
                rgb,
                blur,
                weight,
                color[own],
                alpha[own],
            )


@compiled
def _splats_around(frame, reach, means, radii, cells, size, low, cell, widest):
    """Find splats that a line of sight to the patch may meet.

    Returns:
        Which [n], how far from its centre [3, n], and the square [n] of how far a line of sight may
        pass by them.
    """
    span = reach + max(widest, BEHIND)
    first, last = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for c in range(3):
        first[c] = max(0, math.floor((frame[3, c] - span - low[c]) / cell))
        last[c] = min(size[c] - 1, math.floor((frame[3, c] + span - low[c]) / cell))
        if last[c] < first[c]:
            return np.zeros(0, np.int64), np.zeros((3, 0), np.float32), np.zeros(0, np.float32)
    most = 0
    for i in range(first[0], last[0] + 1):
        for j in range(first[1], last[1] + 1):
            row = (i * size[1] + j) * size[2]
            most += cells[row + last[2] + 1] - cells[row + first[2]]
    count = 0
    near = np.zeros(most, np.int64)
    offsets, limits = np.zeros((3, most), np.float32), np.zeros(most, np.float32)
    deepest = max(BEHIND, IN_FRONT) + reach
    for i in range(first[0], last[0] + 1):
        for j in range(first[1], last[1] + 1):
            row = (i * size[1] + j) * size[2]
            for s in range(cells[row + first[2]], cells[row + last[2] + 1]):
                x = means[s, 0] - frame[3, 0]
                y = means[s, 1] - frame[3, 1]
                z = means[s, 2] - frame[3, 2]
                limit = reach + radii[s]
                if x * x + y * y + z * z <= limit * limit + deepest * deepest:
                    near[count] = s
                    offsets[0, count], offsets[1, count], offsets[2, count] = x, y, z
                    limits[count] = limit * limit
                    count += 1
    return near[:count], offsets[:, :count], limits[:count]


@compiled
def _front_to_back(around, offsets, limits, frame, reach):
    """Sort the splats whose projection may reach the patch by their depth."""
    count = 0
    near = np.zeros(len(around), np.int64)
    depth = np.zeros(len(around), np.float32)
    fx, fy, fz = np.float32(frame[2, 0]), np.float32(frame[2, 1]), np.float32(frame[2, 2])
    close, far = np.float32(IN_FRONT + reach), np.float32(-BEHIND - reach)
    for i in range(len(around)):
        x, y, z = offsets[0, i], offsets[1, i], offsets[2, i]
        d = x * fx + y * fy + z * fz
        if far <= d <= close and x * x + y * y + z * z - d * d <= limits[i]:
            near[count], depth[count] = around[i], close - d
            count += 1
    return _sorted(near[:count], depth[:count], close - far)


@compiled
def _sorted(near, depth, deepest):
    """Sort splats by their depth in 0…deepest: into buckets first, then by insertion.

    Takes a fourth of the time of `np.argsort` on these few hundred.
    """
    scale = np.float32(BUCKETS - 1) / deepest
    begin = np.zeros(BUCKETS + 1, np.int64)
    for i in range(len(near)):
        begin[int(depth[i] * scale) + 1] += 1
    for b in range(BUCKETS):
        begin[b + 1] += begin[b]
    order, key = np.zeros_like(near), np.zeros_like(depth)
    for i in range(len(near)):
        b = int(depth[i] * scale)
        order[begin[b]], key[begin[b]] = near[i], depth[i]
        begin[b] += 1
    for i in range(1, len(near)):
        splat, own, k = order[i], key[i], i
        while k > 0 and key[k - 1] > own:
            order[k], key[k] = order[k - 1], key[k - 1]
            k -= 1
        order[k], key[k] = splat, own
    return order


@compiled
def _blend(local, frame, near, means, axes, opacities, rgb, blur, share_of_sight, color, alpha):
    """Add front-to-back blending, as in `render/splats.py`, at the patch's texels."""
    n = local.shape[1]
    u, v = local[0], local[1]
    through = np.ones(n, np.float32)
    reds, greens, blues = np.zeros(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.float32)
    for k in range(len(near)):
        if k % AT_ONCE == 0 and through.max() < np.float32(OPAQUE):
            break
        s = near[k]
        mu, mv, var_u, cov, var_v = 0.0, 0.0, 0.0, 0.0, 0.0
        for c in range(3):
            offset = means[s, c] - frame[3, c]
            mu += offset * frame[0, c]
            mv += offset * frame[1, c]
            au, av = 0.0, 0.0
            for d in range(3):
                au += axes[s, d, c] * frame[0, d]
                av += axes[s, d, c] * frame[1, d]
            var_u += au * au
            cov += au * av
            var_v += av * av
        sharp = max(0.0, var_u * var_v - cov * cov)
        var_u += blur
        var_v += blur
        determinant = var_u * var_v - cov * cov
        opacity = np.float32(min(opacities[s], 1.0) * math.sqrt(sharp / determinant))
        if opacity < MIN_ALPHA:
            continue
        a = np.float32(-0.5 * var_v / determinant)
        b = np.float32(cov / determinant)
        e = np.float32(-0.5 * var_u / determinant)
        x, y = np.float32(mu), np.float32(mv)
        red, green, blue = rgb[s, 0], rgb[s, 1], rgb[s, 2]
        for t in range(n):
            # No branch and no call in here, so that the compiler takes eight texels at a time.
            du, dv = u[t] - x, v[t] - y
            power = a * du * du + e * dv * dv + b * du * dv
            visible = power >= np.float32(DARKEST)
            share = min(np.float32(MAX_ALPHA), opacity * _exp(power))
            share = (share if visible else np.float32(0)) * through[t]
            reds[t] += share * red
            greens[t] += share * green
            blues[t] += share * blue
            through[t] -= share
    for t in range(n):
        alpha[t] += share_of_sight * (1 - through[t])
        color[t, 0] += share_of_sight * reds[t]
        color[t, 1] += share_of_sight * greens[t]
        color[t, 2] += share_of_sight * blues[t]


@compiled
def _exp(x):
    """Compute e^x of a float32 in DARKEST…0, to 5e-5 of it: Taylor's series of x / 32, squared."""
    y = x * np.float32(1 / 32)
    p = y * np.float32(1 / 24) + np.float32(1 / 6)
    p = p * y + np.float32(0.5)
    p = p * y + np.float32(1)
    p = p * y + np.float32(1)
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p
