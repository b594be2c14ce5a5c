"""Tokens of a point map.

Shape letters in this file: B batch, D width, g windows along a side, p pixels along a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.vit import VitBlock

__all__ = ["PointPatchEmbedder", "PointPatchParams"]


@dataclass(frozen=True, kw_only=True)
class PointPatchParams:
    """Sizes of the embedder; the defaults are the published model's.

    Attributes:
        width: channels of a token.
        side: windows along a side of the point map.
        window: pixels along a side of a window.
        heads: attention heads inside a window.
    """

    width: int = 512
    side: int = 32
    window: int = 8
    heads: int = 16

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> PointPatchParams:
        """Sizes of the embedder that a state dict belongs to."""
        return cls(
            width=tensors["cls_token"].shape[-1],
            side=tensors["pos_embed"].shape[-1],
            window=round((tensors["pos_embed_window"].shape[1] - 1) ** 0.5),
        )


class PointPatchEmbedder(nn.Module):
    """Let the points of each window attend to each other, and keep one token for it."""

    def __init__(self, params: PointPatchParams) -> None:
        super().__init__()
        self.params = params
        D, p, g = params.width, params.window, params.side
        self.point_proj = nn.Linear(3, D)
        self.invalid_xyz_token = nn.Parameter(torch.zeros(D))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, 1 + p * p, D))
        self.pos_embed = nn.Parameter(torch.zeros(1, D, g, g))
        self.blocks = nn.ModuleList([VitBlock(D, params.heads, hidden=2 * D, layer_scale=False)])

    def forward(self, points: Tensor) -> Tensor:  # [B, 3, H, W], NaN allowed -> [B, g·g, D]
        g, p = self.params.side, self.params.window
        points = F.interpolate(points, (g * p, g * p), mode="nearest").movedim(1, -1)
        valid = points.isfinite().all(-1, keepdim=True)  # [B, g·p, g·p, 1]
        x = self.point_proj(torch.where(valid, points, 0.0))
        x = torch.where(valid, x, self.invalid_xyz_token.to(x.dtype))

        x = x.unflatten(2, (g, p)).unflatten(1, (g, p)).transpose(2, 3)  # [B, g, g, p, p, D]
        x = x.flatten(3, 4).flatten(0, 2)  # [B·g·g, p·p, D]
        x = torch.cat([self.cls_token.expand(len(x), -1, -1).to(x.dtype), x], 1)
        x = x + self.pos_embed_window
        for block in self.blocks:
            x = block(x)
        windows = x[:, 0].unflatten(0, (-1, g * g))  # [B, g·g, D]
        return windows + self.pos_embed.flatten(2).transpose(1, 2)
