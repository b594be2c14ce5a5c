"""The network of MoGe-2: points, normals and metres from a photo.

https://arxiv.org/abs/2507.02546. Shape letters in this file: B batch, D width of the transformer,
H, W image rows and columns, h, w rows and columns of patches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.errors import WeightsError
from scenelift.models.layers.dino import IMAGENET_MEAN, IMAGENET_STD, DinoParams, VisionTransformer
from scenelift.models.moge.parts import remapped, view_plane, with_view_plane
from scenelift.models.moge.stack import Stack, StackParams
from scenelift.weights.state_dicts import under_prefix

__all__ = ["FINEST", "MetricMoGe", "MetricMoGeParams", "MoGeOutput"]

FINEST = 9  # of the published levels of resolution, 0…9


@dataclass(frozen=True, kw_only=True)
class MetricMoGeParams:
    """Sizes of the network.

    Attributes:
        backbone: sizes of the transformer.
        taps: the blocks after which the neck reads it.
        projection: channels that what it reads is projected to.
        neck: its pyramid.
        points, mask: pyramids of these heads.
        normal: pyramid of the head of normals; None where there is none.
        scale: widths of the head that knows metres, from the class token's on; None likewise.
        token_range: fewest and most patches that the transformer was trained for.
    """

    backbone: DinoParams
    taps: tuple[int, ...]
    projection: int
    neck: StackParams
    points: StackParams
    mask: StackParams
    normal: StackParams | None
    scale: tuple[int, ...] | None
    token_range: tuple[int, int]

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], *, source: str
    ) -> MetricMoGeParams:
        """Sizes of a published `model_config`; the transformer's are those of its weights.

        Args:
            config: the table.
            tensors: the state dict that belongs to it.
            source: where both come from, for the message.

        Raises:
            WeightsError: a table is missing, or it asks for what no known checkpoint has.
        """

        def stack(name: str) -> StackParams:
            return StackParams.from_config(config[name], source=f"{source}: {name}")

        try:
            encoder = config["encoder"]
            if not str(encoder["backbone"]).startswith("dinov2"):
                raise WeightsError(f"{source}: the backbone {encoder['backbone']!r} is no DINOv2.")
            if config.get("remap_output", "linear") != "exp":
                raise WeightsError(
                    f"{source}: remap_output is {config.get('remap_output')!r}; this code is for "
                    "'exp'."
                )
            backbone = DinoParams.from_state_dict(under_prefix(tensors, "encoder.backbone."))
            taps = encoder["intermediate_layers"]
            if isinstance(taps, int):  # so many of the last
                taps = range(backbone.blocks - taps, backbone.blocks)
            scale = config.get("scale_head")
            fewest, most = config["num_tokens_range"]
            params = cls(
                backbone=backbone,
                taps=tuple(int(tap) for tap in taps),
                projection=int(encoder["dim_out"]),
                neck=stack("neck"),
                points=stack("points_head"),
                mask=stack("mask_head"),
                normal=stack("normal_head") if config.get("normal_head") else None,
                scale=tuple(int(width) for width in scale["dims"]) if scale else None,
                token_range=(int(fewest), int(most)),
            )
        except (KeyError, TypeError, ValueError, IndexError) as exc:
            raise WeightsError(f"{source} holds no MoGe-2: {exc!r} in its model_config.") from exc
        if not params.taps or max(params.taps) >= backbone.blocks or min(params.taps) < 0:
            raise WeightsError(
                f"{source}: the layers {list(params.taps)} are not among the {backbone.blocks} of "
                "its transformer."
            )
        return params

    def tokens(self, level: int = FINEST) -> int:
        """Choose about how many patches the transformer sees, at a level of resolution 0…9."""
        fewest, most = self.token_range
        return int(fewest + level / FINEST * (most - fewest))


@dataclass(frozen=True, kw_only=True, eq=False)
class MoGeOutput:
    """The network's outputs for pictures of one size. Float32; x right, y down, z forward.

    Attributes:
        points: [B, H, W, 3], up to the scale and a shift along z.
        mask: [B, H, W] in 0…1: how sure it is that there is a point.
        normal: [B, H, W, 3], unit; None where the checkpoint has no such head.
        scale: [B], metres in a unit of the points; None likewise.
    """

    points: Tensor
    mask: Tensor
    normal: Tensor | None
    scale: Tensor | None


class _Encoder(nn.Module):
    """Computes the neck's input: the sum of projections of several blocks' patches."""

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, params: MetricMoGeParams) -> None:
        super().__init__()
        self.taps = params.taps
        self.backbone = VisionTransformer(params.backbone)
        self.output_projections = nn.ModuleList(
            nn.Conv2d(params.backbone.width, params.projection, 1) for _ in params.taps
        )
        self.register_buffer("image_mean", torch.tensor(IMAGENET_MEAN)[None, :, None, None])
        self.register_buffer("image_std", torch.tensor(IMAGENET_STD)[None, :, None, None])

    def forward(
        self,
        image: Tensor,  # [B, 3, H, W] float32 in 0…1
        rows: int,
        columns: int,
    ) -> tuple[Tensor, Tensor]:  # [B, C, h, w] and [B, D]
        patch = self.backbone.params.patch
        size = rows * patch, columns * patch
        x = F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
        x = (x - self.image_mean) / self.image_std
        tapped = self.backbone.tokens_after(x, self.taps)
        projected = [
            project(patches)
            for project, (patches, _) in zip(self.output_projections, tapped, strict=True)
        ]
        return torch.stack(projected).sum(0), tapped[-1][1]


class MetricMoGe(nn.Module):
    """Estimates points up to a shift along the viewing axis, normals, and the metres of a unit."""

    def __init__(self, params: MetricMoGeParams) -> None:
        super().__init__()
        self.params = params
        self.encoder = _Encoder(params)
        self.neck = Stack(params.neck)
        self.points_head = Stack(params.points)
        self.mask_head = Stack(params.mask)
        if params.normal is not None:
            self.normal_head = Stack(params.normal)
        if params.scale is not None:
            self.scale_head = _perceptron(params.scale)

    def forward(
        self,
        image: Tensor,  # [B, 3, H, W] float32 in 0…1
        tokens: int,
    ) -> MoGeOutput:
        """Estimate points and what else the checkpoint has heads for.

        Args:
            image: of any size.
            tokens: about how many patches the transformer is to see.
        """
        height, width = image.shape[-2:]
        aspect = width / height
        # Python's round, half to even, as published.
        rows = max(1, round(math.sqrt(tokens / aspect)))
        columns = max(1, round(math.sqrt(tokens * aspect)))
        coarse, class_token = self.encoder(image, rows, columns)
        planes = [
            view_plane(rows << k, columns << k, aspect, coarse)
            .to(coarse.dtype)
            .expand(len(image), -1, -1, -1)
            for k in range(1, len(self.params.neck.widths))
        ]
        features = self.neck([with_view_plane(coarse, aspect), *planes])

        def head(stack: nn.Module) -> Tensor:  # [B, H, W, C]
            finest = stack(features)[-1].float()
            resized = F.interpolate(finest, (height, width), mode="bilinear", align_corners=False)
            return resized.movedim(1, -1)

        has = self.params
        return MoGeOutput(
            points=remapped(head(self.points_head)),
            mask=head(self.mask_head)[..., 0].sigmoid(),
            normal=None if has.normal is None else F.normalize(head(self.normal_head), dim=-1),
            scale=None if has.scale is None else self.scale_head(class_token)[:, 0].float().exp(),
        )


def _perceptron(widths: tuple[int, ...]) -> nn.Sequential:
    """Build linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for i in range(len(widths) - 1):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
