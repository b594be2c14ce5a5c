"""Remove the splats that matter least to pictures, and measure what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.compose import make_scene
from scenelift.geometry.transforms import take_gaussians
from scenelift.render.contribution import splat_contributions
from scenelift.render.splats import render_splats
from scenelift.render.turntable import View, turntable_cameras
from scenelift.types import Camera, Gaussians, SceneObject

__all__ = ["Pruned", "prune_gaussians", "prune_objects"]

SEEN_VIEWS, UNSEEN_VIEWS, SIDE = 16, 5, 320
# Views from above and from below, besides those at the height of the eyes.
HEIGHTS = (-0.6, 0.0, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pruned:
    """The splats that stay.

    Attributes:
        indices: indices of the splats that stay, ascending.
        psnr: dB of pictures without the others against pictures with all, from views that had no
            part in the choice; infinite where they are the same.
    """

    indices: NDArray[np.int64]
    psnr: float


def prune_gaussians(gaussians: Gaussians, most: int) -> Pruned:
    """Choose which splats stay: those with the largest share of pictures around the scene.

    Args:
        gaussians: of a scene or an object.
        most: how many may stay, ≥ 1.
    """
    if most < 1:
        raise ValueError(f"at least one splat must stay, got most={most}")
    if len(gaussians) <= most:
        return Pruned(indices=np.arange(len(gaussians)), psnr=math.inf)
    share = splat_contributions(gaussians, _views(gaussians, SEEN_VIEWS), near=1e-4)
    # Among those that no view shows, larger and denser ones first.
    ties = gaussians.opacities * gaussians.scales.astype(np.float64).prod(1)
    indices = np.sort(np.lexsort((-ties, -share))[:most])
    fewer = take_gaussians(gaussians, indices)
    errors = []
    for camera, pose in _views(gaussians, UNSEEN_VIEWS, turn=0.37):
        whole, pruned = (
            render_splats(g, camera, pose, near=1e-4).color.astype(np.float64)
            for g in (gaussians, fewer)
        )
        errors.append(((whole - pruned) ** 2).mean())
    error = float(np.mean(errors))
    return Pruned(indices=indices, psnr=math.inf if error == 0 else -10 * math.log10(error))


def prune_objects(
    objects: Sequence[SceneObject], most: int
) -> tuple[tuple[SceneObject, ...], Pruned]:
    """Reduce a scene's objects to at most so many splats in all; say which stay at what cost."""
    pruned = prune_gaussians(make_scene(objects), most)
    remaining, first = [], 0
    for o in objects:
        gaussians = o.shape.gaussians
        if gaussians is not None:
            after = first + len(gaussians)
            own = pruned.indices[(pruned.indices >= first) & (pruned.indices < after)] - first
            o = replace(o, shape=replace(o.shape, gaussians=take_gaussians(gaussians, own)))
            first = after
        remaining.append(o)
    return tuple(remaining), pruned


def _views(gaussians: Gaussians, count: int, turn: float = 0.0) -> list[View]:
    """Place cameras all around at three heights; `turn` rotates all of them by so many radians."""
    low, high = np.quantile(gaussians.means, (0.002, 0.998), axis=0)
    centre, reach = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), -1).reshape(-1, 3)
    views = []
    for k in range(count):
        angle = turn + 2 * math.pi * k / count
        height = HEIGHTS[k % len(HEIGHTS)]
        pose = np.eye(4)
        pose[:3, 3] = centre + 3 * reach * np.array([math.sin(angle), height, math.cos(angle)])
        square = Camera.from_fov(SIDE, SIDE, fov_deg=40.0)
        views += turntable_cameras(corners, square, pose, frames=1, size=SIDE)
    return views
