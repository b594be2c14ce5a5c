"""What both versions of MoGe are built from.

Shape letters in this file: B batch, C channels, h, w feature rows and columns.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Norm", "ResidualBlock", "conv", "remapped", "view_plane", "with_view_plane"]

Norm = Literal["layer_norm", "group_norm", "none"]

_GROUP = 32  # channels of a group


def view_plane(height: int, width: int, aspect: float, like: Tensor) -> Tensor:  # [2, h, w]
    """Place pixel centres on a plane whose diagonal from centre to corner is 1; u right, v down."""
    diagonal = math.hypot(aspect, 1.0)
    u, v = (
        torch.linspace(-1, 1, n, dtype=torch.float32, device=like.device) * (span * (n - 1) / n)
        for n, span in ((width, aspect / diagonal), (height, 1 / diagonal))
    )
    return torch.stack([u.expand(height, width), v[:, None].expand(height, width)])


def with_view_plane(x: Tensor, aspect: float) -> Tensor:  # [B, C, h, w] -> [B, C + 2, h, w]
    """Append to features the place of each on the view plane."""
    plane = view_plane(x.shape[-2], x.shape[-1], aspect, x).to(x.dtype)
    return torch.cat([x, plane.expand(len(x), -1, -1, -1)], 1)


def remapped(points: Tensor) -> Tensor:  # [..., 3]
    """Convert a head's output, x / z, y / z and ln z, to points."""
    xy, log_z = points.split([2, 1], -1)
    z = log_z.exp()
    return torch.cat([xy * z, z], -1)


def conv(channels: int, out_channels: int, kernel: int = 3) -> nn.Conv2d:
    """Build a convolution that keeps the size; the border's values continue beyond it."""
    return nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, padding_mode="replicate")


class ResidualBlock(nn.Module):
    """Two convolutions, each after an optional norm and a ReLU, added to the input."""

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        in_norm: Norm = "layer_norm",
        hidden_norm: Norm = "group_norm",
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _norm(in_norm, channels),
            nn.ReLU(),
            conv(channels, hidden),
            _norm(hidden_norm, hidden),
            nn.ReLU(),
            conv(hidden, channels),
        )

    def forward(self, x: Tensor) -> Tensor:  # [B, C, h, w]
        return x + self.layers(x)


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.GroupNorm(1 if kind == "layer_norm" else max(channels // _GROUP, 1), channels)
