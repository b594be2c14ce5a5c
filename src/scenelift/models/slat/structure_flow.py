"""What the two models' first flows share: their sizes, and the layers at either end for a latent.

SAM 3D Objects has added a second stream of tokens for the pose (`sam3d.structure_flow`); TRELLIS
has the shape's alone (`trellis.structure_flow`).

Shape letters in this file: B batch, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.norms import LayerNorm32

__all__ = ["LatentMapping", "StructureFlowParams"]


@dataclass(frozen=True, kw_only=True)
class StructureFlowParams:
    """Sizes of the flow; the defaults are those of both published models.

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
    def from_state_dict(
        cls, tensors: Mapping[str, Tensor], *, stream: str = "", ends: str = ""
    ) -> StructureFlowParams:
        """Sizes of the network that a state dict belongs to.

        Args:
            tensors: all of them.
            stream: what a block's modules for the shape are called inside it, with a dot.
            ends: prefix of the shape's first and last layer.
        """
        width, condition_width = (
            tensors[f"blocks.0.cross_attn.{stream}{name}.weight"].shape[1]
            for name in ("to_q", "to_kv")
        )
        hidden = tensors[f"blocks.0.mlp.{stream}mlp.0.weight"].shape[0]
        return cls(
            block=BlockParams(
                width=width,
                heads=tensors[f"blocks.0.self_attn.q_rms_norm.{stream}gamma"].shape[0],
                condition_width=condition_width,
                mlp_ratio=hidden / width,
            ),
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
            resolution=round(tensors[f"{ends}pos_emb"].shape[0] ** (1 / 3)),
            shape_channels=tensors[f"{ends}input_layer.weight"].shape[1],
        )


class LatentMapping(nn.Module):
    """The layers that carry one latent into the transformer and out of it."""

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
