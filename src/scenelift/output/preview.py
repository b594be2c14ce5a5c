"""Draw the loop around a scene by its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenelift.render.turntable import render_turntable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scenelift.options import ExportOptions
    from scenelift.progress import Reporter
    from scenelift.scene import Scene
    from scenelift.types import Gaussians

__all__ = ["draw_preview"]


def draw_preview(
    scene: Scene, gaussians: Gaussians, options: ExportOptions, report: Reporter
) -> list[NDArray[np.uint8]]:
    """Draw the pictures [H, W, 3] of the loop; see `render_turntable`.

    Args:
        scene: gives photo camera and background.
        gaussians: of its objects, in the scene frame.
        options: path, size and number of frames.
        report: progress; raises Cancelled between frames.
    """
    behind = scene.background
    return render_turntable(
        gaussians,
        scene.camera,
        surroundings=None if behind is None else behind.gaussians,
        report=report,
        frames=options.preview_frames,
        size=options.preview_size,
        path=options.preview_path,
        device=scene.provenance.device,
    )
