"""Attention of the flow transformers and decoders.

Shape letters in this file: B batch, L tokens, S condition tokens, H heads, E channels of a head,
D = H · E width, C width of the condition.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import MultiHeadRMSNorm
from scenelift.models.layers.rotary import Rotation, turn_neighbours

__all__ = [
    "CrossAttention",
    "KeyValue",
    "PixelAttention",
    "PixelCondition",
    "PixelContext",
    "SelfAttention",
    "attend",
    "head_channels",
]


_FEW_QUERIES = 16
_SPLITTING = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class KeyValue(NamedTuple):
    """Keys and values of a condition; they depend on no time step, so a sampler keeps them."""

    keys: Tensor  # [B, S, H, E]
    values: Tensor  # [B, S, H, E]


def head_channels(width: int, heads: int) -> int:
    """Channels of one head."""
    if width % heads:
        raise ValueError(f"width {width} must be a multiple of heads {heads}")
    return width // heads


def attend(
    q: Tensor,  # [B, L, H, E]
    k: Tensor,  # [B, S, H, E]
    v: Tensor,  # [B, S, H, E]
) -> Tensor:  # [B, L, H·E]
    """Compute softmax attention with scale 1/√E."""
    # On GPUs PyTorch prefers cuDNN, which gives a few queries one multiprocessor a head; the
    # others split the keys among many.
    few = q.is_cuda and q.shape[1] <= _FEW_QUERIES
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    with sdpa_kernel(_SPLITTING) if few else nullcontext():
        out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Full self-attention, optionally with RMS-normalised queries and keys."""

    def __init__(self, width: int, heads: int, *, qk_rms_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        channels = head_channels(width, heads)
        self.to_qkv = Linear(width, 3 * width)
        self.to_out = Linear(width, width)
        if qk_rms_norm:
            self.q_rms_norm = MultiHeadRMSNorm(heads, channels)
            self.k_rms_norm = MultiHeadRMSNorm(heads, channels)
        self.qk_rms_norm = qk_rms_norm

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # [..., D] -> 3 × [..., H, E]
        """Compute queries, keys and values, normalised where the layer does so."""
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        if self.qk_rms_norm:
            q, k = self.q_rms_norm(q), self.k_rms_norm(k)
        return q, k, v

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        rotation: Rotation | None = None,  # of L positions; None where they were added to x
    ) -> Tensor:  # [B, L, D]
        q, k, v = self.project(x)
        if rotation is not None:
            q, k = turn_neighbours(q, rotation), turn_neighbours(k, rotation)
        return self.to_out(attend(q, k, v))


class CrossAttention(nn.Module):
    """Attention to condition tokens, whose keys and values are projected once by `remember`.

    Queries and keys are RMS-normalised where the layer is told to.
    """

    def __init__(
        self, width: int, condition_width: int, heads: int, *, qk_rms_norm: bool = False
    ) -> None:
        super().__init__()
        self.heads = heads
        channels = head_channels(width, heads)
        self.to_q = Linear(width, width)
        self.to_kv = Linear(condition_width, 2 * width)
        self.to_out = Linear(width, width)
        if qk_rms_norm:
            self.q_rms_norm = MultiHeadRMSNorm(heads, channels)
            self.k_rms_norm = MultiHeadRMSNorm(heads, channels)
        self.qk_rms_norm = qk_rms_norm

    def remember(self, condition: Tensor) -> KeyValue:  # [B, S, C]
        """Project the condition, for use at every step."""
        keys, values = self.to_kv(condition).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        return KeyValue(self.k_rms_norm(keys) if self.qk_rms_norm else keys, values)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        context: KeyValue | None,  # of B conditions, or of one for all
    ) -> Tensor:  # [B, L, D], or [D] without a context
        """Attend to the context; None stands for a condition of zeros, of any length.

        Queries see keys and not each other, so those of a batch that shares its condition are one
        long row: no copies of the keys, and one larger product.

        With zero tokens all keys are equal (normalised or not) and all values are the bias, so
        whatever the weights of the softmax, its result is that bias: one vector for all tokens.
        """
        if context is None:
            return self.to_out(self.to_kv.bias.chunk(2)[1])
        q = self.to_q(x).unflatten(-1, (self.heads, -1))
        if self.qk_rms_norm:
            q = self.q_rms_norm(q)
        rows = q.reshape(len(context.keys), -1, *q.shape[2:])  # [B, L, H, E] or [1, B·L, H, E]
        return self.to_out(attend(rows, context.keys, context.values).view(x.shape))


class PixelCondition(NamedTuple):
    """A condition with features of its own for every token, beside tokens that all look at."""

    tokens: Tensor  # [1, S, C]
    pixels: Tensor  # [1, L, P]


class PixelContext(NamedTuple):
    """What one layer computes from a `PixelCondition`, once for all steps."""

    tokens: KeyValue
    pixels: Tensor  # [1, L, P]


class PixelAttention(nn.Module):
    """Cross-attention, plus a projection of the pixel that each token was lifted from (Pixal3D)."""

    def __init__(
        self,
        width: int,
        condition_width: int,
        heads: int,
        *,
        pixel_width: int,
        qk_rms_norm: bool = False,
    ) -> None:
        super().__init__()
        self.cross_attn_block = CrossAttention(
            width, condition_width, heads, qk_rms_norm=qk_rms_norm
        )
        self.proj_linear = Linear(pixel_width, width)

    def remember(self, condition: PixelCondition) -> PixelContext:
        """Project the tokens, and leave the pixels as they are.

        Projected, they would take each layer's share of memory, and projecting them is a hundredth
        of a step's work.
        """
        return PixelContext(self.cross_attn_block.remember(condition.tokens), condition.pixels)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        context: PixelContext | None,
    ) -> Tensor:  # [B, L, D], or [D] without a context
        """Attend to the context; None stands for tokens and pixels of zeros."""
        if context is None:
            return self.cross_attn_block(x, None) + self.proj_linear.bias
        return self.cross_attn_block(x, context.tokens) + self.proj_linear(context.pixels)
