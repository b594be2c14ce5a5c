"""What a focal length that the photo tells in its EXIF data is used for.

MoGe estimates a focal length of its own. The photo's is better as a camera, but moves the points,
and a reconstructor that was trained on MoGe's own points (SAM 3D Objects) has never seen such ones.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from scenelift.models.moge.focal import focal_in_half_diagonals, focal_in_pixels
from scenelift.types import Camera, Image

__all__ = ["ExifFocal", "centred_camera", "used_focal"]

ExifFocal: TypeAlias = Literal["camera", "everything", "nothing"]
"""What the focal length serves. "camera": the scene's camera, while reconstructors are conditioned
on the network's own points. "everything": their points too. "nothing": it is ignored, as the
published code of SAM 3D ignores it."""


def used_focal(image: Image, use: ExifFocal) -> float | None:
    """Focal length that the camera is to have, in half diagonals of the photo, or None."""
    if use == "nothing" or not image.focal_px:
        return None
    return focal_in_half_diagonals(image.focal_px, image.height, image.width)


def centred_camera(image: Image, focal: float) -> Camera:
    """Camera of a focal length in half diagonals, that looks at the photo's middle."""
    f = focal_in_pixels(focal, image.height, image.width)
    return Camera(
        fx=f,
        fy=f,
        cx=image.width / 2,
        cy=image.height / 2,
        width=image.width,
        height=image.height,
    )
