"""Points for a head that was trained without any: further weights beside its own.

Without points all that is added is exactly zero, so that the head answers boxes as before. With
points every patch is told how alike the patches under them are, and a small adapter after each
block (https://arxiv.org/abs/1902.00751) lets the frozen blocks make use of it.

Shape letters in this file: B batch, h and w patch rows and columns, N = 1 + h·w tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["POINT_HINTS", "PointPrompts"]

POINT_HINTS = 7
"""Discs at points on the object; at points beside it; the mask so far, −1…1, 0 where there is none;
the cosine of each patch to the likest one under a point on the object, of h8 and of feat; the same
of points beside it. Cosines are −1 where there is no such point."""
CUT = 2  # cells a side of a patch in which hints are averaged
HIDDEN, NARROW, LAST = 64, 128, 16


class PointPrompts(nn.Module):
    """Adds points and an earlier mask to a head's tokens, and to what it sees and says of pixels.

    Args:
        width: of the tokens.
        blocks: of the head.
        stem: channels of the head's picture at full resolution.
        channels: of its last layer, at full resolution too.
        cells: pixels a patch of the hints.
    """

    def __init__(self, width: int, blocks: int, stem: int, channels: int, cells: int) -> None:
        super().__init__()
        self.width, self.cells = width, cells
        inputs = POINT_HINTS * CUT**2
        self.embed = nn.Sequential(nn.Linear(inputs, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, width))
        self.adapters = nn.ModuleList(
            nn.Sequential(nn.Linear(width + inputs, NARROW), nn.GELU(), nn.Linear(NARROW, width))
            for _ in range(blocks)
        )
        self.fine = nn.Conv2d(POINT_HINTS, stem, 3, padding=1, bias=False)
        self.last = nn.Sequential(
            nn.Conv2d(channels + POINT_HINTS, LAST, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(LAST, 1, 3, padding=1),
        )
        # Nothing is added at first.
        for part in (self.embed, *self.adapters, self.last, nn.Sequential(self.fine)):
            for parameter in [*part.modules()][-1].parameters():
                nn.init.zeros_(parameter)

    def parts(self, points: Tensor) -> Tensor:  # [B, 7, cells · h, cells · w] -> [B, h·w, 28]
        """Average the hints in quarters of each patch."""
        cut = F.avg_pool2d(points, self.cells // CUT)
        return F.pixel_unshuffle(cut, CUT).flatten(2).transpose(1, 2)

    def tokens(self, parts: Tensor, gate: Tensor) -> Tensor:  # [B, N, D]
        """Compute what points add to the tokens before the first block; 0 for the class token."""
        return F.pad(self.embed(parts) * gate[:, None, None], (0, 0, 1, 0))

    def change(self, block: int, x: Tensor, parts: Tensor, gate: Tensor) -> Tensor:  # [B, N, D]
        """Compute what points change in the tokens after a block."""
        inputs = torch.cat([F.layer_norm(x, (self.width,)), F.pad(parts, (0, 0, 1, 0))], -1)
        return self.adapters[block](inputs) * gate[:, None, None]

    def seen(self, points: Tensor, gate: Tensor) -> Tensor:  # [B, stem, cells · h, cells · w]
        """Compute what points add to the picture at full resolution."""
        return self.fine(points) * gate[:, None, None, None]

    def said(self, features: Tensor, points: Tensor, gate: Tensor) -> Tensor:  # [B, 1, …]
        """Compute what points add to the answer, from what the last layer sees."""
        return self.last(torch.cat([features, points], 1)) * gate[:, None, None, None]


def any_point(points: Tensor) -> Tensor:  # [B], 0 or 1
    """Tell which pictures of a batch have points: only these are answered otherwise."""
    return (points[:, :2].flatten(1).amax(1) > 0).to(points.dtype)
