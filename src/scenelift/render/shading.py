"""What all mesh rasterisers share: the light of their one contract."""

from __future__ import annotations

from typing import Literal

Shading = Literal["none", "headlight"]

PLAIN = 0.6  # linear grey of a mesh without colours
AMBIENT = 0.3  # share of the light that reaches a surface seen edge-on
