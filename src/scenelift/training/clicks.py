"""Clicks as people give them: in the middle of what is wrong with a mask, one after the other.

Shape letters in this file: B batch, H and W pixels of a head's hints, h and w patches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from scenelift.training.network import CELLS
from scenelift.training.points import POINT_HINTS

__all__ = ["Session", "depth_inside", "next_clicks"]

RADIUS = 3.0  # of the disc at a point, in pixels of the hints
ALIKE = (2, 3)  # levels of the backbone that are compared: the later ones tell things apart
STRIDE = 2  # pixels between those where clicks may be


class Session:
    """The hints of points that were clicked in some windows so far.

    Args:
        levels: 4 × [B, 1 + h·w, 384], the backbone's tokens.
        shape: H and W.
    """

    def __init__(self, levels: Sequence[Tensor], shape: tuple[int, int]) -> None:
        self._units = [F.normalize(levels[k][:, 1:].float(), dim=-1) for k in ALIKE]
        count, device = len(levels[0]), levels[0].device
        self.hints = torch.zeros(count, POINT_HINTS, *shape, device=device)  # [B, 7, H, W]
        self.hints[:, 3:] = -1
        self._rows = torch.arange(shape[0], device=device)[:, None]
        self._columns = torch.arange(shape[1], device=device)

    def click(self, row: Tensor, column: Tensor, positive: Tensor, valid: Tensor) -> None:
        """Add a point to each window where it is valid; all [B]."""
        height, width = self.hints.shape[2:]
        away = (self._rows - row[:, None, None]) ** 2 + (self._columns - column[:, None, None]) ** 2
        patch = (row // CELLS) * (width // CELLS) + column // CELLS
        alike = []
        for units in self._units:
            under = units.gather(1, patch[:, None, None].expand(-1, 1, units.shape[2]))
            # Not a product of matrices, which would be of bfloat16 in training.
            cosine = (units * under).sum(-1)
            cosine = cosine.reshape(-1, 1, height // CELLS, width // CELLS)
            alike.append(F.interpolate(cosine, scale_factor=CELLS, mode="nearest")[:, 0])
        disc = (away <= RADIUS**2).float()
        for kind, here in enumerate((positive & valid, ~positive & valid)):
            new = {kind: disc, **{3 + 2 * kind + k: cosine for k, cosine in enumerate(alike)}}
            for channel, value in new.items():
                old = self.hints[:, channel]
                self.hints[:, channel] = torch.where(
                    here[:, None, None], torch.maximum(old, value), old
                )

    def show(self, logits: Tensor) -> None:
        """Tell the mask so far, [B, H, W]."""
        self.hints[:, 2] = 2 * logits.sigmoid() - 1


def next_clicks(
    truth: Tensor,  # bool [B, H, W]
    mask: Tensor,  # bool [B, H, W]
    middle: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # 4 × [B]
    """Choose where the largest errors of masks are clicked.

    Args:
        middle: the click is somewhere at this or more of the largest distance to the error's edge.

    Returns:
        Row; column; whether the click adds; whether there is an error to click at all.
    """
    truth, mask = truth[:, ::STRIDE, ::STRIDE], mask[:, ::STRIDE, ::STRIDE]
    missing, extra = depth_inside(truth & ~mask), depth_inside(mask & ~truth)
    positive = missing.flatten(1).amax(1) >= extra.flatten(1).amax(1)
    depth = torch.where(positive[:, None, None], missing, extra).flatten(1)
    deepest = depth.amax(1, keepdim=True)
    chance = torch.rand(depth.shape, generator=generator, device=depth.device)
    place = (chance * (depth >= middle * deepest) * (depth > 0)).argmax(1)
    row, column = place // truth.shape[2], place % truth.shape[2]
    return STRIDE * row, STRIDE * column, positive, deepest[:, 0] > 0


def depth_inside(region: Tensor) -> Tensor:  # bool [B, H, W] -> float [B, H, W]
    """Compute about how far it is to the region's edge, which the picture's border is too.

    Squares and crosses are taken away in turns, so that distances are those of octagons.
    """
    rest = F.pad(region.to(torch.float16 if region.is_cuda else torch.float32), (1, 1, 1, 1))
    depth = torch.zeros_like(rest)
    for step in range((min(region.shape[1:]) + 1) // 2):
        depth += rest
        removed = 1 - rest[:, None]
        if step % 2:
            removed = F.max_pool2d(removed, 3, 1, 1)
        else:
            across = F.max_pool2d(removed, (1, 3), 1, (0, 1))
            removed = torch.maximum(across, F.max_pool2d(removed, (3, 1), 1, (1, 0)))
        rest = 1 - removed[:, 0]
    return depth[:, 1:-1, 1:-1].float()
