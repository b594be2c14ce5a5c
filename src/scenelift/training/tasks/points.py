"""Points → mask, with a box or in a whole photo: weights beside those of the mask head.

The head itself is frozen. Clicks are simulated as in a session: each in the middle of the largest
error of the answer before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from scenelift.training.backbone import Backbone
from scenelift.training.clicks import Session, next_clicks
from scenelift.training.points import POINT_HINTS
from scenelift.training.store import Objects, SceneStore
from scenelift.training.tasks import mask
from scenelift.training.tasks.common import HeadInput, iou_of, patch_grid
from scenelift.training.tasks.mask import MaskBatch, MaskWindows, fit
from scenelift.training.views import Windows

__all__ = ["PARAMS", "PointsTask"]

PARAMS = replace(mask.PARAMS, hints=mask.PARAMS.hints + POINT_HINTS, points=True)

MOST_CLICKS = 4
CLICKS = (1, 2, 3, 5)  # that are evaluated
MOST_EVALUATED = 192  # objects that are evaluated
MIDDLE = 0.4
"""Of the largest distance to an error's edge: a click in training has at least so much."""
ROUGH = 0.5  # share of boxes that are off by more
AT_FIRST = 0.5  # share of boxes whose object is clicked before their mask is looked at
WHOLE = 0.5  # share of windows without a box that are the whole photo
AROUND = 1.3  # sides of other windows, over the object's, at the least


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    masks: MaskBatch
    boxed: Tensor  # bool [B]
    fresh: Tensor  # bool [B], the first click is on the object, not on an error
    clicks: int
    middle: float
    generator: torch.Generator


class PointsTask(MaskWindows):
    """Trains the mask head's weights for points; see the module."""

    def __init__(self, backbone: Backbone, train: SceneStore, held_out: SceneStore | None) -> None:
        super().__init__(PARAMS, backbone, train, held_out)
        self.freeze()

    def freeze(self) -> None:
        """Train the weights for points alone."""
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith("points."))

    def batch(self, size: int, generator: torch.Generator) -> _Batch:
        """Draw windows: a half of them around boxes."""
        patches = patch_grid(mask.GRIDS, generator)
        half = (size + 1) // 2
        objects = [self.train.some_objects(k, generator) for k in (half, size - half)]
        boxes = self.view(self.train, objects[0], patches, generator, rough_share=ROUGH)
        whole = self._without_box(self.train, objects[1], patches, generator)
        device = self.train.device
        boxed = torch.arange(size, device=device) < half
        chance = torch.rand(size, generator=generator, device=device)
        clicks = 1 + int(torch.randint(MOST_CLICKS, (), generator=generator, device=device))
        return _Batch(
            masks=_joined(boxes, whole),
            boxed=boxed,
            fresh=~boxed | (chance < AT_FIRST),
            clicks=clicks,
            middle=MIDDLE,
            generator=generator,
        )

    def loss(self, network: nn.Module, batch: _Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        # Of the last click alone: gradients of four would fill a GPU's memory.
        logits, expected = _answers(network, batch, gradients_from=batch.clicks)[-1]
        loss, terms = fit(logits, expected, batch.masks.truth)
        iou = iou_of(logits.detach(), batch.masks.truth)
        return loss, {
            "bce": terms["bce"],
            "iou in boxes": iou[batch.boxed].mean(),
            "without": iou[~batch.boxed].mean(),
        }

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute mean IoU after clicks, in whole photos and around slightly wrong boxes."""
        if self.held_out is None:
            return {}
        device = self.held_out.device
        generator = torch.Generator(device).manual_seed(0)
        figures: dict[str, list[Tensor]] = {}
        most = min(self.held_out.objects, MOST_EVALUATED)
        for start in range(0, most, 16):
            index = torch.arange(start, min(start + 16, most), device=device)
            objects = self.held_out.these_objects(index * (self.held_out.objects // most))
            for kind in ("photo", "box"):
                if kind == "box":
                    masks = self.view(
                        self.held_out, objects, mask.HELD_GRID, generator, augment=False
                    )
                else:
                    masks = self._without_box(self.held_out, objects, mask.HELD_GRID, None)
                boxed = torch.full((len(index),), kind == "box", device=device)
                batch = _Batch(
                    masks=masks,
                    boxed=boxed,
                    fresh=~boxed,
                    clicks=max(CLICKS),
                    middle=1.0,
                    generator=generator,
                )
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    answers = _answers(network, batch)
                for k in CLICKS:
                    iou = iou_of(answers[k - 1][0], masks.truth)
                    figures.setdefault(f"{kind} {k}", []).append(iou)
        return {name: float(torch.cat(parts).mean()) for name, parts in figures.items()}

    def _without_box(
        self,
        store: SceneStore,
        objects: Objects,
        patches: tuple[int, int],
        generator: torch.Generator | None,
    ) -> MaskBatch:
        """Look at whole photos, or with a generator at parts that hold the object, too."""
        count, device = len(objects.scene), objects.scene.device
        whole = torch.tensor([float(store.width), float(store.height)], device=device)
        corner, size = torch.zeros(count, 2, device=device), whole.expand(count, 2)
        flip = torch.zeros(count, dtype=torch.bool, device=device)
        if generator is not None:
            unit = torch.rand(count, 5, generator=generator, device=device)
            low, high = objects.box[:, :2], objects.box[:, 2:]
            least = (AROUND * (high - low) / whole).amax(1).clamp(0.25, 1)
            part = least + (1 - least) * unit[:, 0]
            size = whole * torch.where(unit[:, 1] < WHOLE, 1.0, part)[:, None]
            first = (high - size).clamp_min(0)
            last = torch.maximum(torch.minimum(low, whole - size), first)
            corner = first + (last - first) * unit[:, 2:4]
            flip = unit[:, 4] > 0.5
        box = torch.cat([corner, corner + size], 1)
        windows = Windows(scene=objects.scene, box=box, flip=flip)
        nobody = torch.zeros_like(self.rivals(store, objects))
        return self.look(store, objects, windows, box, nobody, patches, generator)


def _answers(
    network: nn.Module, batch: _Batch, gradients_from: int = 1
) -> list[tuple[Tensor, Tensor]]:
    """Click one after the other; return each answer's logits [B, H, W] and expected IoU [B]."""
    inputs, truth = batch.masks.inputs, batch.masks.truth > 0.5
    session = Session(inputs.levels, (truth.shape[1], truth.shape[2]))

    def answer() -> tuple[Tensor, Tensor]:
        # A copy: the session goes on while gradients of earlier answers are waited for.
        hints = torch.cat([batch.masks.hints, session.hints.clone()], 1)
        maps, expected = network(inputs.levels, inputs.photo, hints)
        return maps[:, 0].float(), expected[:, 0].float()

    with torch.no_grad():
        logits, _ = answer()
    boxed = batch.boxed[:, None, None]
    logits = torch.where(boxed, logits, 0.0)
    session.show(logits)
    mask = (logits > 0) & ~batch.fresh[:, None, None]
    answers = []
    for count in range(1, batch.clicks + 1):
        session.click(*next_clicks(truth, mask, batch.middle, batch.generator))
        if count == gradients_from:
            # Weights that autocast converted without gradients would be taken again without.
            torch.clear_autocast_cache()
        with torch.set_grad_enabled(torch.is_grad_enabled() and count >= gradients_from):
            answers.append(answer())
        logits = answers[-1][0].detach()
        session.show(logits)
        mask = logits > 0
    return answers


def _joined(a: MaskBatch, b: MaskBatch) -> MaskBatch:
    levels = [torch.cat(pair) for pair in zip(a.inputs.levels, b.inputs.levels, strict=True)]
    return MaskBatch(
        inputs=HeadInput(levels=levels, photo=torch.cat([a.inputs.photo, b.inputs.photo])),
        hints=torch.cat([a.hints, b.hints]),
        truth=torch.cat([a.truth, b.truth]),
    )
