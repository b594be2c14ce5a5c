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

__all__ = ["CrossAttention", "KeyValue", "SelfAttention", "attend", "head_channels"]


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
    """Softmax attention with scale 1/√E."""
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
        """Queries, keys and values, normalised where the layer does so."""
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        if self.qk_rms_norm:
            q, k = self.q_rms_norm(q), self.k_rms_norm(k)
        return q, k, v

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return self.to_out(attend(*self.project(x)))


class CrossAttention(nn.Module):
    """Attention to condition tokens, whose keys and values are projected once by `remember`."""

    def __init__(self, width: int, condition_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        head_channels(width, heads)
        self.to_q = Linear(width, width)
        self.to_kv = Linear(condition_width, 2 * width)
        self.to_out = Linear(width, width)

    def remember(self, condition: Tensor) -> KeyValue:  # [B, S, C]
        """Project the condition, for use at every step."""
        keys, values = self.to_kv(condition).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        return KeyValue(keys, values)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        context: KeyValue | None,  # of B conditions, or of one for all
    ) -> Tensor:  # [B, L, D], or [D] without a context
        """Attend to the context; None stands for a condition of zeros, of any length.

        Queries see keys and not each other, so those of a batch that shares its condition are one
        long row: no copies of the keys, and one larger product.

        With zero tokens all keys are equal and all values are the bias, so whatever the weights
        of the softmax, its result is that bias: one vector for all tokens.
        """
        if context is None:
            return self.to_out(self.to_kv.bias.chunk(2)[1])
        q = self.to_q(x).unflatten(-1, (self.heads, -1))
        rows = q.reshape(len(context.keys), -1, *q.shape[2:])  # [B, L, H, E] or [1, B·L, H, E]
        return self.to_out(attend(rows, context.keys, context.values).view(x.shape))
