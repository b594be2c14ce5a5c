"""Chooses the renderer for a device: numba on the CPU, torch on everything else."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Camera, Gaussians

if TYPE_CHECKING:
    from scenelift.render.rendering import Rendering

__all__ = ["SplatRenderer", "mesh_renderer", "splat_renderer"]

logger = logging.getLogger(__name__)


class Picture(Protocol):
    def pixels(self) -> NDArray[np.uint8]: ...  # [H, W, 3], 8-bit sRGB


class SplatRenderer(Protocol):
    """Draws the same splats from one camera after another; arguments of `render_splats`."""

    def __call__(
        self,
        camera: Camera,
        scene_from_camera: NDArray[np.float64] | None = None,
        background: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        near: float = 0.01,
    ) -> Picture: ...


def splat_renderer(gaussians: Gaussians, device: str = "cpu") -> SplatRenderer:
    """Make a renderer of these splats on a device, to which they are uploaded once.

    Where they do not fit into a GPU's memory, the CPU draws them.
    """
    if device == "cpu":
        from scenelift.render.splats import render_splats

        return functools.partial(render_splats, gaussians)

    import torch

    from scenelift.render.splats_torch import SplatTensors, draw_splats

    splats = SplatTensors.from_gaussians(gaussians, torch.device(device))

    def draw(
        camera: Camera,
        scene_from_camera: NDArray[np.float64] | None = None,
        background: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        near: float = 0.01,
    ) -> Picture:
        try:
            return draw_splats(splats, camera, scene_from_camera, background, near=near)
        except torch.OutOfMemoryError:
            logger.info("%d splats do not fit into %s: the CPU draws them", len(gaussians), device)
            on_cpu = splat_renderer(gaussians, "cpu")
            return on_cpu(camera, scene_from_camera, background, near=near)

    return draw


def mesh_renderer(device: str = "cpu") -> Callable[..., Rendering]:
    """Return `render_mesh` for a device (`Runtime.device`)."""
    if device == "cpu":
        from scenelift.render.meshes import render_mesh

        return render_mesh

    import torch

    from scenelift.render.meshes_torch import render_mesh_torch

    return functools.partial(render_mesh_torch, device=torch.device(device))
