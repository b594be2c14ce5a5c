"""Decode structured latents into the per-voxel features that FlexiCubes turns into a mesh.

Two blocks split every voxel into eight, twice. Most memory goes into the finest level (64 voxels
for one that came in), so nothing there is copied that can be looked up, and norms and the last
layer go through the rows in chunks.

Shape letters in this file: N voxels, C channels, G groups of channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.sparse import SparseTensor, SubmanifoldConv, Voxels
from scenelift.models.slat.latent_torso import LatentTorso, TorsoParams

__all__ = [
    "MESH_CHANNELS",
    "MeshDecoder",
    "MeshDecoderParams",
    "SubdivideBlock",
    "VoxelGroupNorm",
    "VoxelLinear",
]

# 8 corners × (distance, 3 of deformation, 6 of colour and normal) + 21 weights of the extraction.
MESH_CHANNELS = 101

_CHILDREN = 8
_CHUNK_ROWS = 1 << 18


@dataclass(frozen=True, kw_only=True)
class MeshDecoderParams:
    """Sizes of the decoder; the defaults are the published model's.

    Attributes:
        torso: sizes of the transformer.
        upsampled: channels after each splitting of the voxels.
    """

    torso: TorsoParams = field(default_factory=TorsoParams)
    upsampled: tuple[int, ...] = (192, 96)

    @classmethod
    def from_state_dict(
        cls, tensors: Mapping[str, Tensor], *, heads: int = 12, window: int = 8
    ) -> MeshDecoderParams:
        """Sizes of the decoder that a state dict belongs to."""
        levels = {name.split(".")[1] for name in tensors if name.startswith("upsample.")}
        return cls(
            torso=TorsoParams.from_state_dict(tensors, heads=heads, window=window),
            upsampled=tuple(
                len(tensors[f"upsample.{level}.skip_connection.conv.weight"])
                for level in sorted(levels, key=int)
            ),
        )


class VoxelGroupNorm(nn.Module):
    """Group norm over all voxels of an object and the channels of a group, followed by SiLU.

    Statistics and values are float32, whatever the type that is stored.
    """

    def __init__(self, channels: int, groups: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"channels {channels} must be a multiple of groups {groups}")
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.groups, self.eps = groups, eps

    def forward(self, x: Tensor, *, inplace: bool = False) -> Tensor:  # [N, C] -> [N, C]
        # Two passes, for a variance that is not the difference of two large numbers.
        chunks = x.split(_CHUNK_ROWS)
        size = x.numel() / self.groups
        mean = self._by_group([chunk.float().sum(0) for chunk in chunks]) / size  # [C]
        var = self._by_group([(c.float() - mean).square().sum(0) for c in chunks]) / size  # [C]
        gain = self.weight.float() / (var + self.eps).sqrt()
        shift = self.bias.float() - mean * gain
        out = x if inplace else torch.zeros_like(x)
        for chunk, target in zip(chunks, out.split(_CHUNK_ROWS), strict=True):
            target.copy_(F.silu(torch.addcmul(shift, chunk.float(), gain)))
        return out

    def _by_group(self, sums: list[Tensor]) -> Tensor:  # each [C] -> [C]
        """Sum over chunks and over the channels of a group, repeated for its channels."""
        by_channel = torch.stack(sums).sum(0).view(self.groups, -1)
        return by_channel.sum(1, keepdim=True).expand_as(by_channel).flatten()


class VoxelLinear(nn.Module):
    """The published 1×1×1 convolution: a linear layer that reads its weights in another order.

    They are stored as [C_out, 1, 1, 1, C_in], and the library they were trained with takes that
    memory as [C_in, C_out]: a new view of the buffer, not its transpose.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Module()
        self.conv.weight = nn.Parameter(torch.zeros(out_channels, 1, 1, 1, channels))
        self.conv.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:  # [N, C_in] -> [N, C_out]
        weight, bias = self.conv.get_parameter("weight"), self.conv.get_parameter("bias")
        return F.linear(x, weight.reshape(x.shape[1], -1).T, bias)


class SubdivideBlock(nn.Module):
    """Split every voxel into eight, then two convolutions with a skip."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.act_layers = nn.Sequential(VoxelGroupNorm(channels))
        self.out_layers = nn.Sequential(
            SubmanifoldConv(channels, out_channels),
            VoxelGroupNorm(out_channels),
            nn.Identity(),  # holds the place of the activation, so that names agree
            SubmanifoldConv(out_channels, out_channels),
        )
        self.skip_connection = VoxelLinear(channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:  # N voxels, C -> 8 N voxels, C'
        first, norm, _, second = self.out_layers
        assert isinstance(first, SubmanifoldConv)
        voxels = x.voxels.subdivide()
        h = first.on_children(self.act_layers(x.feats), x.voxels.neighbours)
        h = second(norm(h, inplace=True), voxels.neighbours)
        h.view(len(x.feats), _CHILDREN, -1).add_(self.skip_connection(x.feats)[:, None])
        return SparseTensor(h, voxels)


class MeshDecoder(LatentTorso):
    """A transformer, two subdivisions, and a linear layer at four times the resolution."""

    def __init__(self, params: MeshDecoderParams) -> None:
        super().__init__(params.torso)
        self.params = params
        widths = (params.torso.width, *params.upsampled)
        self.upsample = nn.ModuleList(
            SubdivideBlock(c_in, c_out) for c_in, c_out in pairwise(widths)
        )
        self.out_layer = nn.Linear(widths[-1], MESH_CHANNELS)

    def forward(self, latent: SparseTensor) -> SparseTensor:
        """Features float32 [64 N, 101] on voxels of four times the resolution."""
        x = SparseTensor(self.attend(latent), latent.voxels)
        for block in self.upsample:
            x = block(x)
        raw = torch.zeros(len(x.feats), MESH_CHANNELS, device=x.feats.device)
        for rows, target in zip(x.feats.split(_CHUNK_ROWS), raw.split(_CHUNK_ROWS), strict=True):
            target.copy_(self.out_layer(rows.to(self.out_layer.weight.dtype)))
        # The same voxels without their tables, which nobody needs any more.
        return SparseTensor(raw, Voxels(x.voxels.coords, x.voxels.resolution))
