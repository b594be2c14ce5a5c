"""The camera of a photo if nobody has estimated it."""

from __future__ import annotations

import math

from scenelift.types import Camera, Image

__all__ = ["FOV_DEG", "default_camera"]

# A phone's main camera sees 65° along its longer side, cropped and shared photos less.
FOV_DEG = 55.0


def default_camera(image: Image) -> Camera:
    """Make a centred camera with the photo's EXIF focal length, else a usual field of view."""
    fov = FOV_DEG
    if image.focal_px:
        fov = math.degrees(2 * math.atan(0.5 * max(image.width, image.height) / image.focal_px))
    return Camera.from_fov(image.width, image.height, fov_deg=fov)
