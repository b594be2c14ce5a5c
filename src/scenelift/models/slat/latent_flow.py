"""Stage 2: the flow whose velocities turn noise on voxels into structured latents.

Voxels are merged 2×2×2 before the transformer and split after it, so that full attention stays
affordable; skip connections carry what is lost in between.

Shape letters in this file: N voxels, M voxels of the half-resolution grid, C latent channels,
D width, E width of the time embedding, S condition tokens, W their width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.blocks import BlockParams, FlowBlocks, FlowContext, FlowTransformer
from scenelift.models.layers.embeddings import TimestepEmbedder, absolute_position_embedding
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.sparse import SubmanifoldConv, Voxels

__all__ = ["LatentFlow", "LatentFlowParams", "SparseResBlock", "latent_noise"]


@dataclass(frozen=True, kw_only=True)
class LatentFlowParams:
    """Sizes of the flow; the defaults are the published model's.

    Attributes:
        block: sizes of a transformer block.
        blocks: how many.
        latent_channels: channels of a structured latent.
        io_channels: channels at full resolution.
        io_blocks: residual blocks on either side of the transformer, the resampling one included.
        time_scale: what a time of 1 is multiplied by before it is embedded.
    """

    block: BlockParams = field(default_factory=BlockParams)
    blocks: int = 24
    latent_channels: int = 8
    io_channels: int = 128
    io_blocks: int = 2
    time_scale: float = 1000.0

    def __post_init__(self) -> None:
        if self.io_blocks < 1 or self.blocks < 1:
            raise ValueError(
                f"blocks and io_blocks must be at least 1, got {self.blocks} and {self.io_blocks}"
            )

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> LatentFlowParams:
        """Sizes of the network that a state dict belongs to."""
        width, condition_width = (
            tensors[f"blocks.0.cross_attn.{name}.weight"].shape[1] for name in ("to_q", "to_kv")
        )
        io_channels, latent_channels = tensors["input_layer.weight"].shape
        return cls(
            block=BlockParams(
                width=width,
                heads=tensors["blocks.0.self_attn.q_rms_norm.gamma"].shape[0],
                condition_width=condition_width,
                mlp_ratio=tensors["blocks.0.mlp.mlp.0.weight"].shape[0] / width,
            ),
            blocks=_count(tensors, "blocks."),
            latent_channels=latent_channels,
            io_channels=io_channels,
            io_blocks=_count(tensors, "input_blocks."),
        )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Modules in the list that a prefix names."""
    return len({name.split(".")[1] for name in tensors if name.startswith(prefix)})


class SparseResBlock(nn.Module):
    """Two convolutions with a skip; the time embedding scales and shifts between them."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        time_width: int,
        *,
        resample: Literal["down", "up"] | None = None,
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = LayerNorm32(channels, affine=True)
        self.norm2 = LayerNorm32(out_channels)
        self.conv1 = SubmanifoldConv(channels, out_channels)
        self.conv2 = SubmanifoldConv(out_channels, out_channels)
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(time_width, 2 * out_channels))
        self.skip_connection = (
            nn.Identity() if channels == out_channels else Linear(channels, out_channels)
        )

    def forward(
        self,
        x: Tensor,  # [N, channels], or [M, channels] before "up"
        time: Tensor,  # [1, E]
        voxels: Voxels,  # N, the finer of the block's two grids
    ) -> Tensor:  # [N, out_channels], or [M, out_channels] after "down"
        if self.resample == "down":
            x, voxels = voxels.halved.down(x), voxels.halved.voxels
        elif self.resample == "up":
            x = voxels.halved.up(x)
        scale, shift = self.emb_layers(time).chunk(2, dim=-1)
        h = self.conv1(F.silu(self.norm1(x)), voxels.neighbours)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.conv2(h, voxels.neighbours) + self.skip_connection(x)


class LatentFlow(FlowTransformer):
    """Predict the velocity of noisy latents on the voxels of one object."""

    varying_tokens = True

    def __init__(self, params: LatentFlowParams) -> None:
        super().__init__()
        self.params = params
        C, D, narrow = params.latent_channels, params.block.width, params.io_channels
        plain = params.io_blocks - 1
        self.t_embedder = TimestepEmbedder(D)
        self.input_layer = nn.Linear(C, narrow)
        self.input_blocks = nn.ModuleList(
            [SparseResBlock(narrow, narrow, D) for _ in range(plain)]
            + [SparseResBlock(narrow, D, D, resample="down")]
        )
        self.blocks = FlowBlocks(params.block, params.blocks)
        self.out_blocks = nn.ModuleList(
            [SparseResBlock(2 * D, narrow, D, resample="up")]
            + [SparseResBlock(2 * narrow, narrow, D) for _ in range(plain)]
        )
        self.out_norm = LayerNorm32(narrow, eps=1e-5)
        self.out_layer = nn.Linear(narrow, C)

    def forward(
        self,
        latents: Tensor,  # [N, C]
        time: Tensor,  # [1] in 0 (noise) … 1 (data)
        voxels: Voxels,  # N
        context: FlowContext | None,  # None: a condition of zeros
    ) -> Tensor:  # [N, C], in the type of the latents
        """Velocity of the latents, pointing from noise to data."""
        e = self.t_embedder(time * self.params.time_scale).to(self.compute_dtype)
        h = self.input_layer(latents.to(self.input_layer.weight.dtype)).to(self.compute_dtype)
        skips = []
        for block in self.input_blocks:
            h = block(h, e, voxels)
            skips.append(h)

        cells = voxels.halved.voxels.coords[:, 1:]
        h = h + absolute_position_embedding(cells, h.shape[1]).to(h.dtype)  # [M, D]
        h = self.blocks(h[None], e, context)[0]

        for block in self.out_blocks:
            h = block(torch.cat([h, skips.pop()], 1), e, voxels)
        h = self.out_norm(h.to(self.out_layer.weight.dtype))
        return self.out_layer(h).to(latents.dtype)


def latent_noise(params: LatentFlowParams, count: int, generator: torch.Generator) -> Tensor:
    """Standard normal noise for `count` voxels, [N, C], drawn on the generator's device.

    The published pipeline draws it with a leading batch dimension of 1, which changes no value.
    """
    return torch.randn(
        1, count, params.latent_channels, generator=generator, device=generator.device
    )[0]
