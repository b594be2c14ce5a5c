"""The network of every head: transformer blocks on DINOv2's tokens, then a decoder with the photo.

Shape letters in this file: B batch, h and w patch rows and columns, N = 1 + h·w tokens, E hints.
The photo and the hints come at eight pixels a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.vit import VitBlock
from scenelift.training.backbone import LEVELS, WIDTH
from scenelift.training.points import POINT_HINTS, PointPrompts, any_point

__all__ = ["CELLS", "Head", "HeadParams"]

CELLS = 8
"""Pixels a patch of the photo and hints that a head sees beside the tokens."""


@dataclass(frozen=True, kw_only=True)
class HeadParams:
    """Sizes of a head.

    Attributes:
        hints: channels given beside the photo's three.
        pixels: output channels a pixel.
        globals: output numbers a picture.
        scale: output pixels a patch along a side: 1, 2, 4 or 8.
        blocks, width: of the transformer.
        channels: of the decoder at 2, 4 and 8 pixels a patch; those beyond `scale` are unused.
        points: whether the last hints are points and an earlier mask (`POINT_HINTS`); only with
            `scale` 8.
    """

    hints: int
    pixels: int
    globals: int
    scale: int = 8
    blocks: int = 4
    width: int = WIDTH
    channels: tuple[int, int, int] = (128, 64, 24)
    points: bool = False

    def __post_init__(self) -> None:
        if self.scale not in (2, 4, 8):
            raise ValueError(f"scale must be 2, 4 or 8, got {self.scale}")


class _Residual(nn.Module):
    """Two convolutions beside the identity; starts as the identity, so it needs no norm."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.gelu(self.first(F.gelu(x))))


class Head(nn.Module):
    """Predicts numbers for every pixel and for the whole picture."""

    def __init__(self, params: HeadParams) -> None:
        super().__init__()
        self.params = params
        width, inputs = params.width, 3 + params.hints - POINT_HINTS * params.points
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in LEVELS)
        self.levels = nn.ModuleList(nn.Linear(WIDTH, width) for _ in LEVELS)
        self.patches = nn.Conv2d(inputs, width, CELLS, stride=CELLS)
        self.blocks = nn.ModuleList(
            VitBlock(width, width // 64, hidden=4 * width, layer_scale=False)
            for _ in range(params.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.of_picture = nn.Sequential(
            nn.Linear(2 * width, 128), nn.GELU(), nn.Linear(128, params.globals)
        )
        steps = {2: 1, 4: 2, 8: 3}[params.scale]
        channels = params.channels[:steps]
        ins = (width, *channels[:-1])
        # The photo's pyramid, from eight pixels a patch down to two.
        stem = params.channels[2]
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, stem, 3, padding=1), nn.GELU(), nn.Conv2d(stem, stem, 3, padding=1)
        )
        self.down4 = nn.Conv2d(stem, 2 * stem, 3, stride=2, padding=1)
        self.down2 = nn.Conv2d(2 * stem, 3 * stem, 3, stride=2, padding=1)
        widths = {8: stem, 4: 2 * stem, 2: 3 * stem}
        self.rise = nn.ModuleList(
            nn.Conv2d(a, 4 * b, 1) for a, b in zip(ins, channels, strict=True)
        )
        self.look = nn.ModuleList(
            nn.Conv2d(widths[2 ** (i + 1)], b, 1) for i, b in enumerate(channels)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(_Residual(b), _Residual(b, 2 if i == 0 else 1))
            for i, b in enumerate(channels)
        )
        self.out = nn.Conv2d(channels[-1], params.pixels, 3, padding=1)
        self.points = (
            PointPrompts(width, params.blocks, stem, channels[-1], CELLS) if params.points else None
        )

    def forward(
        self,
        levels: Sequence[Tensor],  # 4 × [B, N, 384]
        photo: Tensor,  # [B, 3, 8h, 8w], normalised like the backbone's
        hints: Tensor,  # [B, E, 8h, 8w]
    ) -> tuple[Tensor, Tensor]:  # [B, pixels, scale · h, scale · w], [B, globals]
        """Run the head."""
        points, parts, gate = hints[:, :0], hints, hints
        if self.points is not None:
            hints, points = hints[:, :-POINT_HINTS], hints[:, -POINT_HINTS:]
            parts, gate = self.points.parts(points), any_point(points)
        inputs = torch.cat([photo, hints], 1)
        patches = self.patches(inputs)  # [B, D, h, w]
        x = sum(
            linear(norm(level))
            for level, norm, linear in zip(levels, self.norms, self.levels, strict=True)
        )
        x = x + F.pad(patches.flatten(2).transpose(1, 2), (0, 0, 1, 0))  # class first
        if self.points is not None:
            x = x + self.points.tokens(parts, gate)
        for k, block in enumerate(self.blocks):
            x = block(x)
            if self.points is not None:
                x = x + self.points.change(k, x, parts, gate)
        x = self.norm(x)
        of_picture = self.of_picture(torch.cat([x[:, 0], x[:, 1:].mean(1)], 1))

        y = x[:, 1:].transpose(1, 2).reshape(patches.shape)
        fine = self.stem[0](inputs)
        if self.points is not None:
            fine = fine + self.points.seen(points, gate)
        fine = self.stem[2](self.stem[1](fine))
        middle = self.down4(F.gelu(fine))
        coarse = self.down2(F.gelu(middle))
        pyramid = (coarse, middle, fine)
        for rise, look, refine, picture in zip(
            self.rise, self.look, self.refine, pyramid, strict=False
        ):
            y = F.pixel_shuffle(rise(y), 2) + look(picture)
            y = refine(y)
        features = F.gelu(y)
        maps = self.out(features)
        if self.points is not None:
            maps = maps + self.points.said(features, points, gate)
        return maps, of_picture
