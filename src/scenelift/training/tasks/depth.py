"""Depth of every pixel, how sure it is, where the sky is; the camera's focal length and tilt.

Depth is learned as a logarithm. Its mean over a photo is one number the head gives apart from the
shape of the map, because one photo tells the shape well and the scale badly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.training.backbone import Backbone
from scenelift.training.network import HeadParams
from scenelift.training.store import SceneStore
from scenelift.training.tasks.common import HeadInput, HeadTask, patch_grid
from scenelift.training.views import Windows, sampled, window_pictures

__all__ = ["PARAMS", "DepthTask"]

PARAMS = HeadParams(hints=2, pixels=3, globals=5, scale=8, blocks=5, channels=(128, 64, 24))
"""Hints: where a pixel is across and down, −1…1, of the longer side. Pixels: log depth, log of its
expected error, logit of sky. Globals: log of the median depth in metres, log of the focal length
over the longer side, the world's up in the camera frame (not normalised)."""

GRIDS = (
    *((24, 32), (24, 32), (28, 28), (32, 24), (20, 36), (27, 36), (18, 24)),
    *((30, 40), (36, 27)),
)
HELD_GRID = (24, 32)
LEAST_CROP = 0.4  # of the photo's sides
SCALES = (1, 2, 4, 8)  # of the gradient terms, in cells


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    inputs: HeadInput
    hints: Tensor
    depth: Tensor  # [B, H, W], 0 for the sky
    trusted: Tensor  # bool [B, H, W]: not a photograph behind the objects
    focal: Tensor  # [B], over the longer side
    up: Tensor  # [B, 3]
    metric: Tensor  # bool [B]


class DepthTask(HeadTask):
    """Trains the depth head; see the module."""

    def __init__(
        self,
        backbone: Backbone,
        train: SceneStore,
        held_out: SceneStore | None,
        *,
        adapt: int = 0,
    ) -> None:
        super().__init__(PARAMS, backbone, train, held_out, adapt=adapt)

    def batch(self, size: int, generator: torch.Generator) -> _Batch:
        patches = patch_grid(GRIDS, generator)
        scene = self.train.some_scenes(size, generator)
        return self._view(self.train, scene, patches, generator)

    def loss(self, network: nn.Module, batch: _Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        maps, numbers = network(batch.inputs.levels, batch.inputs.photo, batch.hints)
        maps, numbers = maps.float(), numbers.float()
        log_depth, log_error, sky = maps.unbind(1)
        solid = batch.trusted & (batch.depth > 0)
        truth = batch.depth.clamp_min(1e-3).log()
        middle = _masked_median(truth, solid)  # [B]
        # Free of the scale: shifted until the median error is 0.
        error = log_depth - truth
        error = (error - _masked_median(error.detach(), solid)[:, None, None]) * solid
        count = solid.sum().clamp_min(1)
        shape = error.abs().sum() / count
        edges = _gradient_error(error, solid)
        expected = (error.detach().abs() * (-log_error).exp() + log_error) * solid
        sure = expected.sum() / count
        sky_loss = F.binary_cross_entropy_with_logits(sky, (~solid).float(), batch.trusted.float())
        # The map's own median should be 0, so that the number beside it is the scale.
        centred = _masked_median(log_depth, solid).abs().mean()
        scale = ((numbers[:, 0] - middle).abs() * batch.metric).mean()
        focal = (numbers[:, 1] - batch.focal.log()).abs().mean()
        up = 1 - F.cosine_similarity(numbers[:, 2:5], batch.up).mean()
        terms = {"shape": shape, "edges": edges, "scale": scale, "focal": focal, "up": up}
        total = (
            shape + 0.6 * edges + 0.05 * sure + 0.1 * sky_loss + 0.02 * centred
            + 0.1 * scale + 0.15 * focal + 0.5 * up
        )  # fmt: skip
        return total, terms

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute AbsRel after one factor a photo, and errors of scale and field of view."""
        if self.held_out is None:
            return {}
        rows = []
        for start in range(0, self.held_out.scenes, 8):
            scene = torch.arange(
                start, min(start + 8, self.held_out.scenes), device=self.held_out.device
            )
            batch = self._view(self.held_out, scene, HELD_GRID, None)
            maps, numbers = network(batch.inputs.levels, batch.inputs.photo, batch.hints)
            for k in range(len(scene)):
                solid = batch.depth[k] > 0
                estimate, truth = maps[k, 0].float().exp()[solid], batch.depth[k][solid]
                ratio = estimate * (truth / estimate).median() / truth
                rows.append(
                    (
                        (ratio - 1).abs().mean(),
                        (torch.maximum(ratio, 1 / ratio) < 1.25).float().mean(),
                        (numbers[k, 1].float() - batch.focal[k].log()).abs(),
                        F.cosine_similarity(numbers[k, 2:5].float(), batch.up[k], dim=0)
                        .clamp(-1, 1).acos().rad2deg(),
                    )
                )  # fmt: skip
        means = torch.tensor(rows).mean(0).tolist()
        return dict(zip(("AbsRel", "delta", "log focal", "up deg"), means, strict=True))

    def score(self, figures: Mapping[str, float]) -> float:
        return -figures["AbsRel"]

    def _view(
        self,
        store: SceneStore,
        scene: Tensor,
        patches: tuple[int, int],
        generator: torch.Generator | None,
    ) -> _Batch:
        windows = _windows(store, scene, patches, generator)
        depth, _ = sampled(store, windows, patches)
        x0, y0, x1, y1 = windows.box.unbind(1)
        # In a mirror the world's up points to the other side.
        mirrored = 1 - 2 * windows.flip.float()
        up = torch.cat([store.up[scene, :1] * mirrored[:, None], store.up[scene, 1:]], 1)
        valid = depth >= 0
        return _Batch(
            inputs=self.inputs(window_pictures(store, windows, patches), patches, generator),
            hints=position_hints(len(scene), patches, scene.device),
            depth=depth,
            trusted=valid,
            focal=store.focal[scene] / torch.maximum(x1 - x0, y1 - y0),
            up=up,
            metric=store.metric[scene],
        )


def position_hints(count: int, patches: tuple[int, int], device: torch.device) -> Tensor:
    """Build [count, 2, 8h, 8w]: across and down from the middle, over half the longer side."""
    height, width = (side * 8 for side in patches)
    half = max(height, width) / 2
    x = (torch.arange(width, device=device) + 0.5 - width / 2) / half
    y = (torch.arange(height, device=device) + 0.5 - height / 2) / half
    both = torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)])
    return both[None].expand(count, -1, -1, -1)


def _windows(
    store: SceneStore,
    scene: Tensor,
    patches: tuple[int, int],
    generator: torch.Generator | None,
) -> Windows:
    """Choose the whole photo, or a random part of it with square pixels."""
    count, device = len(scene), scene.device
    aspect = patches[1] / patches[0]
    width = min(store.width, store.height * aspect)
    if generator is None:
        draw = torch.full((3, count), 0.5, device=device)
        size = torch.full((count,), width, device=device)
    else:
        draw = torch.rand((3, count), generator=generator, device=device)
        share = (
            LEAST_CROP
            + (1 - LEAST_CROP) * torch.rand(count, generator=generator, device=device).sqrt()
        )
        size = width * share
    # Towards the middle, where the camera's axis is: cropped photos are usually cropped evenly.
    x0 = (store.width - size) * (0.5 + 0.7 * (draw[0] - 0.5))
    y0 = (store.height - size / aspect) * (0.5 + 0.7 * (draw[1] - 0.5))
    box = torch.stack([x0, y0, x0 + size, y0 + size / aspect], 1)
    return Windows(scene=scene, box=box, flip=draw[2] > 0.5)


def _masked_median(values: Tensor, mask: Tensor) -> Tensor:  # [B, H, W] -> [B]
    flat = values.masked_fill(~mask, float("nan")).flatten(1)
    return flat.nanmedian(1).values.nan_to_num(0.0)


def _gradient_error(error: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean error of differences between neighbours at several distances.

    The loss of MegaDepth (https://arxiv.org/abs/1804.00607) on logarithms.
    """
    total = error.new_zeros(())
    for step in SCALES:
        e, m = error[:, ::step, ::step], mask[:, ::step, ::step]
        for axis in (1, 2):
            a, b = e.narrow(axis, 1, e.shape[axis] - 1), e.narrow(axis, 0, e.shape[axis] - 1)
            both = m.narrow(axis, 1, e.shape[axis] - 1) & m.narrow(axis, 0, e.shape[axis] - 1)
            total = total + ((a - b).abs() * both).sum() / both.sum().clamp_min(1)
    return total / len(SCALES)
