"""The flow transformer of all three stages: tokens keep their places, none are merged or added.

The first stage's tokens are the cells of a cube, the others' the voxels of an object. A token's
place turns its queries and keys (`layers.rotary`); what the time says is computed once for all
blocks, to which each adds a vector of its own.

Shape letters in this file: B batch, L tokens, D width, S condition tokens, C width of the
condition, I channels in, O channels out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from scenelift.models.layers.attention import head_channels
from scenelift.models.layers.blocks import BlockParams, FlowBlocks, FlowContext, FlowTransformer
from scenelift.models.layers.embeddings import TimestepEmbedder
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.rotary import Rotation, grid_rotation

__all__ = ["VoxelFlow", "VoxelFlowParams", "cube_cells"]


def _published_block() -> BlockParams:
    return BlockParams(
        width=1536,
        heads=12,
        condition_width=1024,
        mlp_ratio=8192 / 1536,
        qk_rms_norm_cross=True,
        shared_modulation=True,
    )


@dataclass(frozen=True, kw_only=True)
class VoxelFlowParams:
    """Sizes of the flow; the defaults are those of the published shape flows.

    Attributes:
        block: sizes of a block.
        blocks: how many.
        in_channels: of a noisy token and what stands beside it.
        out_channels: of a velocity.
        time_scale: what a time of 1 is multiplied by before it is embedded.
    """

    block: BlockParams = field(default_factory=_published_block)
    blocks: int = 30
    in_channels: int = 32
    out_channels: int = 32
    time_scale: float = 1000.0

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> VoxelFlowParams:
        """Sizes of the network that a state dict belongs to."""
        pixels = tensors.get("blocks.0.cross_attn.proj_linear.weight")
        cross = "blocks.0.cross_attn." + ("" if pixels is None else "cross_attn_block.")
        width, condition_width = (
            tensors[f"{cross}{name}.weight"].shape[1] for name in ("to_q", "to_kv")
        )
        return cls(
            block=BlockParams(
                width=width,
                heads=tensors["blocks.0.self_attn.q_rms_norm.gamma"].shape[0],
                condition_width=condition_width,
                mlp_ratio=tensors["blocks.0.mlp.mlp.0.weight"].shape[0] / width,
                qk_rms_norm_cross=f"{cross}q_rms_norm.gamma" in tensors,
                shared_modulation=True,
                pixel_width=None if pixels is None else pixels.shape[1],
            ),
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
            in_channels=tensors["input_layer.weight"].shape[1],
            out_channels=tensors["out_layer.weight"].shape[0],
        )


class _SharedModulation(nn.Sequential):
    """Shifts, scales and gates of all blocks, from the time embedding."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.SiLU(), nn.Linear(width, 6 * width))


class VoxelFlow(FlowTransformer):
    """Velocity of noisy tokens at a time, under a condition.

    Time runs from the data (0) to the noise (1), and velocities point to the noise, as in TRELLIS.
    """

    def __init__(self, params: VoxelFlowParams, *, varying_tokens: bool = True) -> None:
        """Build the network without weights.

        Args:
            params: its sizes.
            varying_tokens: whether their number differs from object to object.
        """
        super().__init__()
        self.params = params
        self.varying_tokens = varying_tokens
        D = params.block.width
        self.t_embedder = TimestepEmbedder(D)
        self.adaLN_modulation = _SharedModulation(D)
        self.input_layer = nn.Linear(params.in_channels, D)
        self.blocks = FlowBlocks(params.block, params.blocks)
        self.out_norm = LayerNorm32(D, eps=1e-5)
        self.out_layer = nn.Linear(D, params.out_channels)

    def rotation(self, cells: Tensor) -> Rotation:  # [L, 3]
        """Compute the angles of tokens in these cells, once for all steps."""
        block = self.params.block
        return grid_rotation(cells, head_channels(block.width, block.heads))

    def forward(
        self,
        tokens: Tensor,  # [B, L, I]
        time: Tensor,  # [B]
        rotation: Rotation,  # of L cells
        context: FlowContext | None,  # None: a condition of zeros
    ) -> Tensor:  # [B, L, O], in the type of the tokens
        exact = self.input_layer.weight.dtype
        e = self.t_embedder(time * self.params.time_scale)
        modulation = self.adaLN_modulation(e).to(self.compute_dtype)  # [B, 6 D]
        h = self.input_layer(tokens.to(exact)).to(self.compute_dtype)
        h = self.blocks(h, modulation, context, rotation)
        return self.out_layer(self.out_norm(h.to(exact))).to(tokens.dtype)


def cube_cells(side: int, device: torch.device | None = None) -> Tensor:  # int64 [side³, 3]
    """Cells of a cube in the order of the first stage's tokens: z runs fastest."""
    steps = torch.arange(side, device=device)
    return torch.cartesian_prod(steps, steps, steps)
