"""Chooses the points that a model is conditioned on, where the scene's camera is another one.

SAM 3D Objects was trained on MoGe's points, seen by the camera that MoGe estimates with them. Where
the photo tells its focal length, the scene has another camera and points on its rays. The model
sees MoGe's, and the pose that it gives is carried over to the scene's camera.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import multiply_quaternions
from scenelift.types import Camera, PointMap, Pose

__all__ = ["conditioning_points", "pose_for_camera"]


def conditioning_points(points: PointMap) -> NDArray[np.float32]:  # [H, W, 3]
    """Return the network's own points, where the photo's focal length moved them."""
    return points.points if points.network_points is None else points.network_points


def pose_for_camera(pose: Pose, mask: NDArray[np.bool_], points: PointMap) -> Pose:
    """Convert a pose among the network's own points to the scene's camera.

    The object is seen at the same pixels, as large and from the same side as before, at the depth
    that the scene's points have under its mask. A pose behind the camera stays as it is.

    Args:
        pose: in front of `points.network_camera`; comes back unchanged where there is none.
        mask: bool [H, W], where the object is seen.
        points: both point maps.
    """
    own_camera, own = points.network_camera, points.network_points
    depth = -pose.translation[2]
    if own_camera is None or own is None or not depth > 0:
        return pose
    depth_change = (own[..., 2] - points.points[..., 2])[mask]  # depths are −z
    depth_change = depth_change[np.isfinite(depth_change)]
    target = depth + (float(np.median(depth_change)) if depth_change.size else 0.0)
    if not target > 0:
        target = depth
    pixel = own_camera.project(np.asarray(pose.translation))
    before, after = _ray(own_camera, pixel), _ray(points.camera, pixel)
    x, y, z = (after * target).tolist()
    w, i, j, k = multiply_quaternions(_turn(before, after), pose.rotation).tolist()
    sign = 1.0 if w >= 0 else -1.0
    return replace(
        pose,
        rotation=(sign * w, sign * i, sign * j, sign * k),
        translation=(x, y, z),
        # As large in the picture, where a size times the focal length is divided by the depth.
        scale=pose.scale * (target / depth) * (own_camera.fx / points.camera.fx),
    )


def _ray(camera: Camera, pixel: NDArray[np.float64]) -> NDArray[np.float64]:  # [2] -> [3]
    """Return the point of depth 1 that is seen at a pixel."""
    u, v = pixel
    return np.array([(u - camera.cx) / camera.fx, -(v - camera.cy) / camera.fy, -1.0])


def _turn(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quaternion w, x, y, z of the least rotation from direction a to direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    q = np.array([1 + a @ b, *np.cross(a, b)])
    return q / np.linalg.norm(q)
