"""Keeps what DINOv2 makes of pictures, so that embedders and objects share it.

The whole photo is looked at once for all its objects, and any picture once for all embedders of
equal weights: in the published files, the pictures' and the masks' of both stages.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from scenelift.models.layers.dino import DinoEmbedder

__all__ = ["PictureFeatures"]


class PictureFeatures:
    """Features of pictures, for as long as the pictures are there.

    Args:
        embedders: that share them. Their tensors are where they were loaded, so that equal ones
            are seen to be the same memory.
    """

    def __init__(self, embedders: Iterable[DinoEmbedder]) -> None:
        self._weights: dict[DinoEmbedder, Hashable] = {
            embedder: tuple(p.data_ptr() for p in embedder.backbone.parameters())
            for embedder in embedders
        }
        # Picture -> weights -> features.
        self._of: Any = WeakTensorKeyDictionary()

    def of(self, pairs: Sequence[tuple[DinoEmbedder, Tensor]]) -> list[Tensor]:
        """Return the features [B, T, D] of pictures, each as its embedder sees it.

        What is not there is made now, in one batch for each kind of weights. Rounding may depend on
        what shares a batch, and memory lasts as long as any of it: ask for an object's own pictures
        together, and for the photo by itself, and results do not depend on which objects came
        before.

        Args:
            pairs: embedders and pictures [B, 1 or 3, H, W] of one size.
        """
        for weights in {self._weights[embedder]: None for embedder, _ in pairs}:
            alike = [(e, picture) for e, picture in pairs if self._weights[e] == weights]
            if all(weights in self._of.get(picture, {}) for _, picture in alike):
                continue
            embedder = alike[0][0]
            prepared = [embedder.prepared(picture) for _, picture in alike]
            results = embedder.backbone(torch.cat(prepared)).split([len(p) for p in prepared])
            for (_, picture), features in zip(alike, results, strict=True):
                self._of.setdefault(picture, {})[weights] = features
        return [self._of[picture][self._weights[embedder]] for embedder, picture in pairs]

    def forget(self, *pictures: Tensor) -> None:
        """Free the features of pictures that nobody will look at again."""
        for picture in pictures:
            self._of.pop(picture, None)
