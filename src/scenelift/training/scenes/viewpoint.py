"""Chooses where a photographer would stand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from scenelift.training.scenes.layout import PlacedObject, Plan
from scenelift.training.scenes.raycast import View
from scenelift.types import Camera

__all__ = ["viewpoint"]


def viewpoint(
    plan: Plan,
    objects: Sequence[PlacedObject],
    width: float,
    rng: np.random.Generator,
    size: tuple[int, int],
    *,
    fov: tuple[float, float] = (42, 62),
) -> View | None:
    """Move a camera at a person's height back until every object is in the picture.

    Args:
        width: of the ground in metres.
        size: width and height of the photo in pixels.
        fov: range of the angle that its longer side spans, in degrees.

    Returns:
        None where no place in the room sees all objects.
    """
    camera = Camera.from_fov(*size, fov_deg=rng.uniform(*fov))
    corners = np.concatenate([p.corners() for p in objects])
    target = (corners.min(0) + corners.max(0)) / 2
    azimuth = math.radians(rng.uniform(-28, 28))
    still_life = plan.backdrop == "table"
    pitch = math.radians(rng.uniform(16, 38) if still_life else rng.uniform(6, 22))
    margin = rng.uniform(0.02, 0.06) * size[0]
    back = np.array(
        [
            math.sin(azimuth) * math.cos(pitch),
            math.sin(pitch),
            math.cos(azimuth) * math.cos(pitch),
        ]
    )
    right = np.cross([0, 1, 0], back)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(back, right), back], 1)
    for distance in np.geomspace(0.4, 14, 60):
        eye = target + back * distance
        in_view = (corners - eye) @ rotation
        if (in_view[:, 2] > -0.15).any():
            continue
        u, v = camera.project(in_view).T
        inside = (u > margin) & (u < size[0] - margin) & (v > margin) & (v < size[1] - margin)
        if inside.all():
            break
    else:
        return None
    room = plan.backdrop != "street"
    if room and (eye[1] > 2.3 or abs(eye[0]) > (2.2 if still_life else width / 2) - 0.5):
        return None
    if eye[1] < plan.ground + 0.15:
        return None
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3], world_from_camera[:3, 3] = rotation, eye
    return View(camera=camera, world_from_camera=world_from_camera)
