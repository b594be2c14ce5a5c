"""What the decoders of structured latents share: a transformer with attention in windows.

Shape letters in this file: N voxels, C latent channels, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scenelift.models.layers.blocks import TransformerBlock
from scenelift.models.layers.embeddings import absolute_position_embedding
from scenelift.models.layers.sparse import SparseTensor
from scenelift.models.layers.windowed_attention import WindowedSelfAttention, Windows

__all__ = ["LatentTorso", "TorsoParams"]


@dataclass(frozen=True, kw_only=True)
class TorsoParams:
    """Sizes of a decoder's transformer; the defaults are the published models'.

    Attributes:
        latent_channels: channels of a structured latent.
        width: channels of the voxel stream.
        blocks: transformer blocks.
        heads: attention heads.
        mlp_ratio: hidden channels of the MLP, over width.
        window: cells along an axis of an attention window; every other block's windows are
            shifted by half of it.
    """

    latent_channels: int = 8
    width: int = 768
    blocks: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    window: int = 8

    @classmethod
    def from_state_dict(
        cls, tensors: Mapping[str, Tensor], *, heads: int = 12, window: int = 8
    ) -> TorsoParams:
        """Sizes of the transformer that a state dict belongs to; two leave no trace in it."""
        width, latent_channels = tensors["input_layer.weight"].shape
        return cls(
            latent_channels=latent_channels,
            width=width,
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
            heads=heads,
            mlp_ratio=tensors["blocks.0.mlp.mlp.0.weight"].shape[0] / width,
            window=window,
        )


class LatentTorso(nn.Module):
    """Base of the decoders: lifts latents to the stream's width and lets voxels attend."""

    def __init__(self, params: TorsoParams) -> None:
        super().__init__()
        self.window = params.window
        D = params.width
        self.input_layer = nn.Linear(params.latent_channels, D)
        self.blocks = nn.ModuleList(
            TransformerBlock(D, WindowedSelfAttention(D, params.heads), params.mlp_ratio)
            for _ in range(params.blocks)
        )

    @property
    def compute_dtype(self) -> torch.dtype:
        """The type of the residual stream: that of the blocks, even where the ends differ."""
        return next(self.blocks.parameters()).dtype

    def attend(self, latent: SparseTensor) -> Tensor:  # [N, C] -> [N, D]
        """Return the voxel stream after the last block, in `compute_dtype`."""
        voxels = latent.voxels
        h = self.input_layer(latent.feats.to(self.input_layer.weight.dtype))
        h = h + absolute_position_embedding(voxels.coords[:, 1:], h.shape[1])
        h = h.to(self.compute_dtype)
        windows = [Windows.of(voxels, self.window, shift) for shift in (0, self.window // 2)]
        for index, block in enumerate(self.blocks):
            h = block(h, windows[index % 2])
        return h
