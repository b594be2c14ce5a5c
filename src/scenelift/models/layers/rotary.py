"""Rotary positions: queries and keys are turned by angles that grow with where their token stands.

A product of a turned query and a turned key depends on the difference of their positions alone
(https://arxiv.org/abs/2104.09864). Models differ in which numbers of a head are turned together:
neighbours in TRELLIS.2, those half a head apart in DINOv3 and NAF.

Shape letters in this file: L tokens, H heads, E channels of a head.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Rotation", "grid_rotation", "picture_rotation", "turn_halves", "turn_neighbours"]


class Rotation(NamedTuple):
    """Cosine and sine of the angle by which each pair of a head's numbers is turned."""

    cos: Tensor  # float32 [..., L, E/2]
    sin: Tensor  # float32 [..., L, E/2]


def grid_rotation(coords: Tensor, channels: int, *, base: float = 10000.0) -> Rotation:
    """Compute voxels' angles: a sixth of the channels for each axis; pairs left over do not turn.

    Args:
        coords: [..., L, 3] grid coordinates.
        channels: E, even.
        base: ratio of the fastest to the slowest frequency, about.
    """
    frequencies = channels // 6
    exponents = torch.arange(frequencies, dtype=torch.float32, device=coords.device)
    angles = coords.float()[..., None] * base ** -(exponents / max(1, frequencies))
    angles = angles.flatten(-2)  # [..., L, 3 f]
    angles = F.pad(angles, (0, channels // 2 - angles.shape[-1]))
    return Rotation(angles.cos(), angles.sin())


def picture_rotation(
    rows: int, columns: int, channels: int, *, device: torch.device | None = None
) -> Rotation:  # [rows · columns, E/2]
    """Compute angles of a picture's cells, by rows: a quarter of the channels for y, then for x.

    A cell's place is that of its centre, −1 … 1 along each side of the picture.
    """
    quarter = channels // 4
    periods = 100.0 ** (torch.arange(quarter, dtype=torch.float32, device=device) / quarter)
    centres = [
        2 * (torch.arange(n, dtype=torch.float32, device=device) + 0.5) / n - 1
        for n in (rows, columns)
    ]
    places = torch.stack(torch.meshgrid(*centres, indexing="ij"), -1).flatten(0, 1)  # [L, 2]
    angles = (2 * math.pi * places[..., None] / periods).flatten(1)
    return Rotation(angles.cos(), angles.sin())


def turn_neighbours(x: Tensor, rotation: Rotation) -> Tensor:  # [..., L, H, E]
    """Turn each number with the one beside it, in float32."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = (part.unsqueeze(-2) for part in rotation)  # the same for all heads
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


def turn_halves(x: Tensor, rotation: Rotation) -> Tensor:  # [..., L, H, E]
    """Turn each number of a head's first half with its counterpart in the second, in float32."""
    a, b = x.float().chunk(2, dim=-1)
    cos, sin = (part.unsqueeze(-2) for part in rotation)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)
