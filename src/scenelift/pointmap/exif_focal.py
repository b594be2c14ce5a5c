"""Decide how to use the focal length in a photo's EXIF data.

MoGe estimates a focal length of its own. The photo's is better as a camera, but moves the points,
and a reconstructor that was trained on MoGe's own points (SAM 3D Objects) has never seen such ones.
"""

from __future__ import annotations

from scenelift.models.moge.focal import focal_in_half_diagonals, focal_in_pixels
from scenelift.options import ExifFocal
from scenelift.types import Camera, Image

__all__ = ["centred_camera", "used_focal"]


def used_focal(image: Image, use: ExifFocal) -> float | None:
    """Return the camera's focal length in half diagonals of the photo, None if unused."""
    if use == "nothing" or not image.focal_px:
        return None
    return focal_in_half_diagonals(image.focal_px, image.height, image.width)


def centred_camera(image: Image, focal: float) -> Camera:
    """Make a camera with a focal length in half diagonals that looks at the photo's middle."""
    f = focal_in_pixels(focal, image.height, image.width)
    return Camera(
        fx=f,
        fy=f,
        cx=image.width / 2,
        cy=image.height / 2,
        width=image.width,
        height=image.height,
    )
