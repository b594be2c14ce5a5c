"""Stage 1: the flow that turns noise into an object's coarse shape.

Shape letters in this file: B batch, L tokens (a cube's cells), D width, S condition tokens,
C width of the condition.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scenelift.models.layers.blocks import FlowBlocks, FlowContext, FlowTransformer
from scenelift.models.layers.embeddings import TimestepEmbedder
from scenelift.models.slat.structure_flow import LatentMapping, StructureFlowParams

__all__ = ["StructureFlow", "structure_noise", "tokens_from_cube"]


class StructureFlow(FlowTransformer, LatentMapping):
    """Velocity of the shape's latent at a time, under a condition.

    Time runs from the data (0) to the noise (1), and velocities point to the noise: the sampler
    is told by `SamplingParams.toward_noise`.
    """

    varying_tokens = False

    def __init__(self, params: StructureFlowParams) -> None:
        super().__init__(params.shape_channels, params.resolution**3, params.block.width)
        self.params = params
        self.t_embedder = TimestepEmbedder(params.block.width)
        self.blocks = FlowBlocks(params.block, params.blocks)

    def forward(
        self,
        latent: Tensor,  # [B, L, 8], cell (x, y, z) at (x · side + y) · side + z
        time: Tensor,  # [B]
        context: FlowContext | None,  # None: a condition of zeros
    ) -> Tensor:  # [B, L, 8]
        e = self.t_embedder(time * self.params.time_scale).to(self.compute_dtype)
        h = self.blocks(self.embed(latent).to(self.compute_dtype), e, context)
        return self.read(h.to(latent.dtype))


def structure_noise(
    params: StructureFlowParams, generator: torch.Generator, batch: int = 1
) -> Tensor:  # [B, L, 8]
    """Draw standard normal noise on the generator's device, channels first as published."""
    side = params.resolution
    shape = (batch, params.shape_channels, side, side, side)
    return tokens_from_cube(torch.randn(shape, generator=generator, device=generator.device))


def tokens_from_cube(cube: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, X·Y·Z, C]
    """The inverse of `cube_from_tokens`."""
    return cube.flatten(2).transpose(1, 2)
