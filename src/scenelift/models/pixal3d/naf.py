"""NAF: features of a coarse map at the pixels of a fine one, by attention that the photo guides.

Written from the description in https://arxiv.org/abs/2511.18452. A fine pixel looks at the 9 × 9
coarse cells around its own; what they are worth to it is decided by how the photo looks at both.
Only the pixels that somebody reads need be computed.

Shape letters in this file: B batch, C channels of the features, h and w coarse rows and columns,
n side of the fine map, P pixels of it, H heads, E channels of a head.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.rotary import Rotation, picture_rotation, turn_halves

__all__ = ["NAF", "naf_params"]

_WINDOW = 9  # coarse cells along a side that a pixel looks at
_GROUPS = 8  # of the norms
_LARGEST_GUIDE = 4  # times the fine map's side: a larger photo is shrunk first
_HEADS = 4
_AT_ONCE = 1 << 11  # pixels: each gathers 81 rows of features


class _Block(nn.Module):
    """Two rounds of a norm, a SiLU and a convolution."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_GROUPS, width)
        self.conv1 = _convolution(width, width, kernel)
        self.norm2 = nn.GroupNorm(_GROUPS, width)
        self.conv2 = _convolution(width, width, kernel)

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W]
        x = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(x)))


def _convolution(channels: int, width: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, padding=kernel // 2, padding_mode="reflect")


def _encoder(width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(3, width, kernel), _Block(width, kernel), _Block(width, kernel)
    )


class _Rope(nn.Module):
    """Holds the buffer that the file has; the angles follow from a formula."""

    periods: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("periods", torch.zeros(count))


class _ImageEncoder(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = _encoder(width, 1)
        self.sem_encoder = _encoder(width, 3)
        self.rope = _Rope(2 * width // _HEADS // 4)

    def forward(self, guide: Tensor, side: int) -> Tensor:  # [B, 3, H, W] -> [B, n², H, E]
        features = torch.cat([self.encoder(guide), self.sem_encoder(guide)], 1)
        features = F.adaptive_avg_pool2d(features, side)
        heads = features.flatten(2).transpose(1, 2).unflatten(-1, (_HEADS, -1))
        rotation = picture_rotation(side, side, heads.shape[-1], device=guide.device)
        return turn_halves(heads, Rotation(*rotation))


class NAF(nn.Module):
    """The network: call `guide` once, then `read` whenever features are wanted."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.image_encoder = _ImageEncoder(width)

    def guide(self, picture: Tensor, side: int) -> Tensor:  # [B, 3, H, W] in 0…1 -> [B, n², H, E]
        """Compute the photo's features at every pixel of the fine map."""
        most = _LARGEST_GUIDE * side
        if max(picture.shape[-2:]) > most:
            size = tuple(min(most, length) for length in picture.shape[-2:])
            picture = F.interpolate(picture, size, mode="bilinear", align_corners=False)
        return self.image_encoder(picture, side)

    def read(
        self,
        guide: Tensor,  # [B, n², H, E]
        features: Tensor,  # [B, C, h, w]
        pixels: Tensor,  # int64 [P], row · n + column
    ) -> Tensor:  # [B, P, C]
        """Read features of the coarse map at pixels of the fine one."""
        h, w = features.shape[-2:]
        side = round(guide.shape[1] ** 0.5)
        keys = guide.transpose(1, 2).unflatten(2, (side, side)).permute(0, 1, 4, 2, 3)
        keys = F.adaptive_avg_pool2d(keys.flatten(1, 2), (h, w))  # [B, H·E, h, w]
        keys = keys.unflatten(1, (_HEADS, -1)).flatten(3).permute(0, 3, 1, 2)  # [B, h·w, H, E]
        values = features.unflatten(1, (_HEADS, -1)).flatten(3).permute(0, 3, 1, 2)
        parts = [
            _attend(guide, keys, values, part, (side, h, w)) for part in pixels.split(_AT_ONCE)
        ]
        return torch.cat(parts, 1)

    def forward(self, picture: Tensor, features: Tensor, side: int) -> Tensor:
        """Compute the whole fine map, [B, C, n, n]."""
        every = torch.arange(side * side, device=features.device)
        values = self.read(self.guide(picture, side), features, every)
        return values.transpose(1, 2).unflatten(2, (side, side))


def _attend(
    guide: Tensor,  # [B, n², H, E]
    keys: Tensor,  # [B, h·w, H, E]
    values: Tensor,  # [B, h·w, H, C / H]
    pixels: Tensor,  # [P]
    sizes: tuple[int, int, int],
) -> Tensor:  # [B, P, C]
    side, h, w = sizes
    row, column = pixels // side, pixels % side
    tall, wide = min(_WINDOW, h), min(_WINDOW, w)
    down, along = (torch.arange(n, device=pixels.device) for n in (tall, wide))
    # The window around a pixel's cell, pushed inside where it would reach beyond the map.
    top = (row * h // side - _WINDOW // 2).clamp(0, h - tall)
    left = (column * w // side - _WINDOW // 2).clamp(0, w - wide)
    cells = (top[:, None, None] + down[:, None]) * w + left[:, None, None] + along
    cells = cells.flatten(1)  # [P, 81]
    queries = guide[:, pixels]  # [B, P, H, E]
    logits = torch.einsum("bphe,bpkhe->bphk", queries, keys[:, cells]) / queries.shape[-1] ** 0.5
    attended_values = torch.einsum("bphk,bpkhc->bphc", logits.softmax(-1), values[:, cells])
    return attended_values.flatten(2)


def naf_params(tensors: Mapping[str, Tensor]) -> int:
    """Width of the network that a state dict belongs to."""
    return tensors["image_encoder.encoder.0.weight"].shape[0]
