"""What the tasks share: a frozen backbone, a head, and scenes to learn and to test on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from scenelift.training.adapters import AdaptedHead, noisy
from scenelift.training.backbone import Backbone
from scenelift.training.network import Head, HeadParams
from scenelift.training.store import SceneStore
from scenelift.training.views import coarse, developed, normalised, on_host

__all__ = ["HeadInput", "HeadTask", "iou_of", "patch_grid"]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadInput:
    """The inputs of a head.

    Attributes:
        levels: 4 × [B, 1 + h·w, 384]; or the picture itself, [B, 3, 14h, 14w], normalised, for a
            head that adapts the backbone.
        photo: [B, 3, 8h, 8w], normalised.
    """

    levels: Sequence[Tensor]
    photo: Tensor


class HeadTask(ABC):
    """Base of the tasks, each a `Task` of the training loop.

    Args:
        params: of the head.
        backbone: frozen.
        train: scenes to learn from.
        held_out: scenes kept out of training, or None.
        adapt: rank of the adapters by which the head changes the backbone; 0: it does not.
    """

    def __init__(
        self,
        params: HeadParams,
        backbone: Backbone,
        train: SceneStore,
        held_out: SceneStore | None,
        *,
        adapt: int = 0,
    ) -> None:
        self.backbone = backbone
        head = Head(params)
        network = AdaptedHead(head, backbone, adapt) if adapt else head
        self.network: nn.Module = network.to(train.device)
        self.train, self.held_out = train, held_out

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Any: ...

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]: ...

    @abstractmethod
    def evaluate(self, network: nn.Module) -> Mapping[str, float]: ...

    def score(self, figures: Mapping[str, float]) -> float:
        """Say how good weights with these figures of `evaluate` are: the higher, the better."""
        return sum(figures.values()) / len(figures)

    def inputs(
        self, picture: Tensor, patches: tuple[int, int], generator: torch.Generator | None
    ) -> HeadInput:
        """Prepare features of pictures [B, 3, 14h, 14w]; with a generator, of altered pictures."""
        if generator is not None:
            picture = developed(picture, generator)
        picture = normalised(picture)
        photo = coarse(picture, patches)
        if isinstance(self.network, AdaptedHead):
            return HeadInput(levels=[picture], photo=photo)
        with torch.autocast(
            picture.device.type, torch.bfloat16, enabled=picture.device.type == "cuda"
        ):
            levels = [level.float() for level in self.backbone(picture)]
        if generator is not None:
            levels = [noisy(level, generator) for level in levels]
        return HeadInput(levels=levels, photo=photo)


def patch_grid(choices: Sequence[tuple[int, int]], generator: torch.Generator) -> tuple[int, int]:
    """Choose one of some numbers of patch rows and columns, at random."""
    return choices[int(torch.randint(len(choices), (), generator=on_host(generator)))]


def iou_of(logits: Tensor, truth: Tensor) -> Tensor:  # [B]
    """Compute intersection over union of logits and the truth, 0 or 1, of each of a batch."""
    a, b = logits.flatten(1) > 0, truth.flatten(1) > 0.5
    return (a & b).sum(1) / (a | b).sum(1).clamp_min(1)
