"""What the embedded default learns: depth, masks, shapes."""

from __future__ import annotations

from collections.abc import Callable

from scenelift.training.network import HeadParams
from scenelift.training.tasks import depth, mask, points, shape
from scenelift.training.tasks.common import HeadTask

__all__ = ["ADAPTABLE", "HEADS"]

HEADS: dict[str, tuple[HeadParams, Callable[..., HeadTask]]] = {
    "depth": (depth.PARAMS, depth.DepthTask),
    "mask": (mask.PARAMS, mask.MaskTask),
    "points": (points.PARAMS, points.PointsTask),
    "shape": (shape.PARAMS, shape.ShapeTask),
}
"""Name -> sizes of the head, and its task."""

ADAPTABLE = ("depth", "shape")
"""Heads that may change the backbone; masks and points keep its tokens for many clicks."""
