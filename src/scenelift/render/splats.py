"""Draw Gaussian splats on the CPU.

Projection and blending are those of 3D Gaussian Splatting (https://arxiv.org/abs/2308.04079,
section 4 and appendix C), with the dilation of 0.3 pixels² paid for in opacity as gsplat's
"antialiased" mode does (after Mip-Splatting, https://arxiv.org/abs/2311.16493), so that small and
far splats do not grow fat. Spherical harmonics of degree 0. `splats_reference.py` is the
definition in plain numpy; this file computes the same in tiles, with numba.

Inside the kernels the camera frame is x right, y down, z forward, as in the papers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, kernel_array, spread
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
from scenelift.types import Camera, Gaussians

__all__ = [
    "bin_splats",
    "exp_near_zero",
    "front_to_back",
    "project_splats",
    "render_splats",
    "tile_is_finished",
]

# After so many splats a tile looks whether all its pixels are finished.
CHECK_EVERY = 16

INFINITE = np.uint32(0x7F800000)  # bits of infinity; beyond are those of what is no number
DIGIT = 11  # bits that are sorted by at a time
DIGITS = np.uint32((1 << DIGIT) - 1)

# Columns of the table of splats that the raster kernel reads, one cache line a splat.
U, V, CONIC_A, CONIC_B, CONIC_C, OPACITY, LEAST, DEPTH, RED, GREEN, BLUE = range(11)
RADIUS_X, RADIUS_Y, COLUMNS = range(11, 14)


def render_splats(
    gaussians: Gaussians,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    near: float = 0.01,
) -> Rendering:
    """Draw splats as the camera sees them.

    The same input gives the same bytes, whatever the number of threads.

    Args:
        gaussians: N splats in the scene frame, N ≥ 0. Those that are not finite, or have a zero
            quaternion, are left out.
        camera: intrinsics and the size of the picture; it looks along −z of its frame.
        scene_from_camera: float64 [4, 4] pose of the camera, None for the identity.
        background: sRGB in 0…1.
        near: splats whose centre is not farther than this along the axis are left out.
    """
    height, width = camera.height, camera.width
    view = camera_from_scene(scene_from_camera)
    splats = project_splats(gaussians, camera, view, near)
    starts, members = bin_splats(splats, front_to_back(splats[:, DEPTH]), width, height)
    color, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    behind = kernel_array(background, np.float32)
    spread(_raster, len(starts) - 1, splats, starts, members, behind, color, alpha, depth)
    return Rendering(color=color, alpha=alpha, depth=depth)


def front_to_back(depth: NDArray[np.float32]) -> NDArray[np.int32]:
    """Sort finite depths (all > 0) in ascending order, equal ones as given; returns indices."""
    return _by_bits(kernel_array(depth, np.float32).view(np.uint32))


@compiled
def _by_bits(depth):
    """Sort by radix: the bits of positive floats sort as they do. In a fifth of NumPy's time.

    Args:
        depth: uint32 [N], bits of floats ≥ 0.
    """
    lowest, highest, count = INFINITE, np.uint32(0), 0
    for bits in depth:
        if bits < INFINITE:
            lowest, highest, count = min(lowest, bits), max(highest, bits), count + 1
    order, keys = np.zeros(count, np.int32), np.zeros(count, np.uint32)
    count = 0
    for i in range(len(depth)):
        if depth[i] < INFINITE:
            order[count], keys[count] = i, depth[i] - lowest
            count += 1
    next_order, next_keys = np.zeros_like(order), np.zeros_like(keys)
    for shift in range(0, 32, DIGIT):
        if count == 0 or np.int64(highest - lowest) >> shift == 0:
            break
        starts = np.zeros((1 << DIGIT) + 1, np.int64)
        for key in keys:
            starts[((key >> np.uint32(shift)) & DIGITS) + 1] += 1
        for digit in range(1 << DIGIT):
            starts[digit + 1] += starts[digit]
        for i in range(count):
            digit = (keys[i] >> np.uint32(shift)) & DIGITS
            place = starts[digit]
            starts[digit] += 1
            next_order[place], next_keys[place] = order[i], keys[i]
        order, keys, next_order, next_keys = next_order, next_keys, order, keys
    return order


def project_splats(
    gaussians: Gaussians,
    camera: Camera,
    view: NDArray[np.float64],  # [4, 4], camera_from_scene
    near: float,
) -> NDArray[np.float32]:  # [N, COLUMNS]
    """Project splats to a table on the screen; depth is inf for those that cannot be seen."""
    splats = np.zeros((len(gaussians), COLUMNS), np.float32)
    spread(
        _project,
        len(gaussians),
        kernel_array(gaussians.means, np.float32),
        kernel_array(gaussians.scales, np.float32),
        kernel_array(gaussians.rotations, np.float32),
        kernel_array(gaussians.opacities, np.float32),
        kernel_array(gaussians.rgb, np.float32),
        kernel_array(np.diag([1.0, -1, -1, 1]) @ view, np.float64),
        kernel_array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64),
        camera.width,
        camera.height,
        float(near),
        splats,
    )
    return splats


@compiled
def _project(
    first,
    end,
    means,
    scales,
    rotations,
    opacities,
    rgb,
    view,
    intrinsics,
    width,
    height,
    near,
    splats,
):
    fx, fy, cx, cy = intrinsics
    left, right = -cx / fx, (width - cx) / fx
    top, bottom = -cy / fy, (height - cy) / fy
    margin_x, margin_y = FRUSTUM_MARGIN * (right - left) / 2, FRUSTUM_MARGIN * (bottom - top) / 2
    for i in range(first, end):
        splats[i, DEPTH] = np.inf
        mx, my, mz = float(means[i, 0]), float(means[i, 1]), float(means[i, 2])
        x = view[0, 0] * mx + view[0, 1] * my + view[0, 2] * mz + view[0, 3]
        y = view[1, 0] * mx + view[1, 1] * my + view[1, 2] * mz + view[1, 3]
        z = view[2, 0] * mx + view[2, 1] * my + view[2, 2] * mz + view[2, 3]
        opacity = float(opacities[i])
        if not (z > near and math.isfinite(x + y + z) and opacity >= MIN_ALPHA):
            continue

        # Jacobian of the projection, 2 rows, times the rotation of the view.
        tx = min(max(x / z, left - margin_x), right + margin_x)
        ty = min(max(y / z, top - margin_y), bottom + margin_y)
        qw, qx, qy, qz = (
            float(rotations[i, 0]),
            float(rotations[i, 1]),
            float(rotations[i, 2]),
            float(rotations[i, 3]),
        )
        norm = math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        if not (norm > 0 and math.isfinite(norm)):
            continue
        qw, qx, qy, qz = qw / norm, qx / norm, qy / norm, qz / norm
        # Columns of the splat's rotation, each times its scale: its axes in the scene.
        s0, s1, s2 = float(scales[i, 0]), float(scales[i, 1]), float(scales[i, 2])
        axes = (
            (
                s0 * (1 - 2 * (qy * qy + qz * qz)),
                s0 * 2 * (qx * qy + qw * qz),
                s0 * 2 * (qx * qz - qw * qy),
            ),
            (
                s1 * 2 * (qx * qy - qw * qz),
                s1 * (1 - 2 * (qx * qx + qz * qz)),
                s1 * 2 * (qy * qz + qw * qx),
            ),
            (
                s2 * 2 * (qx * qz + qw * qy),
                s2 * 2 * (qy * qz - qw * qx),
                s2 * (1 - 2 * (qx * qx + qy * qy)),
            ),
        )
        # The covariance is the sum of the outer products of the projected axes.
        var_u, cov_uv, var_v = 0.0, 0.0, 0.0
        for axis in axes:
            ax = view[0, 0] * axis[0] + view[0, 1] * axis[1] + view[0, 2] * axis[2]
            ay = view[1, 0] * axis[0] + view[1, 1] * axis[1] + view[1, 2] * axis[2]
            az = view[2, 0] * axis[0] + view[2, 1] * axis[1] + view[2, 2] * axis[2]
            au, av = fx * (ax - tx * az) / z, fy * (ay - ty * az) / z
            var_u += au * au
            cov_uv += au * av
            var_v += av * av
        determinant = max(0.0, var_u * var_v - cov_uv * cov_uv)
        var_u += DILATION
        var_v += DILATION
        dilated = var_u * var_v - cov_uv * cov_uv
        opacity = min(opacity, 1.0) * math.sqrt(determinant / dilated)
        if not (opacity >= MIN_ALPHA and math.isfinite(dilated)):
            continue

        # Where opacity · exp(−r²/2) falls below what can be seen.
        radius = math.sqrt(2 * math.log(opacity / MIN_ALPHA))
        u, v = cx + fx * x / z, cy + fy * y / z
        radius_x, radius_y = radius * math.sqrt(var_u), radius * math.sqrt(var_v)
        if not max(abs(u), abs(v), radius_x, radius_y) < LARGEST:
            continue
        if u + radius_x < 0 or u - radius_x > width or v + radius_y < 0 or v - radius_y > height:
            continue
        splats[i, U] = u
        splats[i, V] = v
        splats[i, CONIC_A] = var_v / dilated
        splats[i, CONIC_B] = -cov_uv / dilated
        splats[i, CONIC_C] = var_u / dilated
        several = max(float(opacities[i]), 1.0)
        splats[i, OPACITY] = several * opacity
        splats[i, LEAST] = several * MIN_ALPHA
        splats[i, DEPTH] = z
        splats[i, RED] = rgb[i, 0]
        splats[i, GREEN] = rgb[i, 1]
        splats[i, BLUE] = rgb[i, 2]
        splats[i, RADIUS_X] = radius_x
        splats[i, RADIUS_Y] = radius_y


@compiled
def _tile_range(centre, radius, size):
    """Find first and last tile along one axis that a splat touches."""
    first = max(0, int(max(0.0, centre - radius)) // TILE)
    last = min((size - 1) // TILE, int(min(size - 1.0, centre + radius)) // TILE)
    return first, last


@compiled
def bin_splats(splats, order, width, height):
    """List each tile's splats, in that order: `members[starts[t] : starts[t + 1]]`.

    The table itself stays as it came: splats of a surface lie near each other in it, and are drawn
    in two thirds of the time that a sorted one takes.
    """
    columns = (width + TILE - 1) // TILE
    rows = (height + TILE - 1) // TILE
    starts = np.zeros(columns * rows + 1, np.int64)
    tiles = np.zeros((len(splats), 4), np.int32)  # first and last column and row
    for i in range(len(splats)):
        if splats[i, DEPTH] == np.inf:
            continue
        x0, x1 = _tile_range(splats[i, U], splats[i, RADIUS_X], width)
        y0, y1 = _tile_range(splats[i, V], splats[i, RADIUS_Y], height)
        tiles[i, 0], tiles[i, 1], tiles[i, 2], tiles[i, 3] = x0, x1, y0, y1
        for ty in range(y0, y1 + 1):
            for tx in range(x0, x1 + 1):
                starts[ty * columns + tx + 1] += 1
    for tile in range(columns * rows):
        starts[tile + 1] += starts[tile]
    members = np.zeros(starts[-1], np.int32)
    filled = starts.copy()
    for i in order:
        x0, x1, y0, y1 = tiles[i]
        for ty in range(y0, y1 + 1):
            for tx in range(x0, x1 + 1):
                tile = ty * columns + tx
                members[filled[tile]] = i
                filled[tile] += 1
    return starts, members


@compiled
def exp_near_zero(power):
    """Approximate exp on −6…0 to 2e-6 of its value, in arithmetic that compiles to vectors.

    exp(x) = exp(x/8)⁸, and on −0.75…0 the Taylor series around −0.375 needs six terms.
    """
    d = power * np.float32(1 / 8) + np.float32(0.375)
    p = np.float32(1 / 720)
    p = p * d + np.float32(1 / 120)
    p = p * d + np.float32(1 / 24)
    p = p * d + np.float32(1 / 6)
    p = p * d + np.float32(1 / 2)
    p = p * d + np.float32(1)
    p = p * d + np.float32(1)
    p = p * np.float32(0.6872892787909722)  # exp(−0.375)
    p = p * p
    p = p * p
    return p * p


@compiled
def tile_is_finished(transmittance):
    """Whether nothing behind can be seen through any pixel of a tile."""
    most = np.float32(0)
    for y in range(TILE):
        for x in range(TILE):
            most = max(most, transmittance[y, x])
    return most < np.float32(MIN_TRANSMITTANCE)


@compiled
def _raster(first_tile, end, splats, starts, members, background, color, alpha, depth):
    """Blend front to back, some tiles of the picture."""
    height, width = alpha.shape
    columns = (width + TILE - 1) // TILE
    half, one = np.float32(0.5), np.float32(1)
    for tile in range(first_tile, end):
        left, top = (tile % columns) * TILE, (tile // columns) * TILE
        rows, inside = min(TILE, height - top), min(TILE, width - left)
        transmittance = np.ones((TILE, TILE), np.float32)
        blended = np.zeros((TILE, 4, TILE), np.float32)  # per row: red, green, blue, distance
        transmittance[rows:], transmittance[:, inside:] = 0, 0
        for j in range(starts[tile], starts[tile + 1]):
            if (j - starts[tile]) % CHECK_EVERY == 0 and tile_is_finished(transmittance):
                break
            s = splats[members[j]]
            u, v = s[U] - np.float32(left), s[V] - np.float32(top)
            a, b, c, opacity, distance = s[CONIC_A], s[CONIC_B], s[CONIC_C], s[OPACITY], s[DEPTH]
            red, green, blue, least = s[RED], s[GREEN], s[BLUE], s[LEAST]
            first = math.floor(max(v - s[RADIUS_Y], np.float32(0)))
            last = min(rows - 1, math.floor(min(v + s[RADIUS_Y], np.float32(TILE))))
            for y in range(first, last + 1):
                dy = np.float32(y) + half - v
                row, through = blended[y], transmittance[y]
                # Whole rows without a branch become vector instructions: three times as fast as
                # visiting only the pixels inside the ellipse.
                for x in range(TILE):
                    dx = np.float32(x) + half - u
                    power = -half * (a * dx * dx + c * dy * dy) - b * dx * dy
                    weight = opacity * exp_near_zero(max(power, np.float32(-6)))
                    visible = weight >= least
                    visible &= through[x] >= np.float32(MIN_TRANSMITTANCE)
                    weight = min(np.float32(MAX_ALPHA), weight) if visible else np.float32(0)
                    share = weight * through[x]
                    row[0, x] += share * red
                    row[1, x] += share * green
                    row[2, x] += share * blue
                    row[3, x] += share * distance
                    through[x] *= one - weight
        for y in range(rows):
            for x in range(inside):
                through = transmittance[y, x]
                coverage = one - through
                for channel in range(3):
                    value = blended[y, channel, x] + through * background[channel]
                    color[top + y, left + x, channel] = min(max(value, np.float32(0)), one)
                alpha[top + y, left + x] = coverage
                if coverage > 0:
                    depth[top + y, left + x] = blended[y, 3, x] / coverage
