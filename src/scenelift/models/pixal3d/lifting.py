"""Projects the tokens of an object's cube into its picture, and reads features there.

The object's frame is its camera's: x right, y up, z toward the camera, which stands on the z axis.

Shape letters in this file: L tokens, B batch, C channels, h and w rows and columns of
a map, n its columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Taps", "camera_distance", "project", "taps", "token_places"]

# Half the side of the cube that the object fills.
_HALF = 0.5


def camera_distance(fov: float, scale: float = 1.0) -> float:
    """Compute the distance of a camera whose picture the cube's middle plane just fills.

    Args:
        fov: angle across the picture, in radians.
        scale: how much smaller than the cube its tokens are spread.
    """
    return _HALF / (scale * math.tan(fov / 2))


def token_places(cells: Tensor, side: int, scale: float = 1.0) -> Tensor:  # [L, 3] -> [L, 3]
    """Place the cells of a grid: the outermost on the cube's faces, as the model was trained."""
    steps = torch.linspace(-1, 1, side, device=cells.device)
    return steps[cells.long()] * (_HALF / scale)


def project(
    places: Tensor,  # [L, 3]
    *,
    fov: float,
    distance: float,
    size: int,
) -> tuple[Tensor, Tensor]:
    """Project points to pixels [L, 2] (x, y) of a picture of `size` × `size`, and depths [L]."""
    x, y, z = places.unbind(-1)
    depth = distance - z
    focal = 0.5 * size / math.tan(fov / 2)
    u = focal * x / depth + size / 2
    v = -focal * y / depth + size / 2
    return torch.stack([u, v], -1), depth


class Taps(NamedTuple):
    """The four cells of a map around each of some pixels, and their bilinear weights."""

    cells: Tensor  # int64 [L, 4], row · n + column
    weights: Tensor  # [L, 4]

    def read(self, values: Tensor) -> Tensor:  # [B, h·w, C] -> [B, L, C]
        """Return weighted means of the cells' values."""
        return torch.einsum("blkc,lk->blc", values[:, self.cells], self.weights)


def taps(pixels: Tensor, size: int, side: int) -> Taps:
    """Find where to read a map of `side` × `side` cells over a picture; beyond it, at its border.

    Args:
        pixels: [L, 2], to which half is added before they are read: as the model was trained.
        size: of the picture that the pixels are of.
        side: of the map.
    """
    at = ((pixels + 0.5) / size * side - 0.5).clamp(0, side - 1)
    low = at.floor()
    share = at - low  # [L, 2]: x, y
    low = low.long()
    high = (low + 1).clamp(max=side - 1)
    columns, rows = torch.stack([low, high], -1).unbind(1)  # each [L, 2]
    x, y = (torch.stack([1 - s, s], -1) for s in share.unbind(1))
    cells = rows[:, :, None] * side + columns[:, None, :]
    return Taps(cells.flatten(1), (y[:, :, None] * x[:, None, :]).flatten(1))
