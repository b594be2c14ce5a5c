"""Turns pictures into condition tokens: embedders, projections, and which view a token is of.

Shape letters in this file: B batch, D width of the condition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.models.layers.dino import DinoEmbedder, DinoParams
from scenelift.models.layers.linear import Linear
from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.sam3d.features import PictureFeatures
from scenelift.models.sam3d.pointpatch import PointPatchEmbedder, PointPatchParams
from scenelift.models.sam3d.preprocess import ConditionImages
from scenelift.weights.state_dicts import under_prefix

__all__ = ["ConditionEmbedder", "ConditionParams", "Fuser"]

# Rows of the view embedding: the crop, the whole photo, and one that training never used.
_VIEWS = 3


class SwiGLU(nn.Module):
    """Gated MLP: https://arxiv.org/abs/2002.05202, with two thirds of the usual hidden width."""

    def __init__(self, width: int, out_width: int, multiplier: float = 4.0) -> None:
        super().__init__()
        hidden = 256 * -(-int(2 * multiplier * out_width / 3) // 256)
        self.w1 = Linear(width, hidden, bias=False)
        self.w2 = Linear(hidden, out_width, bias=False)
        self.w3 = Linear(width, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Fuser(nn.Module):
    """Embed pairs of views, project them to one width, and concatenate their tokens."""

    def __init__(self, embedders: Sequence[nn.Module], widths: Sequence[int], width: int) -> None:
        """Fuse the tokens of `embedders`, which are `widths` wide, to `width`."""
        super().__init__()
        self.module_list = nn.ModuleList(embedders)
        self.projection_nets = nn.ModuleList(
            nn.Sequential(LayerNorm32(w, affine=True, eps=1e-5), SwiGLU(w, width)) for w in widths
        )
        self.idx_emb = nn.Parameter(torch.zeros(_VIEWS, width))

    def forward(
        self,
        views: Sequence[tuple[Tensor, Tensor]],  # for each embedder: crop [B, …], photo [B, …]
        *,
        silenced: Collection[int] = (),
    ) -> Tensor:  # [B, tokens, D]
        """Tokens of all views: for each embedder, of the crop, then of the photo.

        Args:
            views: what each embedder is to see.
            silenced: indices of embedders whose tokens are set to zero, as in training when the
                point map was withheld.
        """
        pairs = zip(self.module_list, views, strict=True)
        embedded = [embed(torch.cat(pair)) for embed, pair in pairs]  # both views in one batch
        return self.fused(embedded, silenced=silenced)

    def fused(
        self,
        embedded: Sequence[Tensor],  # for each embedder: crop, then photo, [2 B, tokens, width]
        *,
        silenced: Collection[int] = (),
    ) -> Tensor:  # [B, tokens, D]
        """Project and concatenate what the embedders have made; `forward` says the rest."""
        tokens = []
        for i, (project, pair) in enumerate(zip(self.projection_nets, embedded, strict=True)):
            for view, part in enumerate(project(pair).chunk(2)):
                part = part + self.idx_emb[view]
                tokens.append(part * 0 if i in silenced else part)
        return torch.cat(tokens, 1)


@dataclass(frozen=True, kw_only=True)
class ConditionParams:
    """Sizes of a stage's condition embedder; the defaults are the published first stage's.

    Attributes:
        width: of the condition.
        dino: sizes of the two DINOv2, one for pictures and one for masks.
        prenorm: which tokens are taken from them (`DinoEmbedder`): True in the second stage.
        points: sizes of the point map's embedder, None for the second stage, which has none.
    """

    width: int = 1024
    dino: DinoParams = field(default_factory=DinoParams)
    prenorm: bool = False
    points: PointPatchParams | None = field(default_factory=PointPatchParams)

    @classmethod
    def from_state_dict(cls, tensors: Mapping[str, Tensor], *, prenorm: bool) -> ConditionParams:
        """Sizes of the embedder that a state dict belongs to."""
        points = under_prefix(tensors, "module_list.2.")
        return cls(
            width=tensors["idx_emb"].shape[1],
            dino=DinoParams.from_state_dict(under_prefix(tensors, "module_list.0.backbone.")),
            prenorm=prenorm,
            points=PointPatchParams.from_state_dict(points) if points else None,
        )


class ConditionEmbedder(Fuser):
    """Condition tokens of one stage."""

    def __init__(self, params: ConditionParams) -> None:
        embedders: list[nn.Module] = [
            DinoEmbedder(params.dino, prenorm=params.prenorm) for _ in range(2)
        ]
        widths = [params.dino.width] * 2
        if params.points is not None:
            embedders.append(PointPatchEmbedder(params.points))
            widths.append(params.points.width)
        super().__init__(embedders, widths, params.width)
        self.params = params

    @property
    def dino_embedders(self) -> list[DinoEmbedder]:
        """The embedders of pictures and of masks."""
        return [e for e in self.module_list if isinstance(e, DinoEmbedder)]

    def embed(
        self,
        images: ConditionImages,
        *,
        use_points: bool = True,
        features: PictureFeatures | None = None,
    ) -> Tensor:
        """Tokens [B, tokens, D] of one stage's inputs.

        Args:
            images: from `preprocess`; with points where this stage embeds them.
            use_points: False silences the point map's tokens.
            features: what was made of some of these pictures already, and where the rest is kept;
                None keeps nothing.
        """
        features = features or PictureFeatures(self.dino_embedders)
        of_pictures, of_masks = self.dino_embedders
        crop, mask, full_mask = features.of(
            [(of_pictures, images.image), (of_masks, images.mask), (of_masks, images.full_mask)]
        )
        (full,) = features.of([(of_pictures, images.full_image)])
        embedded = [
            of_pictures.tokens(torch.cat([crop, full])),
            of_masks.tokens(torch.cat([mask, full_mask])),
        ]
        if self.params.points is not None:
            if images.points is None:
                raise ValueError("this stage's condition needs a point map")
            embed_points = self.module_list[2]
            embedded.append(embed_points(torch.cat([images.points.crop, images.points.full])))
        return self.fused(embedded, silenced=() if use_points else (2,))
