"""Measures how much each splat adds to pictures: the weights of blending, summed over views.

A splat behind others, or too faint to see, has hardly any, whatever its opacity: the measure by
which LightGaussian (https://arxiv.org/abs/2311.17245, section 3.2) leaves splats out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.jit import compiled, spread
from scenelift.render.rendering import camera_from_scene
from scenelift.render.splats import (
    CHECK_EVERY,
    CONIC_A,
    CONIC_B,
    CONIC_C,
    DEPTH,
    LEAST,
    OPACITY,
    RADIUS_Y,
    U,
    V,
    bin_splats,
    exp_near_zero,
    front_to_back,
    project_splats,
    tile_is_finished,
)
from scenelift.render.splatting import MAX_ALPHA, MIN_TRANSMITTANCE, TILE
from scenelift.render.turntable import View
from scenelift.types import Gaussians

__all__ = ["splat_contributions"]


def splat_contributions(
    gaussians: Gaussians, views: Sequence[View], *, near: float = 0.01
) -> NDArray[np.float64]:
    """Measure each splat's share of the pixels of all views, [N], in pixels."""
    total = np.zeros(len(gaussians))
    for camera, scene_from_camera in views:
        splats = project_splats(gaussians, camera, camera_from_scene(scene_from_camera), near)
        order = front_to_back(splats[:, DEPTH])
        starts, members = bin_splats(splats, order, camera.width, camera.height)
        shares = np.zeros(len(members), np.float32)
        size = (camera.width, camera.height)
        spread(_share, len(starts) - 1, splats, starts, members, *size, shares)
        np.add.at(total, members, shares)
    return total


@compiled
def _share(first_tile, end, splats, starts, members, width, height, shares):
    """Compute what every splat adds to each of some tiles, in the order of `members`."""
    columns = (width + TILE - 1) // TILE
    half, one = np.float32(0.5), np.float32(1)
    for tile in range(first_tile, end):
        left, top = (tile % columns) * TILE, (tile // columns) * TILE
        rows, inside = min(TILE, height - top), min(TILE, width - left)
        transmittance = np.ones((TILE, TILE), np.float32)
        transmittance[rows:], transmittance[:, inside:] = 0, 0
        for j in range(starts[tile], starts[tile + 1]):
            if (j - starts[tile]) % CHECK_EVERY == 0 and tile_is_finished(transmittance):
                break
            s = splats[members[j]]
            u, v = s[U] - np.float32(left), s[V] - np.float32(top)
            a, b, c, opacity = s[CONIC_A], s[CONIC_B], s[CONIC_C], s[OPACITY]
            least = s[LEAST]
            first = math.floor(max(v - s[RADIUS_Y], np.float32(0)))
            last = min(rows - 1, math.floor(min(v + s[RADIUS_Y], np.float32(TILE))))
            total = np.float32(0)
            for y in range(first, last + 1):
                dy = np.float32(y) + half - v
                through = transmittance[y]
                for x in range(TILE):
                    dx = np.float32(x) + half - u
                    power = -half * (a * dx * dx + c * dy * dy) - b * dx * dy
                    weight = opacity * exp_near_zero(max(power, np.float32(-6)))
                    visible = weight >= least
                    visible &= through[x] >= np.float32(MIN_TRANSMITTANCE)
                    weight = min(np.float32(MAX_ALPHA), weight) if visible else np.float32(0)
                    total += weight * through[x]
                    through[x] *= one - weight
            shares[j] = total
