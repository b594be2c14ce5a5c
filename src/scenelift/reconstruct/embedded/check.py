"""How well a solid fits the photo: drawn from the photo's camera and compared with the mask."""

from __future__ import annotations

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from scenelift.render.splats import render_splats
from scenelift.types import Camera, Gaussians

__all__ = ["silhouette_iou"]

# Longest side of the picture that is drawn: enough for two digits, in a few hundredths of a second.
SIDE = 512


def silhouette_iou(splats: Gaussians, mask: NDArray[np.bool_], camera: Camera) -> float:
    """Compute intersection over union of the splats' silhouette and the mask.

    Args:
        splats: in the camera frame.
        mask: bool [H, W] of the photo.
        camera: the photo's camera.
    """
    shrink = min(1.0, SIDE / max(mask.shape))
    width, height = (max(1, round(side * shrink)) for side in (camera.width, camera.height))
    picture = PIL.Image.fromarray(mask).resize((width, height), PIL.Image.Resampling.NEAREST)
    expected = np.asarray(picture)
    drawing = render_splats(splats, camera.resized(width, height)).alpha > 0.5
    either = np.count_nonzero(drawing | expected)
    return np.count_nonzero(drawing & expected) / either if either else 1.0
