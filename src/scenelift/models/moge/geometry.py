"""Turns the outputs of MoGe-2's network into a camera and points in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scenelift.models.moge.focal import focal_in_pixels, recover_focal_and_shift
from scenelift.models.moge.metric import MoGeOutput
from scenelift.types import Camera

__all__ = ["MoGeGeometry", "geometry_of"]

_SURE = 0.5  # above it, a pixel's mask says that there is a point


@dataclass(frozen=True, kw_only=True, eq=False)
class MoGeGeometry:
    """One picture's surface. Float32 on the CPU; x right, y down, z forward.

    Attributes:
        points: [H, W, 3], infinite where there is none.
        depth: [H, W], their z.
        normal: [H, W, 3], unit, 0 where there is none; or None.
        mask: bool [H, W], where there are points.
        focal: in half diagonals of the picture.
        metric: a unit is a metre.
    """

    points: Tensor
    depth: Tensor
    normal: Tensor | None
    mask: Tensor
    focal: float
    metric: bool


def geometry_of(
    output: MoGeOutput, *, focal: float | None = None, project: bool = True
) -> MoGeGeometry:
    """Solve for the camera, and scale to metres where the network estimates the scale.

    Args:
        output: of one picture.
        focal: in half diagonals of the picture, where it is known.
        project: put points exactly on their pixels' rays.
    """
    points = output.points[0].float().cpu().clone()
    mask = output.mask[0].cpu() > _SURE
    focal, shift = recover_focal_and_shift(points, mask, focal)
    points[..., 2] += shift
    mask &= points[..., 2] > 0
    depth = points[..., 2].clone()
    if project:
        points = _on_rays(depth, focal)
    if output.scale is not None:
        metres = float(output.scale[0])
        points, depth = points * metres, depth * metres
    normal = None
    if output.normal is not None:
        normal = torch.where(mask[..., None], output.normal[0].float().cpu(), 0)
    return MoGeGeometry(
        points=torch.where(mask[..., None], points, torch.inf),
        depth=torch.where(mask, depth, torch.inf),
        normal=normal,
        mask=mask,
        focal=focal,
        metric=output.scale is not None,
    )


def _on_rays(depth: Tensor, focal: float) -> Tensor:  # [H, W] -> [H, W, 3]
    height, width = depth.shape
    f = focal_in_pixels(focal, height, width)
    camera = Camera(fx=f, fy=f, cx=width / 2, cy=height / 2, width=width, height=height)
    upright = camera.unproject(depth.numpy())  # x right, y up, z backward
    return torch.from_numpy(upright * np.array([1, -1, -1], np.float32))
