"""Pre-norm block of vision transformers, under the parameter names of timm and DINOv2.

Shape letters in this file: B batch, L tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scenelift.models.layers.attention import attend, head_channels
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32

__all__ = ["VitBlock"]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        head_channels(width, heads)
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return self.proj(attend(q, k, v))


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return self.fc2(self.act(self.fc1(x)))


class _LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return x * self.gamma


class VitBlock(nn.Module):
    """Self-attention, then an MLP, each optionally scaled per channel before it is added."""

    def __init__(self, width: int, heads: int, *, hidden: int, layer_scale: bool) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(width, affine=True)
        self.attn = _Attention(width, heads)
        self.ls1 = _LayerScale(width) if layer_scale else nn.Identity()
        self.norm2 = LayerNorm32(width, affine=True)
        self.mlp = _FeedForward(width, hidden)
        self.ls2 = _LayerScale(width) if layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))
