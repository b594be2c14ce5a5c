"""Chooses the renderer for a device: numba on the CPU, torch on everything else."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from scenelift.device import clear_device
from scenelift.geometry.transforms import concatenate_gaussians
from scenelift.types import Camera, Gaussians

if TYPE_CHECKING:
    from scenelift.render.rendering import Rendering
    from scenelift.render.splats_torch import SplatTensors

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


def splat_renderer(
    gaussians: Gaussians, device: str = "cpu", *, surroundings: Gaussians | None = None
) -> SplatRenderer:
    """Make a renderer of these splats on a device, to which they are uploaded once.

    Where they do not fit beside a GPU's networks, these leave, once; where they do not fit even so,
    the CPU draws them, and all further pictures too.

    Args:
        gaussians: what is drawn.
        device: `Runtime.device`.
        surroundings: more splats of the same scene.
    """
    groups = [gaussians] if surroundings is None else [gaussians, surroundings]
    return _on_cpu(groups) if device == "cpu" else _DeviceRenderer(groups, device)


def _on_cpu(groups: Sequence[Gaussians]) -> SplatRenderer:
    from scenelift.render.splats import render_splats

    return functools.partial(render_splats, concatenate_gaussians(groups))


class _DeviceRenderer:
    """Draws on a torch device for as long as there is room."""

    def __init__(self, groups: Sequence[Gaussians], device: str) -> None:
        self._groups, self._device = groups, device
        self._splats: SplatTensors | None = None
        self._on_cpu: SplatRenderer | None = None
        self._cleared = False

    def __call__(
        self,
        camera: Camera,
        scene_from_camera: NDArray[np.float64] | None = None,
        background: Sequence[float] = (1.0, 1.0, 1.0),
        *,
        near: float = 0.01,
    ) -> Picture:
        import torch

        from scenelift.render.splats_torch import SplatTensors, draw_splats

        device = torch.device(self._device)
        while self._on_cpu is None:
            try:
                if self._splats is None:
                    self._splats = SplatTensors.from_several(self._groups, device)
                return draw_splats(self._splats, camera, scene_from_camera, background, near=near)
            except torch.OutOfMemoryError:
                pass  # the handler is left first: the error's frames hold what is to be freed
            if self._cleared:
                self._splats = None
                count = sum(map(len, self._groups))
                logger.info("%d splats do not fit into %s: the CPU draws them", count, device)
                self._on_cpu = _on_cpu(self._groups)
            else:
                self._cleared = True
                clear_device(device)
        return self._on_cpu(camera, scene_from_camera, background, near=near)


def mesh_renderer(device: str = "cpu") -> Callable[..., Rendering]:
    """Return `render_mesh` for a device (`Runtime.device`)."""
    if device == "cpu":
        from scenelift.render.meshes import render_mesh

        return render_mesh

    import torch

    from scenelift.render.meshes_torch import render_mesh_torch

    return functools.partial(render_mesh_torch, device=torch.device(device))
