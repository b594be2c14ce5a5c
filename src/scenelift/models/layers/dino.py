"""DINOv2, and the tokens that SAM 3D Objects takes from it.

DINOv2: https://arxiv.org/abs/2304.07193; registers: https://arxiv.org/abs/2309.16588.
Shape letters in this file: B batch, D width, h and w patch rows and columns, R registers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.vit import VitBlock

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "DinoEmbedder", "DinoParams", "VisionTransformer"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# A head of every DINOv2 has this many channels.
_HEAD_CHANNELS = 64


@dataclass(frozen=True, kw_only=True)
class DinoParams:
    """Sizes of a DINOv2; the defaults are ViT-L/14 with registers.

    Attributes:
        width: channels of a token.
        blocks: how many.
        patch: side of a patch in pixels.
        side: patches along a side of the picture the position embedding is for.
        registers: tokens that stand for no patch.
    """

    width: int = 1024
    blocks: int = 24
    patch: int = 14
    side: int = 37
    registers: int = 4

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor]) -> DinoParams:
        """Sizes of the network that a state dict belongs to."""
        registers = tensors.get("register_tokens")
        return cls(
            width=tensors["cls_token"].shape[-1],
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("blocks.")}),
            patch=tensors["patch_embed.proj.weight"].shape[-1],
            side=round((tensors["pos_embed"].shape[1] - 1) ** 0.5),
            registers=0 if registers is None else registers.shape[1],
        )


class _PatchEmbed(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, D, h, w]
        return self.proj(x)


class VisionTransformer(nn.Module):
    """DINOv2's transformer; tokens are the class, the registers, then the patches by rows."""

    def __init__(self, params: DinoParams) -> None:
        super().__init__()
        self.params = params
        D = params.width
        self.patch_embed = _PatchEmbed(D, params.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + params.side**2, D))
        if params.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, params.registers, D))
        self.mask_token = nn.Parameter(torch.zeros(1, D))  # of training; checkpoints hold it
        self.blocks = nn.ModuleList(
            VitBlock(D, D // _HEAD_CHANNELS, hidden=4 * D, layer_scale=True)
            for _ in range(params.blocks)
        )
        self.norm = LayerNorm32(D, affine=True)

    def forward(self, image: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1 + R + h·w, D]
        """Compute the tokens before the final norm. H and W must be multiples of the patch."""
        x = self._embed(image)
        for block in self.blocks:
            x = block(x)
        return x

    def tokens_after(
        self,
        image: Tensor,  # [B, 3, H, W]
        blocks: Collection[int],
    ) -> list[tuple[Tensor, Tensor]]:  # each [B, D, h, w] and [B, D]
        """Return patches as a picture and the class token, normed, after some blocks in order."""
        x = self._embed(image)
        h, w = (side // self.params.patch for side in image.shape[-2:])
        first_patch, tapped = 1 + self.params.registers, []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in blocks:
                normed = self.norm(x)
                patches = normed[:, first_patch:].transpose(1, 2).unflatten(2, (h, w))
                tapped.append((patches, normed[:, 0]))
        return tapped

    def _embed(self, image: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1 + R + h·w, D]
        patches = self.patch_embed(image)
        h, w = patches.shape[-2:]
        x = torch.cat(
            [self.cls_token.expand(len(image), -1, -1), patches.flatten(2).transpose(1, 2)], 1
        )
        x = x + self._positions(h, w).to(x.dtype)
        if self.params.registers:  # they have no place in the picture
            registers = self.register_tokens.expand(len(image), -1, -1).to(x.dtype)
            x = torch.cat([x[:, :1], registers, x[:, 1:]], 1)
        return x

    def _positions(self, h: int, w: int) -> Tensor:  # [1, 1 + h·w, D]
        side = self.params.side
        if (h, w) == (side, side):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].float().transpose(1, 2).unflatten(2, (side, side))
        # DINOv2 resamples by the factor (n + 0.1) / side, not n / side; the positions of the
        # samples follow the factor, so the tenth matters.
        factors = ((h + 0.1) / side, (w + 0.1) / side)
        grid = F.interpolate(grid, scale_factor=factors, mode="bicubic", antialias=False)
        return torch.cat([self.pos_embed[:, :1].float(), grid.flatten(2).transpose(1, 2)], 1)


class DinoEmbedder(nn.Module):
    """Tokens of a picture, or of a mask.

    With `prenorm`, all tokens before the network's final norm, under a norm without parameters
    (the second stage); else class and patches after the final norm (the first stage).
    """

    def __init__(self, params: DinoParams, *, prenorm: bool) -> None:
        super().__init__()
        self.backbone = VisionTransformer(params)
        self.prenorm = prenorm
        self.plain_norm = LayerNorm32(params.width, eps=1e-5)

    def forward(self, picture: Tensor) -> Tensor:  # [B, 1 or 3, H, W] in 0…1 -> [B, tokens, D]
        return self.tokens(self.backbone(self.prepared(picture)))

    def prepared(self, picture: Tensor) -> Tensor:  # [B, 1 or 3, H, W] -> [B, 3, S, S]
        """Resize and normalise a picture, for the backbone."""
        params = self.backbone.params
        size = params.side * params.patch
        if picture.shape[-2:] != (size, size):
            picture = F.interpolate(picture, (size, size), mode="bilinear", align_corners=False)
        # A mask is normalised like a picture too: the network was trained on it.
        mean, std = (
            picture.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return (picture.expand(-1, 3, -1, -1) - mean) / std

    def tokens(self, features: Tensor) -> Tensor:  # [B, 1 + R + h·w, D] -> [B, tokens, D]
        """Select and norm what this embedder takes from the backbone."""
        if self.prenorm:
            return self.plain_norm(features)
        x = self.backbone.norm(features)
        return torch.cat([x[:, :1], x[:, 1 + self.backbone.params.registers :]], 1)
