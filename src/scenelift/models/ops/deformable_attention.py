"""Deformable attention on a CPU: each query reads a few places of several feature maps.

https://arxiv.org/abs/2010.04159, section 4.1. PyTorch's way (`grid_sample` of every map, in another
order of axes each time) spends most of its time moving numbers about; here they are read where they
lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scenelift.jit import compiled, spread

__all__ = ["DeformableAttention", "deformable_attention"]


def deformable_attention(
    value: Tensor,  # [B, S, H, D] float32 on the CPU
    shapes: Sequence[tuple[int, int]],  # (rows, columns) of each level, S pixels in all
    locations: Tensor,  # [B, Q, H, L, P, 2]: x, y in 0…1 of each level
    weights: Tensor,  # [B, Q, H, L, P]
) -> Tensor:  # [B, Q, H · D]
    """Sum values read at places between pixels, with weights; beyond the rim they are 0."""
    sizes = np.array(shapes, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]])
    batch, queries, heads = locations.shape[:3]
    out = torch.zeros(batch, queries, heads, value.shape[-1])
    for b in range(batch):
        arrays = [t[b].contiguous().numpy() for t in (value, locations, weights)]
        spread(_sample, queries, arrays[0], sizes, starts, *arrays[1:], out[b].numpy())
    return out.flatten(2)


@compiled
def _sample(first, end, value, sizes, starts, locations, weights, out):
    """Compute some queries: all heads, levels and points of each."""
    _, heads, levels, points, _ = locations.shape
    channels = value.shape[2]
    for q in range(first, end):
        for h in range(heads):
            for level in range(levels):
                rows, columns = sizes[level]
                for p in range(points):
                    x = locations[q, h, level, p, 0] * columns - np.float32(0.5)
                    y = locations[q, h, level, p, 1] * rows - np.float32(0.5)
                    if not (-1 < x < columns and -1 < y < rows):
                        continue
                    left, top = int(np.floor(x)), int(np.floor(y))
                    for row in range(top, top + 2):
                        for column in range(left, left + 2):
                            if not (0 <= row < rows and 0 <= column < columns):
                                continue
                            near = (1 - abs(x - column)) * (1 - abs(y - row))
                            share = np.float32(near * weights[q, h, level, p])
                            pixel = starts[level] + row * columns + column
                            for c in range(channels):
                                out[q, h, c] += share * value[pixel, h, c]


class DeformableAttention(nn.Module):
    """Replaces transformers' module of that role where it computes on a CPU in float32.

    Args:
        elsewhere: that module, for other devices and types.
    """

    def __init__(self, elsewhere: nn.Module) -> None:
        super().__init__()
        self.elsewhere = elsewhere

    def forward(
        self,
        value: Tensor,
        value_spatial_shapes: Tensor,
        value_spatial_shapes_list: Sequence[tuple[int, int]],
        level_start_index: Tensor,
        sampling_locations: Tensor,
        attention_weights: Tensor,
        im2col_step: Any,
    ) -> Tensor:
        """Compute the attention; of that module's arguments, some are not needed here."""
        if value.device.type != "cpu" or value.dtype != torch.float32:
            return self.elsewhere(
                value,
                value_spatial_shapes,
                value_spatial_shapes_list,
                level_start_index,
                sampling_locations,
                attention_weights,
                im2col_step,
            )
        return deformable_attention(
            value, value_spatial_shapes_list, sampling_locations, attention_weights
        )
