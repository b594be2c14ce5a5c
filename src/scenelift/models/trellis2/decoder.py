"""Decodes latents on coarse voxels to values on voxels sixteen times as fine: half a sparse U-Net.

After the blocks of each level a voxel is split into those of its eight children that live: the
shape's decoder decides which, and the texture's is given the same decisions, so that both end on
the same voxels.

Shape letters in this file: N voxels, M of their children that live, C channels of a level, K of
the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.sparse import SparseTensor, VoxelConv, Voxels

__all__ = ["DecodedVoxels", "VoxelDecoder", "VoxelDecoderParams"]

_CHILDREN = 8


@dataclass(frozen=True, kw_only=True)
class VoxelDecoderParams:
    """Sizes of a decoder; the defaults are the published shape decoder's.

    Attributes:
        channels: of each level, coarse to fine.
        blocks: ConvNeXt blocks of each level.
        latent_channels: of what comes in.
        out_channels: of what goes out.
        decides: whether it says which children live; else it is told.
    """

    channels: tuple[int, ...] = (1024, 512, 256, 128, 64)
    blocks: tuple[int, ...] = (4, 16, 8, 4, 0)
    latent_channels: int = 32
    out_channels: int = 7
    decides: bool = True

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> VoxelDecoderParams:
        """Sizes of the network that a state dict belongs to."""
        splits = {  # of each level but the last: number of the block that splits voxels, its width
            int(level): (int(index), tensors[name].shape[0])
            for name in tensors
            if name.startswith("blocks.") and name.endswith(".conv2.bias")
            for _, level, index, *_ in [name.split(".")]
        }
        last = len(splits)
        finest = [n.split(".")[2] for n in tensors if n.startswith(f"blocks.{last}.")]
        first, out = tensors["from_latent.weight"], tensors["output_layer.weight"]
        return cls(
            channels=(first.shape[0], *(splits[level][1] for level in range(last))),
            blocks=(*(splits[level][0] for level in range(last)), len(set(finest))),
            latent_channels=first.shape[1],
            out_channels=out.shape[0],
            decides=f"blocks.0.{splits[0][0]}.to_subdiv.weight" in tensors,
        )

    @property
    def finer(self) -> int:
        """How many voxels along a side one of the latent's voxels is split into."""
        return 2 ** (len(self.channels) - 1)


class ConvNeXtBlock(nn.Module):
    """A convolution, a norm and an MLP, added to the input (https://arxiv.org/abs/2201.03545)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm32(channels, affine=True)
        self.conv = VoxelConv(channels, channels)
        self.mlp = nn.Sequential(
            Linear(channels, 4 * channels), nn.SiLU(), Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:  # [N, C] -> [N, C]
        return x + self.mlp(self.norm(self.conv(x, voxels.neighbours)))


class SplittingBlock(nn.Module):
    """Splits voxels into those children that exist, between two convolutions with a skip."""

    def __init__(self, channels: int, out_channels: int, *, decides: bool) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(channels, affine=True)
        self.norm2 = LayerNorm32(out_channels)
        self.conv1 = VoxelConv(channels, _CHILDREN * out_channels)
        self.conv2 = VoxelConv(out_channels, out_channels)
        if decides:
            self.to_subdiv = Linear(channels, _CHILDREN)

    def logits(self, x: Tensor) -> Tensor:  # [N, C] -> [N, 8]
        """Predict which children exist: those with a positive logit."""
        return self.to_subdiv(x)

    def forward(
        self,
        x: Tensor,  # [N, C]
        voxels: Voxels,  # N
        alive: Tensor,  # bool [N, 8]
        children: Voxels,  # M
    ) -> Tensor:  # [M, K]
        h = self.conv1(F.silu(self.norm1(x)), voxels.neighbours)
        h = h.unflatten(1, (_CHILDREN, -1))[alive]  # [M, K]
        h = self.conv2(F.silu(self.norm2(h)), children.neighbours)
        skip = x.unflatten(1, (_CHILDREN, -1))[alive]  # [M, C / 8]
        return h + skip.repeat_interleave(h.shape[1] // skip.shape[1], dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class DecodedVoxels:
    """The output of a decoder.

    Attributes:
        feats: float32 [M, O] on the finest voxels.
        voxels: M.
        logits: [N, 8] of every level, coarse to fine: which children live.
    """

    feats: Tensor
    voxels: Voxels
    logits: Sequence[Tensor]


class VoxelDecoder(nn.Module):
    """The decoder of shape or texture; only the shape's predicts which children exist."""

    def __init__(self, params: VoxelDecoderParams) -> None:
        super().__init__()
        self.params = params
        channels = params.channels
        self.from_latent = nn.Linear(params.latent_channels, channels[0])
        levels: list[nn.Module] = []
        for level, (width, count) in enumerate(zip(channels, params.blocks, strict=True)):
            blocks: list[nn.Module] = [ConvNeXtBlock(width) for _ in range(count)]
            if level + 1 < len(channels):
                following = channels[level + 1]
                blocks.append(SplittingBlock(width, following, decides=params.decides))
            levels.append(nn.ModuleList(blocks))
        self.blocks = nn.ModuleList(levels)
        self.norm = LayerNorm32(channels[-1], eps=1e-5)
        self.output_layer = nn.Linear(channels[-1], params.out_channels)

    def forward(
        self,
        latent: SparseTensor,
        logits: Sequence[Tensor] | None = None,  # of every level; None: it decides itself
    ) -> DecodedVoxels:
        h, voxels = self._first(latent), latent.voxels
        features: list[Tensor] = []
        for level, (plain, split) in enumerate(self._levels()):
            for block in plain:
                h = block(h, voxels)
            if split is None:
                continue
            z = split.logits(h) if logits is None else logits[level]
            features.append(z)
            alive = z > 0
            children = voxels.children(alive)
            h, voxels = split(h, voxels, alive, children), children
        h = self.norm(h.to(self.output_layer.weight.dtype))
        return DecodedVoxels(self.output_layer(h), voxels, features)

    def split(self, latent: SparseTensor, times: int) -> Voxels:
        """Find where the shape's voxels are after some of the splits, without their features."""
        h, voxels = self._first(latent), latent.voxels
        for level, (plain, split) in enumerate(self._levels()):
            if level == times or split is None:
                break
            for block in plain:
                h = block(h, voxels)
            alive = split.logits(h) > 0
            children = voxels.children(alive)
            if level + 1 < times:
                h = split(h, voxels, alive, children)
            voxels = children
        return voxels

    def _first(self, latent: SparseTensor) -> Tensor:  # [N, C]
        inner = next(p.dtype for p in self.blocks.parameters() if p.ndim == 5)
        return self.from_latent(latent.feats.to(self.from_latent.weight.dtype)).to(inner)

    def _levels(self) -> list[tuple[list[ConvNeXtBlock], SplittingBlock | None]]:
        levels = []
        for level in self.blocks:
            assert isinstance(level, nn.ModuleList)
            plain = [block for block in level if isinstance(block, ConvNeXtBlock)]
            splits = [block for block in level if isinstance(block, SplittingBlock)]
            levels.append((plain, splits[0] if splits else None))
        return levels
