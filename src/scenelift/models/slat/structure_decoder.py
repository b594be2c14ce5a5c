"""Decodes the shape latent into occupied voxels: the structure decoder (and its encoder).

Shape letters in this file: B batch, C channels; the latent's cube is a quarter as long as the
voxel grid's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.norms import ChannelLayerNorm

__all__ = [
    "StructureDecoder",
    "StructureEncoder",
    "StructureVAEParams",
    "cube_from_tokens",
]


@dataclass(frozen=True, kw_only=True)
class StructureVAEParams:
    """Sizes of the decoder, and mirrored of the encoder; defaults are the published model's.

    Attributes:
        channels: of each level, from the latent's cube to the voxel grid.
        latent_channels: of a cell of the latent.
        blocks: residual blocks at each level.
        middle_blocks: residual blocks next to the latent.
    """

    channels: tuple[int, ...] = (512, 128, 32)
    latent_channels: int = 8
    blocks: int = 2
    middle_blocks: int = 2

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> StructureVAEParams:
        """Sizes of the decoder or encoder that a state dict belongs to."""
        convs = {  # of the resampling layers, one between two levels
            int(name.split(".")[1]): tensor.shape
            for name, tensor in tensors.items()
            if name.startswith("blocks.") and name.endswith(".conv.weight")
        }
        # Up-sampling convolutions have a kernel of 3, down-sampling ones of 2.
        decodes = convs[min(convs)][-1] == 3
        first = tensors["input_layer.weight"]
        levels = [first.shape[0]]
        levels += [s[0] // (8 if decodes else 1) for _, s in sorted(convs.items())]
        out = tensors["out_layer.2.weight"]
        return cls(
            channels=tuple(levels if decodes else reversed(levels)),
            latent_channels=first.shape[1] if decodes else out.shape[0] // 2,
            blocks=min(convs),
            middle_blocks=len({n.split(".")[1] for n in tensors if n.startswith("middle_block.")}),
        )


class ResidualBlock(nn.Module):
    """Two 3×3×3 convolutions, each after a norm and a SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm2 = ChannelLayerNorm(channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, X, Y, Z]
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Upsample(nn.Module):
    """Splits each cell into eight: a convolution makes their channels, a shuffle places them."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, 8 * out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, C', 2 X, 2 Y, 2 Z]
        h = self.conv(x).unflatten(1, (-1, 2, 2, 2))  # [B, C', i, j, k, X, Y, Z]
        h = h.permute(0, 1, 5, 2, 6, 3, 7, 4)
        return h.flatten(6, 7).flatten(4, 5).flatten(2, 3)


class Downsample(nn.Module):
    """Merges eight cells into one."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, C', X/2, Y/2, Z/2]
        return self.conv(x)


def _levels(
    channels: tuple[int, ...], blocks: int, resample: type[Upsample] | type[Downsample]
) -> nn.ModuleList:
    layers: list[nn.Module] = []
    for here, following in zip(channels, (*channels[1:], None), strict=True):
        layers += [ResidualBlock(here) for _ in range(blocks)]
        if following is not None:
            layers.append(resample(here, following))
    return nn.ModuleList(layers)


def _head(channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        ChannelLayerNorm(channels), nn.SiLU(), nn.Conv3d(channels, out_channels, 3, padding=1)
    )


class StructureDecoder(nn.Module):
    """Logits of occupancy; a voxel is occupied where its logit is positive."""

    def __init__(self, params: StructureVAEParams) -> None:
        super().__init__()
        self.params = params
        channels = params.channels
        self.input_layer = nn.Conv3d(params.latent_channels, channels[0], 3, padding=1)
        self.middle_block = nn.Sequential(
            *(ResidualBlock(channels[0]) for _ in range(params.middle_blocks))
        )
        self.blocks = _levels(channels, params.blocks, Upsample)
        self.out_layer = _head(channels[-1], 1)

    def forward(self, cube: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, 1, 4 X, 4 Y, 4 Z] float32
        # The published file holds the convolutions in between in half precision.
        inner = next(p.dtype for p in self.blocks.parameters() if p.ndim == 5)
        h = self.middle_block(self.input_layer(cube).to(inner))
        for block in self.blocks:
            h = block(h)
        return self.out_layer(h.to(cube.dtype)).float()


class StructureEncoder(nn.Module):
    """Mean and log-variance of the latent of an occupancy grid; not used to reconstruct."""

    def __init__(self, params: StructureVAEParams) -> None:
        super().__init__()
        channels = tuple(reversed(params.channels))
        self.input_layer = nn.Conv3d(1, channels[0], 3, padding=1)
        self.blocks = _levels(channels, params.blocks, Downsample)
        self.middle_block = nn.Sequential(
            *(ResidualBlock(channels[-1]) for _ in range(params.middle_blocks))
        )
        self.out_layer = _head(channels[-1], 2 * params.latent_channels)

    def forward(self, grid: Tensor) -> tuple[Tensor, Tensor]:  # [B, 1, X, Y, Z] -> 2 × [B, C, …]
        h = self.input_layer(grid)
        for block in self.blocks:
            h = block(h)
        mean, log_variance = self.out_layer(self.middle_block(h)).float().chunk(2, dim=1)
        return mean, log_variance


def cube_from_tokens(tokens: Tensor) -> Tensor:  # [B, side³, C] -> [B, C, side, side, side]
    """Arrange the shape latent as a cube with axes x, y, z."""
    side = round(tokens.shape[1] ** (1 / 3))
    return tokens.transpose(1, 2).unflatten(2, (side, side, side))
