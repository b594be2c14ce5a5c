"""The network of MoGe v1: a vision transformer and a convolutional head.

Shape letters in this file: B batch, C channels, H, W image rows and columns, h, w feature rows
and columns.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.dino import IMAGENET_MEAN, IMAGENET_STD, DinoParams, VisionTransformer
from scenelift.models.moge.parts import ResidualBlock, conv, remapped, with_view_plane
from scenelift.weights.state_dicts import under_prefix

__all__ = ["MoGe", "MoGeParams"]


@dataclass(frozen=True, kw_only=True)
class MoGeParams:
    """Sizes of the network; the defaults are those of the published moge-vitl.

    Attributes:
        backbone: sizes of the transformer.
        layers: how many of its last blocks the head reads.
        projection: channels that each of them is projected to.
        upsampling: channels after each doubling of the resolution.
        hidden_ratio: hidden channels of a residual block, over its channels.
        residual_blocks: after each doubling.
        last_channels: of the output blocks' hidden layer.
        last_kernel: of their last convolution.
    """

    backbone: DinoParams = field(default_factory=lambda: DinoParams(registers=0))
    layers: int = 4
    projection: int = 512
    upsampling: tuple[int, ...] = (256, 128, 64)
    hidden_ratio: int = 2
    residual_blocks: int = 2
    last_channels: int = 32
    last_kernel: int = 1

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> MoGeParams:
        """Sizes of the network that a state dict belongs to."""

        def count(prefix: str) -> int:
            return len({n.split(".")[0] for n in under_prefix(tensors, prefix)})

        stages = range(count("head.upsample_blocks."))
        widths = tuple(tensors[f"head.upsample_blocks.{i}.0.0.weight"].shape[1] for i in stages)
        hidden = tensors["head.upsample_blocks.0.1.layers.2.weight"].shape[0]
        last = tensors["head.output_block.0.2.weight"]
        return cls(
            backbone=DinoParams.from_state_dict(under_prefix(tensors, "backbone.")),
            layers=count("head.projects."),
            projection=tensors["head.projects.0.weight"].shape[0],
            upsampling=widths,
            hidden_ratio=hidden // widths[0],
            residual_blocks=count("head.upsample_blocks.0.") - 1,
            last_channels=last.shape[1],
            last_kernel=last.shape[-1],
        )


class _Head(nn.Module):
    """Computes points and mask from the transformer's last layers."""

    def __init__(self, params: MoGeParams) -> None:
        super().__init__()
        self.projects = nn.ModuleList(
            nn.Conv2d(params.backbone.width, params.projection, 1) for _ in range(params.layers)
        )
        widths = (params.projection, *params.upsampling)
        self.upsample_blocks = nn.ModuleList(
            nn.Sequential(
                nn.Sequential(nn.ConvTranspose2d(c + 2, out, 2, stride=2), conv(out, out)),
                *(
                    ResidualBlock(out, params.hidden_ratio * out)
                    for _ in range(params.residual_blocks)
                ),
            )
            for c, out in itertools.pairwise(widths)
        )
        self.output_block = nn.ModuleList(
            nn.Sequential(
                conv(widths[-1] + 2, params.last_channels),
                nn.ReLU(),
                conv(params.last_channels, channels, params.last_kernel),
            )
            for channels in (3, 1)
        )

    def forward(
        self,
        features: Sequence[Tensor],  # each [B, C, h, w]
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:  # [B, 3, *size], [B, 1, *size]
        aspect = size[1] / size[0]
        x = torch.stack(
            [project(f) for project, f in zip(self.projects, features, strict=True)]
        ).sum(0)
        for block in self.upsample_blocks:
            x = block(with_view_plane(x, aspect))
        x = F.interpolate(x, size, mode="bilinear", align_corners=False)
        x = with_view_plane(x, aspect)
        points, mask = (block(x) for block in self.output_block)
        return points, mask


class MoGe(nn.Module):
    """Estimates points up to a scale and a shift along the viewing axis, and their mask."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, params: MoGeParams) -> None:
        super().__init__()
        self.params = params
        self.backbone = VisionTransformer(params.backbone)
        self.head = _Head(params)
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN)[None, :, None, None])
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD)[None, :, None, None])

    def forward(
        self,
        image: Tensor,  # [B, 3, H, W] float32 in 0…1
        tokens: int,
    ) -> tuple[Tensor, Tensor]:
        """Estimate points.

        Args:
            image: of any size.
            tokens: about how many patches the transformer is to see.

        Returns:
            Points, float32 [B, H, W, 3]: x right, y down, z forward. Mask, float32 [B, H, W]: a
            point is one where it exceeds a half.
        """
        height, width = image.shape[-2:]
        patch = self.params.backbone.patch
        ratio = math.sqrt(tokens * patch**2 / (height * width))
        size = int(height * ratio), int(width * ratio)
        x = F.interpolate(image, size, mode="bicubic", align_corners=False, antialias=True)
        x = (x - self.image_mean) / self.image_std
        whole_patches = size[0] // patch * patch, size[1] // patch * patch
        resized = F.interpolate(
            x, whole_patches, mode="bilinear", align_corners=False, antialias=True
        )
        blocks = self.params.backbone.blocks
        tapped = self.backbone.tokens_after(resized, range(blocks - self.params.layers, blocks))
        features = [patches for patches, _ in tapped]
        points, mask = (
            F.interpolate(t.float(), (height, width), mode="bilinear", align_corners=False)
            for t in self.head(features, size)
        )
        return remapped(points.movedim(1, -1)), mask[:, 0]
