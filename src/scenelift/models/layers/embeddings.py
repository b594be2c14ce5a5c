"""Sine and cosine embeddings of positions and of time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TimestepEmbedder", "absolute_position_embedding"]


def absolute_position_embedding(
    coords: Tensor,  # [N, 3] grid coordinates
    width: int,
) -> Tensor:  # [N, width] float32
    """Embed each axis in turn as sines, then cosines; channels left over are zero."""
    frequencies = width // 6
    exponents = torch.arange(frequencies, dtype=torch.float32, device=coords.device) / frequencies
    angles = coords.float()[:, :, None] * 10000.0**-exponents  # [N, 3, f]
    waves = torch.cat([angles.sin(), angles.cos()], -1).flatten(1)  # [N, 6 f]
    return F.pad(waves, (0, width - waves.shape[1]))


class TimestepEmbedder(nn.Module):
    """Embed a scalar, such as the time of a flow or the size of its step."""

    def __init__(self, width: int, frequency_width: int = 256) -> None:
        super().__init__()
        self.frequency_width = frequency_width
        self.mlp = nn.Sequential(
            nn.Linear(frequency_width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor) -> Tensor:  # [B] -> [B, D]
        half = self.frequency_width // 2
        # exp(), not a power: at t near 1000 the two differ by 1e-5 in float32.
        j = torch.arange(half, dtype=torch.float32, device=t.device)
        angles = t.float()[:, None] * torch.exp(-math.log(10000.0) * j / half)
        waves = torch.cat([angles.cos(), angles.sin()], -1)
        return self.mlp(waves.to(next(self.mlp.parameters()).dtype))
