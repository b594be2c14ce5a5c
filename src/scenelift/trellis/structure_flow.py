"""Stage 1: the flow that turns noise into an object's coarse shape.

Shape letters in this file: B batch, L tokens (a cube's cells), D width, S condition tokens,
C width of the condition.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from scenelift.layers.attention import KeyValue
from scenelift.layers.blocks import FlowBlock
from scenelift.layers.embeddings import TimestepEmbedder
from scenelift.slat.structure_flow import LatentMapping, StructureFlowParams

__all__ = ["StructureContext", "StructureFlow", "structure_noise", "tokens_from_cube"]

StructureContext = tuple[KeyValue, ...]
"""The condition as each block sees it."""


class StructureFlow(LatentMapping):
    """Velocity of the shape's latent at a time, under a condition.

    Time runs from the data (0) to the noise (1), and velocities point to the noise: the sampler
    is told by `SamplingParams.toward_noise`.
    """

    varying_tokens: ClassVar = False

    def __init__(self, params: StructureFlowParams) -> None:
        super().__init__(params.shape_channels, params.resolution**3, params.block.width)
        self.params = params
        self.t_embedder = TimestepEmbedder(params.block.width)
        self.blocks = nn.ModuleList(FlowBlock(params.block) for _ in range(params.blocks))

    @property
    def compute_dtype(self) -> torch.dtype:
        """Type of the residual stream: that of the blocks' matrices."""
        return self._flow_blocks()[0].self_attn.to_qkv.weight.dtype

    def remember(self, condition: Tensor) -> StructureContext:  # [B, S, C]
        """Project the condition for all blocks, once for all steps."""
        condition = condition.to(self.compute_dtype)
        return tuple(block.cross_attn.remember(condition) for block in self._flow_blocks())

    def forward(
        self,
        latent: Tensor,  # [B, L, 8], cell (x, y, z) at (x · side + y) · side + z
        time: Tensor,  # [B]
        context: StructureContext | None,  # None: a condition of zeros
    ) -> Tensor:  # [B, L, 8]
        e = self.t_embedder(time * self.params.time_scale).to(self.compute_dtype)
        h = self.embed(latent).to(self.compute_dtype)
        for index, block in enumerate(self._flow_blocks()):
            h = block(h, e, context[index] if context else None)
        return self.read(h.to(latent.dtype))

    def _flow_blocks(self) -> list[FlowBlock]:
        return [b for b in self.blocks if isinstance(b, FlowBlock)]


def structure_noise(
    params: StructureFlowParams, generator: torch.Generator, batch: int = 1
) -> Tensor:  # [B, L, 8]
    """Standard normal noise, drawn on the generator's device, channels first as published."""
    side = params.resolution
    shape = (batch, params.shape_channels, side, side, side)
    return tokens_from_cube(torch.randn(shape, generator=generator, device=generator.device))


def tokens_from_cube(cube: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, X·Y·Z, C]
    """The inverse of `cube_from_tokens`."""
    return cube.flatten(2).transpose(1, 2)
