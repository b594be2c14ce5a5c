"""Image, mask and points of an object -> the space it fills, and the colours of its back.

Space is divided as the camera sees it: each pixel of a square window around the object is a ray,
each ray has bins of depth. In this frame the photo and the answer lie over each other, and the
back is what is behind. Lengths along a ray are in units of the object's apparent size: the longer
side of its box, at the median depth of what is visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.training.backbone import Backbone
from scenelift.training.network import CELLS, HeadParams
from scenelift.training.store import Objects, SceneStore
from scenelift.training.tasks.common import HeadInput, HeadTask, iou_of
from scenelift.training.views import Windows, sampled, window_pictures

__all__ = ["BINS", "FAR", "NEAR", "PARAMS", "ShapeTask", "Volumes"]

BINS, NEAR, FAR = 96, -0.8, 2.0
"""Bins of depth, and the range that they divide, from the median of the visible surface."""

PARAMS = HeadParams(hints=6, pixels=BINS + 3, globals=3, scale=4, blocks=4, channels=(160, 144, 24))
"""Hints: mask; other objects' masks; depth relative to the object's, cut at ±2; whether depth is
known; tangents of the ray's angles across and up. Pixels: a logit for each bin, nearest first;
the colour of the back in 0…1 after a sigmoid. Globals: the world's up in the camera frame."""

DEPTH_HINTS = slice(2, 4)
PATCHES = (20, 20)
MARGIN = 0.15  # of the box's longer side, around it
MOST_RELIEF = 2.0
# Shares of examples, and deviations: of the logarithm of depth's scale, and in apparent sizes.
WITHOUT_DEPTH, ESTIMATED, BLURRED = 0.5, 0.5, 0.2
STRETCH, BEND = 0.15, 0.06


@dataclass(frozen=True, kw_only=True, eq=False)
class Volumes:
    """The space that each model of a pack fills, on the device.

    Attributes:
        filled: uint8 [M, z, y, x], 64 a side.
        colours: uint8 [M, 3, z, y, x], 32 a side.
    """

    filled: Tensor
    colours: Tensor

    @classmethod
    def read(cls, path: Path, device: torch.device) -> Volumes:
        """Read what `scenelift train scenes` wrote beside the shards.

        Raises:
            InputError: there is no such file.
        """
        if not path.is_file():
            raise InputError(f"There is no {path}: `scenelift train scenes` makes it.")
        # Our own file, read without pickles.
        with np.load(path, allow_pickle=False) as file:  # noqa: TID251
            packed, colours = file["filled"], file["colours"]
        filled = np.unpackbits(packed).reshape(len(colours), 64, 64, 64)
        return cls(
            filled=torch.from_numpy(np.ascontiguousarray(filled.transpose(0, 3, 2, 1))).to(device),
            colours=torch.from_numpy(np.ascontiguousarray(colours.transpose(0, 4, 3, 2, 1))).to(
                device
            ),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    inputs: HeadInput
    hints: Tensor
    filled: Tensor  # float [B, BINS, H, W], share of the bin that is filled
    back: Tensor  # float [B, 3, H, W], colour of the last surface along the ray
    coverage: Tensor  # bool [B, H, W], rays that meet the object
    up: Tensor  # [B, 3]


class ShapeTask(HeadTask):
    """Trains the shape head; see the module."""

    def __init__(
        self,
        backbone: Backbone,
        train: SceneStore,
        held_out: SceneStore | None,
        volumes: Volumes,
        *,
        adapt: int = 0,
    ) -> None:
        super().__init__(PARAMS, backbone, train, held_out, adapt=adapt)
        self.volumes = volumes

    def batch(self, size: int, generator: torch.Generator) -> _Batch:
        return self._view(self.train, self.train.some_objects(size, generator), generator)

    def loss(self, network: nn.Module, batch: _Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        maps, up = network(batch.inputs.levels, batch.inputs.photo, batch.hints)
        maps, up = maps.float(), up.float()
        logits = maps[:, :BINS]
        each = F.binary_cross_entropy_with_logits(logits, batch.filled)
        chance, truth = logits.sigmoid().flatten(1), batch.filled.flatten(1)
        dice = 1 - (2 * (chance * truth).sum(1) + 1) / ((chance + truth).sum(1) + 1)
        coverage = batch.coverage[:, None].float()
        back = ((maps[:, BINS:].sigmoid() - batch.back).abs() * coverage).sum()
        back = back / (3 * coverage.sum()).clamp_min(1)
        level = 1 - F.cosine_similarity(up, batch.up).mean()
        total = 5 * each + dice.mean() + 0.2 * back + 0.3 * level
        return total, {"bce": each, "iou": iou_of(logits, batch.filled).mean(), "back": back}

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute the mean IoU of bins, depth told and not, and the error of up in degrees."""
        if self.held_out is None:
            return {}
        values: dict[str, list[Tensor]] = {"IoU": [], "IoU untold": [], "up deg": []}
        device = self.held_out.device
        for index in torch.arange(self.held_out.objects, device=device).split(32):
            batch = self._view(self.held_out, self.held_out.these_objects(index), None)
            untold = batch.hints.clone()
            untold[:, DEPTH_HINTS] = 0
            for name, hints in (("IoU", batch.hints), ("IoU untold", untold)):
                with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                    maps, up = network(batch.inputs.levels, batch.inputs.photo, hints)
                values[name].append(iou_of(maps[:, :BINS], batch.filled))
            cosine = F.cosine_similarity(up.float(), batch.up).clamp(-1, 1)
            values["up deg"].append(cosine.acos().rad2deg())
        return {name: float(torch.cat(parts).mean()) for name, parts in values.items()}

    def score(self, figures: Mapping[str, float]) -> float:
        return (figures["IoU"] + figures["IoU untold"]) / 2

    def _view(
        self, store: SceneStore, objects: Objects, generator: torch.Generator | None
    ) -> _Batch:
        count, device = len(objects.scene), objects.scene.device
        x0, y0, x1, y1 = objects.box.unbind(1)
        longer = torch.maximum(x1 - x0, y1 - y0)
        x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, longer * (0.5 + MARGIN)
        flip = torch.zeros(count, dtype=torch.bool, device=device)
        if generator is not None:
            draw = torch.randn((3, count), generator=generator, device=device)
            x, y = x + 0.03 * longer * draw[0], y + 0.03 * longer * draw[1]
            half = half * (0.04 * draw[2]).exp()
            flip = torch.rand(count, generator=generator, device=device) > 0.5
        windows = Windows(
            scene=objects.scene,
            box=torch.stack([x - half, y - half, x + half, y + half], 1),
            flip=flip,
        )
        depth, numbers = sampled(store, windows, PATCHES)
        mask = numbers == objects.number[:, None, None]
        middle = depth.masked_fill(~mask | (depth <= 0), float("nan")).flatten(1)
        middle = middle.nanmedian(1).values.nan_to_num(1.0)
        focal = store.focal[objects.scene]
        relief = (depth / middle[:, None, None] - 1) * (focal / longer)[:, None, None]
        valid = (depth > 0).float()
        if generator is not None:
            relief, valid = _disturbed(relief, valid, generator)
        rays = _rays(store, windows, focal, PATCHES[0] * CELLS)
        mirrored = 1 - 2 * flip.float()[:, None]
        hints = torch.cat(
            [
                torch.stack(
                    [
                        mask.float(),
                        ((numbers > 0) & ~mask).float(),
                        relief.clamp(-MOST_RELIEF, MOST_RELIEF) * valid,
                        valid,
                    ],
                    1,
                ),
                # In a mirrored picture the ray goes to the other side.
                rays[:, :1] * mirrored[:, :, None, None],
                rays[:, 1:],
            ],
            1,
        )
        picture = window_pictures(store, windows, PATCHES)
        filled, back, coverage = self._truth(
            store, windows, objects, middle, longer, focal, picture
        )
        up = store.up[objects.scene]
        return _Batch(
            inputs=self.inputs(picture, PATCHES, generator),
            hints=hints,
            filled=filled,
            back=back,
            coverage=coverage,
            up=torch.cat([up[:, :1] * mirrored, up[:, 1:]], 1),
        )

    def _truth(
        self,
        store: SceneStore,
        windows: Windows,
        objects: Objects,
        middle: Tensor,
        longer: Tensor,
        focal: Tensor,
        picture: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        side = PATCHES[0] * PARAMS.scale
        rays = _rays(store, windows, focal, side)  # [B, 2, side, side], as the camera has them
        bins = NEAR + (torch.arange(BINS, device=rays.device) + 0.5) / BINS * (FAR - NEAR)
        depth = middle[:, None] * (1 + bins * (longer / focal)[:, None])  # [B, BINS]
        turn, move = objects.pose[:, :, :3], objects.pose[:, :, 3]
        inverse = torch.linalg.inv_ex(turn).inverse  # does not wait for the device, as `inv` does
        # −1…1 in the model's cube: 2 · inverse · (depth · ray − move). Sums, since a GPU's products
        # are of ten bits here, and what is subtracted is larger than the cube.
        x, y, z = (inverse[:, None, None, :, k] for k in range(3))
        across, up = rays[..., None].unbind(1)
        along = 2 * (x * across + y * up - z)  # [B, side, side, 3]
        behind = -2 * (inverse * move[:, None]).sum(2)
        local = torch.addcmul(
            behind[:, None, None, None], depth[:, :, None, None, None], along[:, None]
        )
        cubes = self.volumes.filled[objects.model][:, None].float()
        filled = F.grid_sample(cubes, local, align_corners=False)[:, 0]
        hit = filled > 0.5
        coverage = hit.any(1)
        last = BINS - 1 - hit.flip(1).float().argmax(1)
        first = hit.float().argmax(1)
        colours = self.volumes.colours[objects.model].float() / 255

        def colour_at(index: Tensor) -> Tensor:  # [B, H, W] -> [B, 3, H, W]
            where = index[:, None, :, :, None].expand(-1, -1, -1, -1, 3)
            return F.grid_sample(
                colours, local.gather(1, where), align_corners=False, padding_mode="border"
            )[:, :, 0]

        # The photo's light and the model's tint, as far as one factor a channel holds them.
        small = F.interpolate(picture, (side, side), mode="area")
        both = coverage[:, None].float()
        front = (colour_at(first) * both).sum((2, 3)) / both.sum((2, 3)).clamp_min(1)
        lit = (small * both).sum((2, 3)) / both.sum((2, 3)).clamp_min(1)
        factor = (lit / front.clamp_min(0.02)).clamp(0.2, 3)
        return filled, (colour_at(last) * factor[..., None, None]).clamp(0, 1), coverage


def _rays(store: SceneStore, windows: Windows, focal: Tensor, side: int) -> Tensor:
    """Compute tangents [B, 2, side, side] of each pixel's angles across (to the right) and up."""
    grid = windows.grid(store, side, side)
    f = focal[:, None, None]
    across = grid[..., 0] * (store.width / 2) / f
    up = -grid[..., 1] * (store.height / 2) / f
    return torch.stack([across, up], 1)


def _disturbed(relief: Tensor, valid: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Vary the depth: true, as good estimators give it (stretched, bent, blurred), or missing.

    Some is left true: a head that never can trust depth completes a shape as if it were deeper
    than what it is told (docs/log.md).
    """
    count, device = len(relief), relief.device
    kind, amount, smooth, drop = torch.rand((4, count, 1, 1), generator=generator, device=device)
    estimated = (kind < ESTIMATED).float()
    stretch = torch.randn((count, 1, 1), generator=generator, device=device)
    bend = torch.randn((count, 1, 4, 4), generator=generator, device=device)
    bend = F.interpolate(bend, relief.shape[-2:], mode="bicubic", align_corners=False)[:, 0]
    bent = relief * (STRETCH * estimated * stretch).exp() + BEND * estimated * amount * bend
    blurred = F.avg_pool2d(bent[:, None].clamp(-3, 3), 7, 1, 3, count_include_pad=False)[:, 0]
    bent = torch.where(smooth < BLURRED, blurred, bent)
    return bent, valid * (drop > WITHOUT_DEPTH).float()
