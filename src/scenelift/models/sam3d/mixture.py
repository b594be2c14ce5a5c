"""Transformer block of the structure flow: a mixture of two streams with their own weights.

Shape letters in this file: B batch, L shape tokens, P pose tokens, D width, H heads, E channels
of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from scenelift.models.layers.attention import CrossAttention, KeyValue, attend, head_channels
from scenelift.models.layers.blocks import BlockParams, FeedForward, Modulation
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32, MultiHeadRMSNorm

__all__ = ["POSE", "SHAPE", "MixtureBlock", "MixtureContext", "Streams"]

# Names of the streams in the published checkpoints; the pose's is that of its first latent.
SHAPE = "shape"
POSE = "6drotation_normalized"

M = TypeVar("M", bound=nn.Module)


class MixtureContext(NamedTuple):
    """The condition as each stream's cross-attention sees it."""

    shape: KeyValue
    pose: KeyValue


class Streams(nn.ModuleDict, Generic[M]):
    """One module for each stream."""

    def __init__(self, build: Callable[[], M]) -> None:
        super().__init__({SHAPE: build(), POSE: build()})

    @property
    def for_shape(self) -> M:
        return cast(M, self[SHAPE])

    @property
    def for_pose(self) -> M:
        return cast(M, self[POSE])


class MixtureSelfAttention(nn.Module):
    """Shape tokens look at shape tokens; pose tokens look at both.

    The shape is therefore generated as if there were no pose, and the pose fits the shape.
    """

    def __init__(self, width: int, heads: int, *, qk_rms_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qk_rms_norm = qk_rms_norm
        channels = head_channels(width, heads)
        self.to_qkv = Streams(lambda: Linear(width, 3 * width))
        self.to_out = Streams(lambda: Linear(width, width))
        if qk_rms_norm:
            self.q_rms_norm = Streams(lambda: MultiHeadRMSNorm(heads, channels))
            self.k_rms_norm = Streams(lambda: MultiHeadRMSNorm(heads, channels))

    def _project(self, stream: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.to_qkv[stream](x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        if self.qk_rms_norm:
            q, k = self.q_rms_norm[stream](q), self.k_rms_norm[stream](k)
        return q, k, v  # each [B, tokens, H, E]

    def forward(
        self,
        shape: Tensor,  # [B, L, D]
        pose: Tensor,  # [B, P, D]
    ) -> tuple[Tensor, Tensor]:  # [B, L, D], [B, P, D]
        q_shape, k_shape, v_shape = self._project(SHAPE, shape)
        q_pose, k_pose, v_pose = self._project(POSE, pose)
        seen_k, seen_v = torch.cat([k_pose, k_shape], 1), torch.cat([v_pose, v_shape], 1)
        return (
            self.to_out.for_shape(attend(q_shape, k_shape, v_shape)),
            self.to_out.for_pose(attend(q_pose, seen_k, seen_v)),
        )


class MixtureBlock(nn.Module):
    """`FlowBlock` for two streams, which share the modulation and meet in self-attention."""

    def __init__(self, params: BlockParams) -> None:
        super().__init__()
        D, heads = params.width, params.heads
        self.norm1 = LayerNorm32(D)
        self.norm2 = Streams(lambda: LayerNorm32(D, affine=True))
        self.norm3 = LayerNorm32(D)
        self.self_attn = MixtureSelfAttention(D, heads, qk_rms_norm=params.qk_rms_norm)
        self.cross_attn = Streams(lambda: CrossAttention(D, params.condition_width, heads))
        self.mlp = Streams(lambda: FeedForward(D, params.mlp_ratio))
        self.adaLN_modulation = Modulation(D)

    def remember(self, condition: Tensor) -> MixtureContext:  # [B, S, C]
        """Keys and values of the condition, for use at every step."""
        return MixtureContext(
            self.cross_attn.for_shape.remember(condition),
            self.cross_attn.for_pose.remember(condition),
        )

    def forward(
        self,
        shape: Tensor,  # [B, L, D]
        pose: Tensor,  # [B, P, D]
        time: Tensor,  # [B, D]
        context: MixtureContext | None,  # None: a condition of zeros
    ) -> tuple[Tensor, Tensor]:  # [B, L, D], [B, P, D]
        shift1, scale1, gate1, shift3, scale3, gate3 = self.adaLN_modulation(time)

        def first(x: Tensor) -> Tensor:
            return self.norm1(x) * (1 + scale1) + shift1

        seen_shape, seen_pose = self.self_attn(first(shape), first(pose))
        streams = (
            (SHAPE, shape, seen_shape, context.shape if context else None),
            (POSE, pose, seen_pose, context.pose if context else None),
        )
        results = []
        for stream, x, visible, seen_context in streams:
            x = x + gate1 * visible
            x = x + self.cross_attn[stream](self.norm2[stream](x), seen_context)
            h = self.norm3(x) * (1 + scale3) + shift3
            results.append(x + gate3 * self.mlp[stream](h))
        return results[0], results[1]
