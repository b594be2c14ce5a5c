"""Transformer blocks with one stream of tokens.

Shape letters in this file: B batch, L tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from scenelift.models.layers.attention import (
    CrossAttention,
    KeyValue,
    PixelAttention,
    PixelCondition,
    PixelContext,
    SelfAttention,
    head_channels,
)
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.rotary import Rotation

__all__ = [
    "BlockParams",
    "FeedForward",
    "FlowBlock",
    "FlowBlocks",
    "FlowContext",
    "FlowTransformer",
    "Modulation",
    "TransformerBlock",
]

FlowContext: TypeAlias = tuple[KeyValue | PixelContext, ...]
"""The condition as each block of a flow sees it."""


@dataclass(frozen=True, kw_only=True)
class BlockParams:
    """Sizes of a flow transformer's block.

    Attributes:
        width: channels of the token stream.
        heads: attention heads.
        condition_width: channels of the tokens that cross-attention looks at.
        mlp_ratio: hidden channels of the MLP, over width.
        qk_rms_norm: whether self-attention normalises its queries and keys,
        qk_rms_norm_cross: and cross-attention its.
        shared_modulation: one modulation is computed for all blocks, to which each adds a learned
            vector; else each computes its own.
        pixel_width: channels of the pixel that each token comes with; None where there is none.
    """

    width: int = 1024
    heads: int = 16
    condition_width: int = 1024
    mlp_ratio: float = 4.0
    qk_rms_norm: bool = True
    qk_rms_norm_cross: bool = False
    shared_modulation: bool = False
    pixel_width: int | None = None

    def __post_init__(self) -> None:
        head_channels(self.width, self.heads)


class FeedForward(nn.Module):
    """Two linear layers with a GELU (tanh form) between."""

    def __init__(self, width: int, ratio: float = 4.0) -> None:
        super().__init__()
        hidden = int(width * ratio)
        self.mlp = nn.Sequential(
            Linear(width, hidden), nn.GELU(approximate="tanh"), Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:  # [..., D] -> [..., D]
        return self.mlp(x)


class Modulation(nn.Sequential):
    """Shift, scale and gate for the first and the last step of a block, from the time embedding.

    Adaptive layer norm: https://arxiv.org/abs/2212.09748, section 3.2.
    """

    def __init__(self, width: int) -> None:
        super().__init__(nn.SiLU(), Linear(width, 6 * width))

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:  # [B, D] -> 6 × [B, 1, D]
        return super().forward(input).unsqueeze(1).chunk(6, dim=-1)


class FlowBlock(nn.Module):
    """Let tokens attend to each other, then to the condition, then pass an MLP."""

    def __init__(self, params: BlockParams) -> None:
        super().__init__()
        D = params.width
        self.norm1 = LayerNorm32(D)
        self.norm2 = LayerNorm32(D, affine=True)
        self.norm3 = LayerNorm32(D)
        self.self_attn = SelfAttention(D, params.heads, qk_rms_norm=params.qk_rms_norm)
        self.cross_attn = _cross_attention(params)
        self.mlp = FeedForward(D, params.mlp_ratio)
        self.shared_modulation = params.shared_modulation
        if params.shared_modulation:
            self.modulation = nn.Parameter(torch.zeros(6 * D))
        else:
            self.adaLN_modulation = Modulation(D)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        time: Tensor,  # [B, D], or [B, 6 D] where all blocks share their modulation
        context: KeyValue | PixelContext | None,  # None: a condition of zeros
        rotation: Rotation | None = None,  # of L positions
    ) -> Tensor:  # [B, L, D]
        shift1, scale1, gate1, shift3, scale3, gate3 = self._modulation(time)
        h = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.self_attn(h, rotation)

        # Not modulated: what the condition says does not depend on the time step.
        x = x + self.cross_attn(self.norm2(x), context)

        h = self.norm3(x) * (1 + scale3) + shift3
        return x + gate3 * self.mlp(h)

    def _modulation(self, time: Tensor) -> tuple[Tensor, ...]:  # 6 × [B, 1, D]
        if not self.shared_modulation:
            return self.adaLN_modulation(time)
        # The learned part is float32, and so is the sum, whatever the stream's type.
        return (time + self.modulation).to(time.dtype).unsqueeze(1).chunk(6, dim=-1)


def _cross_attention(params: BlockParams) -> CrossAttention | PixelAttention:
    sizes = params.width, params.condition_width, params.heads
    if params.pixel_width is None:
        return CrossAttention(*sizes, qk_rms_norm=params.qk_rms_norm_cross)
    return PixelAttention(
        *sizes, pixel_width=params.pixel_width, qk_rms_norm=params.qk_rms_norm_cross
    )


class FlowBlocks(nn.ModuleList):
    """The blocks of a flow transformer, one after the other."""

    def __init__(self, params: BlockParams, count: int) -> None:
        super().__init__(FlowBlock(params) for _ in range(count))

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type of the residual stream: that of the blocks' matrices, not of the norms."""
        return self._blocks[0].self_attn.to_qkv.weight.dtype

    def remember(self, condition: Tensor | PixelCondition) -> FlowContext:  # [B, S, C]
        """Project the condition for all blocks, once for all steps."""
        dtype = self.compute_dtype
        if isinstance(condition, PixelCondition):
            condition = PixelCondition(*(part.to(dtype) for part in condition))
        else:
            condition = condition.to(dtype)
        return tuple(_remembered(block.cross_attn, condition) for block in self._blocks)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        time: Tensor,  # [B, D], or [B, 6 D] where the blocks share their modulation
        context: FlowContext | None,  # None: a condition of zeros
        rotation: Rotation | None = None,  # of L positions
    ) -> Tensor:  # [B, L, D]
        for index, block in enumerate(self._blocks):
            x = block(x, time, context[index] if context else None, rotation)
        return x

    @property
    def _blocks(self) -> list[FlowBlock]:
        return [block for block in self if isinstance(block, FlowBlock)]


def _remembered(
    layer: CrossAttention | PixelAttention, condition: Tensor | PixelCondition
) -> KeyValue | PixelContext:
    if isinstance(layer, PixelAttention) and isinstance(condition, PixelCondition):
        return layer.remember(condition)
    if isinstance(layer, CrossAttention) and isinstance(condition, Tensor):
        return layer.remember(condition)
    raise TypeError(f"{type(layer).__name__} cannot attend to a {type(condition).__name__}")


class FlowTransformer(nn.Module):
    """Base of the flows whose `blocks` see one condition.

    Attributes:
        varying_tokens: whether their number differs from object to object.
    """

    varying_tokens: bool
    blocks: FlowBlocks

    @property
    def compute_dtype(self) -> torch.dtype:
        """Type of the residual stream."""
        return self.blocks.compute_dtype

    def remember(self, condition: Tensor | PixelCondition) -> FlowContext:  # [B, S, C]
        """Project the condition for all blocks, once for all steps."""
        return self.blocks.remember(condition)


class TransformerBlock(nn.Module):
    """Pre-norm block without condition or time; attention is given, so it may be windowed."""

    def __init__(self, width: int, attention: nn.Module, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(width)
        self.norm2 = LayerNorm32(width)
        self.attn = attention
        self.mlp = FeedForward(width, mlp_ratio)

    def forward(self, x: Tensor, *attention_arguments: Any) -> Tensor:  # [..., D] -> [..., D]
        x = x + self.attn(self.norm1(x), *attention_arguments)
        return x + self.mlp(self.norm2(x))
