"""Normalisations, computed in float32 whatever the type of the residual stream."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ChannelLayerNorm", "LayerNorm32", "MultiHeadRMSNorm"]


class LayerNorm32(nn.LayerNorm):
    """Layer norm over the last dimension, computed in float32, returned in the input's type."""

    def __init__(self, width: int, *, affine: bool = False, eps: float = 1e-6) -> None:
        super().__init__(width, eps=eps, elementwise_affine=affine)

    def forward(self, input: Tensor) -> Tensor:
        # Half-precision activations of these models reach the hundreds: their squares overflow.
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        normed = F.layer_norm(input.float(), self.normalized_shape, weight, bias, self.eps)
        return normed.to(input.dtype)


class ChannelLayerNorm(LayerNorm32):
    """Layer norm over the channels of each voxel of [B, C, X, Y, Z]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True, eps=1e-5)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


class MultiHeadRMSNorm(nn.Module):
    """Scale each head's queries (or keys) to length √E · gamma, so that logits stay bounded."""

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(heads, channels))

    def forward(self, x: Tensor) -> Tensor:  # [..., H, E]
        unit = F.normalize(x.float(), dim=-1)
        return (unit * self.gamma.float() * x.shape[-1] ** 0.5).to(x.dtype)
