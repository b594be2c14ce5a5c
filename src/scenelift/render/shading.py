"""What all mesh rasterisers share: the light of their one contract, and pixels of samples."""

from __future__ import annotations

from typing import Any, Literal

Shading = Literal["none", "headlight"]

PLAIN = 0.6  # linear grey of a mesh without colours
AMBIENT = 0.3  # share of the light that reaches a surface seen edge-on


def block_means(samples: Any, k: int) -> Any:
    """Average k × k blocks of an array or tensor [kH, kW, …] -> [H, W, …]."""
    if k == 1:
        return samples
    height, width = samples.shape[0] // k, samples.shape[1] // k
    return samples.reshape(height, k, width, k, *samples.shape[2:]).mean((1, 3))
