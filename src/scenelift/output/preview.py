"""Make the loop around a scene by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenelift.compose.surfels import surfels_of
from scenelift.geometry.transforms import join_gaussians, transform_gaussians
from scenelift.render.turntable import Loop
from scenelift.types import Gaussians, SceneObject

if TYPE_CHECKING:
    from scenelift.options import ExportOptions
    from scenelift.scene import Scene

__all__ = ["preview_of"]

POINTS = 50_000  # of an object that has a mesh alone
GREY = 0.8  # of one without colours


def preview_of(scene: Scene, gaussians: Gaussians, options: ExportOptions) -> Loop:
    """Make the loop ready to be drawn.

    Objects that have a mesh alone are drawn as splats on it.

    Args:
        scene: gives photo camera and background.
        gaussians: of its objects, in the scene frame.
        options: path, size and number of frames.
    """
    behind = scene.background
    meshes = [o for o in scene.objects if not o.shape.gaussians and o.shape.mesh is not None]
    if meshes:
        gaussians = join_gaussians([gaussians, *map(_on_mesh, meshes)])
    return Loop.of(
        gaussians,
        scene.camera,
        surroundings=None if behind is None else behind.gaussians,
        frames=options.preview_frames,
        size=options.preview_size,
        path=options.preview_path,
        device=scene.provenance.device,
    )


def _on_mesh(o: SceneObject) -> Gaussians:
    """Cover an object's mesh with splats, in the scene frame."""
    surfels = surfels_of(o.shape, POINTS)
    count = len(surfels.points)
    colors = np.full((count, 3), GREY) if surfels.colors is None else surfels.colors
    splats = Gaussians(
        means=surfels.points.astype(np.float32),
        scales=np.full((count, 3), surfels.spacing, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        opacities=np.full(count, 0.95, np.float32),
        sh0=Gaussians.sh0_of(colors),
    )
    return transform_gaussians(splats, o.pose)
