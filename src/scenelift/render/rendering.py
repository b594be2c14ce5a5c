"""The result of all rasterisers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rendering", "camera_from_scene"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendering:
    """A picture and what lies behind each of its pixels.

    Attributes:
        color: float32 [H, W, 3], sRGB in 0…1, composited on the background.
        alpha: float32 [H, W] in 0…1, how much of the pixel is covered.
        depth: float32 [H, W], mean distance along the viewing axis of what covers the pixel, in
            scene units; inf where nothing does.
        face_id: int32 [H, W], the face that is seen, −1 where none; None for splats and for
            supersampled pictures.
        barycentric: float32 [H, W, 3], perspective-correct weights of that face's corners, zero
            where there is none; None where `face_id` is.
    """

    color: NDArray[np.float32]
    alpha: NDArray[np.float32]
    depth: NDArray[np.float32]
    face_id: NDArray[np.int32] | None = None
    barycentric: NDArray[np.float32] | None = None

    def pixels(self) -> NDArray[np.uint8]:  # [H, W, 3]
        """Return the picture as 8-bit sRGB."""
        return np.rint(self.color * 255).astype(np.uint8)


def camera_from_scene(scene_from_camera: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Invert a camera's pose [4, 4]; None is the identity."""
    if scene_from_camera is None:
        return np.eye(4)
    return np.linalg.inv(np.asarray(scene_from_camera, np.float64)).astype(np.float64)
