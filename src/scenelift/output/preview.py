"""Make the loop around a scene by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenelift.render.turntable import Loop

if TYPE_CHECKING:
    from scenelift.options import ExportOptions
    from scenelift.scene import Scene
    from scenelift.types import Gaussians

__all__ = ["preview_of"]


def preview_of(scene: Scene, gaussians: Gaussians, options: ExportOptions) -> Loop:
    """Make the loop ready to be drawn.

    Args:
        scene: gives photo camera and background.
        gaussians: of its objects, in the scene frame.
        options: path, size and number of frames.
    """
    behind = scene.background
    return Loop.of(
        gaussians,
        scene.camera,
        surroundings=None if behind is None else behind.gaussians,
        frames=options.preview_frames,
        size=options.preview_size,
        path=options.preview_path,
        device=scene.provenance.device,
    )
