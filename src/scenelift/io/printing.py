"""Arrange objects for 3D printers: z up, standing on z = 0, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.transforms import transform_points
from scenelift.io.glb import GlbNode

__all__ = ["MODEL_MM", "in_millimetres"]

MODEL_MM = 100.0
"""Longest side of a scene without a scale of its own."""

Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # rows: y goes to z


def in_millimetres(
    nodes: Sequence[GlbNode], *, metres: bool
) -> list[tuple[GlbNode, NDArray[np.float64]]]:
    """Convert vertices [V, 3] of every object with faces to millimetres, centred on the plate.

    Args:
        nodes: in the scene frame.
        metres: whether the scene's unit is the metre: then sizes are true, a cup of 0.1 m is
            100 mm high; otherwise the longest side of all together is `MODEL_MM`.
    """
    node_vertices = [
        (node, transform_points(node.mesh.vertices, node.matrix).astype(np.float64) @ Z_UP)
        for node in nodes
        if len(node.mesh.faces)
    ]
    if not node_vertices:
        return []
    points = np.concatenate([v[np.unique(node.mesh.faces)] for node, v in node_vertices])
    low, high = points.min(0), points.max(0)
    origin = np.array([*(low[:2] + high[:2]) / 2, low[2]])
    factor = 1000.0 if metres else MODEL_MM / max(float((high - low).max()), 1e-12)
    return [(node, (v - origin) * factor) for node, v in node_vertices]
