"""Box -> mask, with the boxes of rivals: other objects that are in the same place of the photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.training.backbone import Backbone
from scenelift.training.network import CELLS, HeadParams
from scenelift.training.store import Objects, SceneStore
from scenelift.training.tasks.common import HeadInput, HeadTask, iou_of, patch_grid
from scenelift.training.views import Windows, sampled, window_pictures

__all__ = ["PARAMS", "MaskBatch", "MaskTask", "MaskWindows", "fit"]

PARAMS = HeadParams(hints=5, pixels=1, globals=1, scale=8, blocks=3, channels=(128, 64, 24))
"""Hints: inside the box; across and down in the box (−1…1 from edge to edge, cut at ±2); inside
any rival's box; inside one that is smaller. Pixels: logit of the object. The global is the logit of
the IoU that the mask will have."""

GRIDS = ((28, 28), (28, 28), (24, 24), (32, 32))
HELD_GRID = (28, 28)
MARGIN = 0.3  # of the box's longer side, around it
JITTER = 0.04  # standard deviation of a box's sides, over its sides
ROUGH, ROUGH_JITTER = 0.15, 0.14
"""Share of boxes that are off by more, as detectors' and people's are, and by how much."""
NARROWEST = 0.5  # of the window's sides: thinner objects are not stretched further
WITHOUT_RIVALS, RIVAL_SHARE = 0.35, 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskBatch:
    """Windows of photos, and which of their pixels belong to the object."""

    inputs: HeadInput
    hints: Tensor
    truth: Tensor  # float [B, H, W], 0 or 1


class MaskWindows(HeadTask):
    """Base of tasks that cut objects out of windows of photos."""

    def view(
        self,
        store: SceneStore,
        objects: Objects,
        patches: tuple[int, int],
        generator: torch.Generator,
        *,
        augment: bool = True,
        rough_share: float = ROUGH,
    ) -> MaskBatch:
        """Look around boxes of objects that are a little wrong."""
        count, device = len(objects.scene), objects.scene.device
        x0, y0, x1, y1 = objects.box.unbind(1)
        sides = torch.stack([x1 - x0, y1 - y0, x1 - x0, y1 - y0], 1)
        jitter = torch.full((count, 1), JITTER if augment else JITTER / 2, device=device)
        if augment:
            rough = torch.rand((count, 1), generator=generator, device=device) < rough_share
            jitter = torch.where(rough, ROUGH_JITTER, jitter)
        shift = torch.randn((count, 4), generator=generator, device=device).clamp(-2.5, 2.5)
        box = objects.box + jitter * sides * shift
        flip = torch.rand(count, generator=generator, device=device) > 0.5
        windows = Windows(
            scene=objects.scene, box=window_of(box), flip=flip & torch.tensor(augment)
        )
        other = self.rivals(store, objects)
        if augment:
            chance = torch.rand(other.shape, generator=generator, device=device)
            alone = torch.rand(count, generator=generator, device=device) < WITHOUT_RIVALS
            other = other & (chance < RIVAL_SHARE) & ~alone[:, None]
        return self.look(
            store, objects, windows, box, other, patches, generator if augment else None
        )

    def rivals(self, store: SceneStore, objects: Objects) -> Tensor:  # bool [B, K]
        """Tell which of a scene's boxes are of other objects."""
        rivals = store.boxes[objects.scene]  # [B, K, 4]
        number = torch.arange(rivals.shape[1], device=rivals.device)
        return (_area(rivals) > 0) & (number != objects.number[:, None])

    def look(
        self,
        store: SceneStore,
        objects: Objects,
        windows: Windows,
        box: Tensor,  # [B, 4]
        other: Tensor,  # bool [B, K], of the scene's boxes
        patches: tuple[int, int],
        generator: torch.Generator | None,
    ) -> MaskBatch:
        """Compute inputs, hints and truth in windows; with a generator, of altered pictures."""
        rows, columns = patches[0] * CELLS, patches[1] * CELLS
        _, numbers = sampled(store, windows, patches)
        rivals = store.boxes[objects.scene]
        inside = windows.inside(rivals, rows, columns) * other[..., None, None]
        smaller = inside * (_area(rivals) < _area(objects.box)[:, None])[..., None, None]
        hints = torch.cat(
            [
                windows.inside(box[:, None], rows, columns),
                _in_box(windows, box, rows, columns),
                inside.amax(1, keepdim=True),
                smaller.amax(1, keepdim=True),
            ],
            1,
        )
        picture = window_pictures(store, windows, patches)
        return MaskBatch(
            inputs=self.inputs(picture, patches, generator),
            hints=hints,
            truth=(numbers == objects.number[:, None, None]).float(),
        )


class MaskTask(MaskWindows):
    """Trains the mask head; see the module."""

    def __init__(self, backbone: Backbone, train: SceneStore, held_out: SceneStore | None) -> None:
        super().__init__(PARAMS, backbone, train, held_out)

    def batch(self, size: int, generator: torch.Generator) -> MaskBatch:
        patches = patch_grid(GRIDS, generator)
        return self.view(self.train, self.train.some_objects(size, generator), patches, generator)

    def loss(self, network: nn.Module, batch: MaskBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        maps, expected = network(batch.inputs.levels, batch.inputs.photo, batch.hints)
        return fit(maps[:, 0].float(), expected[:, 0].float(), batch.truth)

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute mean IoU from slightly wrong boxes with all rivals, and the IoU head's error."""
        if self.held_out is None:
            return {}
        ious, errors = [], []
        generator = torch.Generator(self.held_out.device).manual_seed(0)
        for start in range(0, self.held_out.objects, 16):
            index = torch.arange(
                start, min(start + 16, self.held_out.objects), device=self.held_out.device
            )
            batch = self.view(
                self.held_out,
                self.held_out.these_objects(index),
                HELD_GRID,
                generator,
                augment=False,
            )
            maps, expected = network(batch.inputs.levels, batch.inputs.photo, batch.hints)
            ious.append(iou_of(maps[:, 0].float(), batch.truth))
            errors.append((expected[:, 0].float().sigmoid() - ious[-1]).abs())
        every = torch.cat(ious)
        return {
            "IoU": float(every.mean()),
            "IoU > .5": float((every > 0.5).float().mean()),
            "expected off by": float(torch.cat(errors).mean()),
        }

    def score(self, figures: Mapping[str, float]) -> float:
        return figures["IoU"]


def fit(
    logits: Tensor,  # [B, H, W]
    expected: Tensor,  # [B], logit of the expected IoU
    truth: Tensor,  # [B, H, W]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the loss of masks and of the IoU that is expected of them."""
    each = F.binary_cross_entropy_with_logits(logits, truth)
    chance, flat = logits.sigmoid().flatten(1), truth.flatten(1)
    dice = 1 - (2 * (chance * flat).sum(1) + 1) / ((chance + flat).sum(1) + 1)
    overlap = iou_of(logits.detach(), truth)
    sure = F.binary_cross_entropy_with_logits(expected, overlap)
    return each + dice.mean() + 0.1 * sure, {"bce": each, "iou": overlap.mean()}


def _area(boxes: Tensor) -> Tensor:  # [..., 4] -> [...]
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def window_of(box: Tensor) -> Tensor:  # [B, 4] -> [B, 4]
    """Choose a window around the box with its surroundings; not much longer than wide."""
    x0, y0, x1, y1 = box.unbind(1)
    longer = torch.maximum(x1 - x0, y1 - y0)
    half_x, half_y = (x1 - x0) / 2 + MARGIN * longer, (y1 - y0) / 2 + MARGIN * longer
    least = NARROWEST * torch.maximum(half_x, half_y)
    half_x, half_y = torch.maximum(half_x, least), torch.maximum(half_y, least)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return torch.stack([x - half_x, y - half_y, x + half_x, y + half_y], 1)


def _in_box(windows: Windows, box: Tensor, rows: int, columns: int) -> Tensor:
    """Build [B, 2, rows, columns]: across and down in the box, −1…1, cut at ±2."""
    u = (torch.arange(columns, device=box.device) + 0.5) / columns
    v = (torch.arange(rows, device=box.device) + 0.5) / rows
    wx0, wy0, wx1, wy1 = windows.box.unbind(1)
    x0, y0, x1, y1 = box.unbind(1)
    x = wx0[:, None] + u * (wx1 - wx0)[:, None]
    y = wy0[:, None] + v * (wy1 - wy0)[:, None]
    across = (2 * x - (x0 + x1)[:, None]) / (x1 - x0)[:, None].clamp_min(1)
    down = (2 * y - (y0 + y1)[:, None]) / (y1 - y0)[:, None].clamp_min(1)
    # In a mirrored picture the object's left is on the right, and so is the coordinate's origin.
    across = torch.where(windows.flip[:, None], -across.flip(1), across)
    both = torch.stack(
        [across[:, None].expand(-1, rows, -1), down[:, :, None].expand(-1, -1, columns)], 1
    )
    return both.clamp(-2, 2)
