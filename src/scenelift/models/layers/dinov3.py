"""DINOv3's ViT, under the names of its publisher's file (https://arxiv.org/abs/2508.10104).

Positions are rotary, so that pictures of any size in whole patches can be looked at.

Shape letters in this file: B batch, L tokens, D width, R registers, h and w patch rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.attention import attend, head_channels
from scenelift.models.layers.dino import IMAGENET_MEAN, IMAGENET_STD
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.rotary import Rotation, picture_rotation, turn_halves

__all__ = ["DinoV3", "DinoV3Params", "from_timm"]

# Channels of a head of every published DINOv3 ViT.
_HEAD_CHANNELS = 64


@dataclass(frozen=True, kw_only=True)
class DinoV3Params:
    """Sizes of a DINOv3; the defaults are ViT-L/16.

    Attributes:
        width: channels of a token.
        blocks: how many.
        heads: of attention.
        hidden: channels within the MLP.
        patch: side of a patch in pixels.
        registers: tokens that stand for no patch.
    """

    width: int = 1024
    blocks: int = 24
    heads: int = 16
    hidden: int = 4096
    patch: int = 16
    registers: int = 4

    @classmethod
    def from_state_dict(
        cls, tensors: Mapping[str, Tensor], *, heads: int | None = None
    ) -> DinoV3Params:
        """Sizes of the network that a state dict belongs to.

        Args:
            tensors: all of them.
            heads: which leave no trace in them; None for as many as 64 channels each make.
        """
        width = tensors["embeddings.cls_token"].shape[-1]
        return cls(
            width=width,
            blocks=len({name.split(".")[1] for name in tensors if name.startswith("layer.")}),
            heads=heads or max(1, width // _HEAD_CHANNELS),
            hidden=tensors["layer.0.mlp.up_proj.weight"].shape[0],
            patch=tensors["embeddings.patch_embeddings.weight"].shape[-1],
            registers=tensors["embeddings.register_tokens"].shape[1],
        )


class _Embeddings(nn.Module):
    def __init__(self, params: DinoV3Params) -> None:
        super().__init__()
        D = params.width
        self.cls_token = nn.Parameter(torch.zeros(1, 1, D))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, D))  # of training; the file holds it
        self.register_tokens = nn.Parameter(torch.zeros(1, params.registers, D))
        self.patch_embeddings = nn.Conv2d(3, D, params.patch, stride=params.patch)

    def forward(self, picture: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1 + R + h·w, D]
        patches = self.patch_embeddings(picture).flatten(2).transpose(1, 2)
        first = (t.expand(len(picture), -1, -1) for t in (self.cls_token, self.register_tokens))
        return torch.cat([*first, patches], 1)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        head_channels(width, heads)
        self.heads = heads
        self.q_proj = Linear(width, width)
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj = Linear(width, width)
        self.o_proj = Linear(width, width)

    def forward(
        self,
        x: Tensor,  # [B, L, D]
        rotation: Rotation,  # of the last tokens, which are the patches
    ) -> Tensor:  # [B, L, D]
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1))
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.o_proj(attend(_turned(q, rotation), _turned(k, rotation), v))


def _turned(x: Tensor, rotation: Rotation) -> Tensor:  # [B, L, H, E]
    first = x.shape[1] - len(rotation.cos)
    return torch.cat([x[:, :first], turn_halves(x[:, first:], rotation)], 1)


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return x * self.lambda1


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up_proj = Linear(width, hidden)
        self.down_proj = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:  # [B, L, D] -> [B, L, D]
        return self.down_proj(F.gelu(self.up_proj(x)))


class _Layer(nn.Module):
    def __init__(self, params: DinoV3Params) -> None:
        super().__init__()
        D = params.width
        self.norm1 = LayerNorm32(D, affine=True, eps=1e-5)
        self.attention = _Attention(D, params.heads)
        self.layer_scale1 = _Scale(D)
        self.norm2 = LayerNorm32(D, affine=True, eps=1e-5)
        self.mlp = _FeedForward(D, params.hidden)
        self.layer_scale2 = _Scale(D)

    def forward(self, x: Tensor, rotation: Rotation) -> Tensor:  # [B, L, D] -> [B, L, D]
        x = x + self.layer_scale1(self.attention(self.norm1(x), rotation))
        return x + self.layer_scale2(self.mlp(self.norm2(x)))


class DinoV3(nn.Module):
    """All tokens of a picture, under a norm without parameters in place of the network's own.

    They are the class, the registers, then the patches by rows.
    """

    def __init__(self, params: DinoV3Params) -> None:
        super().__init__()
        self.params = params
        self.embeddings = _Embeddings(params)
        self.layer = nn.ModuleList(_Layer(params) for _ in range(params.blocks))
        self.norm = LayerNorm32(params.width, affine=True, eps=1e-5)  # the file holds it
        self.plain_norm = LayerNorm32(params.width, eps=1e-5)

    def forward(self, picture: Tensor) -> Tensor:  # [B, 3, H, W] in 0…1 -> [B, 1 + R + h·w, D]
        """Compute the tokens of a picture; H and W must be multiples of the patch."""
        mean, std = (
            picture.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
        return self.tokens((picture - mean) / std)

    def tokens(self, picture: Tensor) -> Tensor:  # [B, 3, H, W] -> [B, 1 + R + h·w, D]
        """Compute the tokens of a picture that is normalised already."""
        rows, columns = (side // self.params.patch for side in picture.shape[-2:])
        channels = head_channels(self.params.width, self.params.heads)
        rotation = picture_rotation(rows, columns, channels, device=picture.device)
        x = self.embeddings(picture)
        for layer in self.layer:
            x = layer(x, rotation)
        return self.plain_norm(x)


_FROM_TIMM = (
    ("patch_embed.proj.", "embeddings.patch_embeddings."),
    ("blocks.", "layer."),
    (".attn.proj.", ".attention.o_proj."),
    (".mlp.fc1.", ".mlp.up_proj."),
    (".mlp.fc2.", ".mlp.down_proj."),
)
_FROM_TIMM_WHOLE = {"cls_token": "embeddings.cls_token", "reg_token": "embeddings.register_tokens"}


def from_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The publisher's names for the tensors of timm's file, which anybody may download.

    Its queries, keys and values are one matrix without biases: in the original they are zero, and
    timm leaves them out, as it does the token of training.
    """
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        path, _, last = name.rpartition(".")
        if last in ("gamma_1", "gamma_2"):
            name = f"{path}.layer_scale{last[-1]}.lambda1"
        elif path.endswith(".attn.qkv"):
            block = path.removesuffix(".attn.qkv").replace("blocks.", "layer.")
            for part, values in zip("qkv", tensor.chunk(3), strict=True):
                if part != "k" or last != "bias":  # a key's bias changes no softmax
                    result[f"{block}.attention.{part}_proj.{last}"] = values
            continue
        name = _FROM_TIMM_WHOLE.get(name, name)
        for theirs, ours in _FROM_TIMM:
            name = name.replace(theirs, ours)
        result[name] = tensor
    width = result["embeddings.cls_token"].shape[-1]
    result.setdefault("embeddings.mask_token", torch.zeros(1, 1, width))
    for name in [n for n in result if n.endswith(".attention.q_proj.weight")]:
        layer = name.removesuffix("q_proj.weight")
        for part in "qv":
            result.setdefault(f"{layer}{part}_proj.bias", torch.zeros(width))
    return result
