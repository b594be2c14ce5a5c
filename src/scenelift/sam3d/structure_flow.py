"""Stage 1: the flow that turns noise into an object's coarse shape and its pose.

Shape letters in this file: B batch, L shape tokens (a cube's cells), D width, S condition tokens,
C width of the condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scenelift.layers.blocks import BlockParams
from scenelift.layers.embeddings import TimestepEmbedder
from scenelift.layers.norms import LayerNorm32
from scenelift.sam3d.mixture import MixtureBlock, MixtureContext

__all__ = [
    "LATENT_NAMES",
    "StructureContext",
    "StructureFlow",
    "StructureFlowParams",
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


@dataclass(frozen=True, kw_only=True)
class StructureFlowParams:
    """Sizes of the flow; the defaults are the published model's.

    Attributes:
        block: sizes of a block.
        blocks: how many.
        resolution: cells along a side of the shape's cube.
        shape_channels: channels of a cell.
        time_scale: what a time of 1 is multiplied by before it is embedded.
    """

    block: BlockParams = field(default_factory=BlockParams)
    blocks: int = 24
    resolution: int = 16
    shape_channels: int = 8
    time_scale: float = 1000.0

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> StructureFlowParams:
        """Sizes of the network that a state dict belongs to."""
        width, condition_width = (
            tensors[f"blocks.0.cross_attn.shape.{name}.weight"].shape[1]
            for name in ("to_q", "to_kv")
        )
        hidden = tensors["blocks.0.mlp.shape.mlp.0.weight"].shape[0]
        return cls(
            block=BlockParams(
                width=width,
                heads=tensors["blocks.0.self_attn.q_rms_norm.shape.gamma"].shape[0],
                condition_width=condition_width,
                mlp_ratio=hidden / width,
            ),
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
            resolution=round(tensors["latent_mapping.shape.pos_emb"].shape[0] ** (1 / 3)),
            shape_channels=tensors["latent_mapping.shape.input_layer.weight"].shape[1],
        )


class LatentMapping(nn.Module):
    """Into and out of the transformer for one latent."""

    def __init__(self, channels: int, tokens: int, width: int) -> None:
        super().__init__()
        self.input_layer = nn.Linear(channels, width)
        self.out_layer = nn.Linear(width, channels)
        self.norm = LayerNorm32(width, eps=1e-5)
        # Learned for the pose; for the shape a fixed embedding that the checkpoint holds as well.
        self.pos_emb = nn.Parameter(torch.zeros(tokens, width))

    def embed(self, x: Tensor) -> Tensor:  # [B, tokens, channels] -> [B, tokens, D]
        return self.input_layer(x) + self.pos_emb

    def read(self, h: Tensor) -> Tensor:  # [B, tokens, D] -> [B, tokens, channels]
        return self.out_layer(self.norm(h))


class StructureFlow(nn.Module):
    """Velocity of all latents at a time, under a condition."""

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
        return tuple(block.remember(condition) for block in self._mixture_blocks())

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

        mapping = dict(zip(StructureLatents._fields, self._mappings(), strict=True))
        shape = mapping["shape"].embed(latents.shape)
        pose_names = ("rotation", "translation", "scale", "translation_scale")
        pose = torch.cat([mapping[n].embed(getattr(latents, n)) for n in pose_names], 1)

        for i, block in enumerate(self.blocks):
            shape, pose = block(shape, pose, e, context[i] if context else None)

        velocity = {n: mapping[n].read(pose[:, i : i + 1]) for i, n in enumerate(pose_names)}
        return StructureLatents(shape=mapping["shape"].read(shape), **velocity)

    def _mappings(self) -> list[LatentMapping]:
        return [m for m in self.latent_mapping.values() if isinstance(m, LatentMapping)]

    def _mixture_blocks(self) -> list[MixtureBlock]:
        return [b for b in self.blocks if isinstance(b, MixtureBlock)]


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
