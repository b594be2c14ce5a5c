"""What `render_splats` computes, written for reading: every splat over the whole picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import matrix_from_quaternion, transform_points
from scenelift.render.rendering import Rendering, camera_from_scene
from scenelift.render.splatting import (
    DILATION,
    FRUSTUM_MARGIN,
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
)
from scenelift.types import Camera, Gaussians

__all__ = ["render_splats_reference"]


def render_splats_reference(
    gaussians: Gaussians,
    camera: Camera,
    scene_from_camera: NDArray[np.float64] | None = None,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    *,
    near: float = 0.01,
) -> Rendering:
    """Draw splats; contract of `render_splats`, for finite splats."""
    height, width = camera.height, camera.width
    view = camera_from_scene(scene_from_camera)
    means = transform_points(gaussians.means, view)  # [N, 3], x right, y up, z backward
    distance = -means[:, 2]
    axes = view[:3, :3] @ (  # [N, 3, 3], columns are the axes, as long as the scales
        matrix_from_quaternion(gaussians.rotations) * gaussians.scales[:, None, :]
    )
    v_pixels, u_pixels = np.mgrid[:height, :width] + 0.5
    transmittance = np.ones((height, width))
    blended = np.zeros((height, width, 3))
    weighted_distance = np.zeros((height, width))

    for i in np.argsort(distance.astype(np.float32), kind="stable"):
        z = distance[i]
        if z <= near:
            continue
        # Slopes at which the projection is linearised: x/z and y/z, kept near the picture.
        margin_x = FRUSTUM_MARGIN * width / camera.fx / 2
        margin_y = FRUSTUM_MARGIN * height / camera.fy / 2
        slope_x = np.clip(
            means[i, 0] / z,
            -camera.cx / camera.fx - margin_x,
            (width - camera.cx) / camera.fx + margin_x,
        )
        slope_y = np.clip(
            means[i, 1] / z,
            -(height - camera.cy) / camera.fy - margin_y,
            camera.cy / camera.fy + margin_y,
        )
        # d(u, v) / d(x, y, z): v grows downwards, z backwards.
        jacobian = (
            np.array([[camera.fx, 0, camera.fx * slope_x], [0, -camera.fy, -camera.fy * slope_y]])
            / z
        )
        screen_axes = jacobian @ axes[i]  # [2, 3]
        covariance = screen_axes @ screen_axes.T
        dilated = covariance + DILATION * np.eye(2)
        shrink = np.sqrt(max(0.0, np.linalg.det(covariance)) / np.linalg.det(dilated))

        offset = np.stack([u_pixels, v_pixels], -1) - camera.project(means[i])  # [H, W, 2]
        square = np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(dilated), offset)
        several = max(1.0, float(gaussians.opacities[i]))
        each = gaussians.opacities[i] / several * shrink * np.exp(-square / 2)
        weight = np.minimum(MAX_ALPHA, several * each)
        weight[(each < MIN_ALPHA) | (transmittance < MIN_TRANSMITTANCE)] = 0

        blended += (weight * transmittance)[..., None] * gaussians.rgb[i]
        weighted_distance += weight * transmittance * z
        transmittance *= 1 - weight

    alpha = 1 - transmittance
    color = blended + transmittance[..., None] * np.asarray(background, np.float64)
    depth = np.full((height, width), np.inf)
    np.divide(weighted_distance, alpha, out=depth, where=alpha > 0)
    return Rendering(
        color=np.clip(color, 0, 1).astype(np.float32),
        alpha=alpha.astype(np.float32),
        depth=depth.astype(np.float32),
    )
