"""Stage 1: the flow that turns noise into an object's coarse shape and its pose.

Shape letters in this file: B batch, L shape tokens (a cube's cells), S condition tokens, C width
of the condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scenelift.models.layers.embeddings import TimestepEmbedder
from scenelift.models.sam3d.mixture import MixtureBlock, MixtureContext
from scenelift.models.slat.structure_flow import LatentMapping, StructureFlowParams

__all__ = [
    "LATENT_NAMES",
    "StructureContext",
    "StructureFlow",
    "StructureLatents",
    "structure_noise",
]

# The published names of the latents, in the order of `StructureLatents`.
LATENT_NAMES = ("6drotation_normalized", "scale", "shape", "translation", "translation_scale")

StructureContext = tuple[MixtureContext, ...]
"""The condition as each block sees it."""


class StructureLatents(NamedTuple):
    """State, or velocity, of the flow; fields in the order in which their noise is drawn."""

    rotation: Tensor  # [B, 1, 6]
    scale: Tensor  # [B, 1, 3]
    shape: Tensor  # [B, L, 8], cell (x, y, z) at (x · side + y) · side + z
    translation: Tensor  # [B, 1, 3]
    translation_scale: Tensor  # [B, 1, 1]


class StructureFlow(nn.Module):
    """Velocity of all latents at a time, under a condition."""

    varying_tokens = False

    def __init__(self, params: StructureFlowParams) -> None:
        super().__init__()
        self.params = params
        D = params.block.width
        self.t_embedder = TimestepEmbedder(D)
        self.d_embedder = TimestepEmbedder(D)
        self.blocks = nn.ModuleList(MixtureBlock(params.block) for _ in range(params.blocks))
        shapes = latent_shapes(params)
        self.latent_mapping = nn.ModuleDict(
            {
                name: LatentMapping(channels, tokens, D)
                for name, (tokens, channels) in zip(LATENT_NAMES, shapes, strict=True)
            }
        )

    def remember(self, condition: Tensor) -> StructureContext:  # [B, S, C]
        """Project the condition for all blocks, once for all steps."""
        return tuple(self.block_contexts(condition))

    def block_contexts(self, condition: Tensor) -> Iterator[MixtureContext]:  # [B, S, C]
        """Yield the result of `remember` block by block, because all of it at once is large."""
        for block in self.blocks:
            assert isinstance(block, MixtureBlock)
            yield block.remember(condition)

    def forward(
        self,
        latents: StructureLatents,
        time: Tensor,  # [B] in 0 (noise) … 1 (data)
        context: StructureContext | None,  # None: a condition of zeros
        *,
        step: Tensor | None,  # [B] size of the step, 0 unless distilled; None leaves it out
    ) -> StructureLatents:
        """Velocity of the latents, pointing from noise to data.

        A step size of 0 is not the same as none: its embedding is added too, and the published
        sampler adds it.
        """
        e = self.t_embedder(time * self.params.time_scale)
        if step is not None:
            e = e + self.d_embedder(step * self.params.time_scale)

        mappings = [m for m in self.latent_mapping.values() if isinstance(m, LatentMapping)]
        mapping = dict(zip(StructureLatents._fields, mappings, strict=True))
        shape = mapping["shape"].embed(latents.shape)
        pose_names = ("rotation", "translation", "scale", "translation_scale")
        pose = torch.cat([mapping[n].embed(getattr(latents, n)) for n in pose_names], 1)

        for i, block in enumerate(self.blocks):
            shape, pose = block(shape, pose, e, context[i] if context else None)

        velocity = {n: mapping[n].read(pose[:, i : i + 1]) for i, n in enumerate(pose_names)}
        return StructureLatents(shape=mapping["shape"].read(shape), **velocity)


def latent_shapes(params: StructureFlowParams) -> tuple[tuple[int, int], ...]:
    """Tokens and channels of each latent, in the order of `StructureLatents`."""
    return ((1, 6), (1, 3), (params.resolution**3, params.shape_channels), (1, 3), (1, 1))


def structure_noise(
    params: StructureFlowParams, generator: torch.Generator, batch: int = 1
) -> StructureLatents:
    """Standard normal noise, drawn on the generator's device in the published order."""
    return StructureLatents(
        *(
            torch.randn(batch, tokens, channels, generator=generator, device=generator.device)
            for tokens, channels in latent_shapes(params)
        )
    )
