"""Meshes as binary STL, for printers: one closed body per object, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scenelift.errors import FormatError
from scenelift.geometry.transforms import transform_points
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode

__all__ = ["write_stl"]

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_stl(path: Path, nodes: Sequence[GlbNode], *, longest_mm: float = 100.0) -> None:
    """Write all objects in their places, z up, standing on z = 0, as printers expect.

    STL has no unit; its readers take numbers for millimetres.

    Args:
        path: the file, replaced atomically.
        nodes: meshes with their poses.
        longest_mm: longest side of what is written. A scene in metres keeps its proportions too:
            a printed room is a model of one.

    Raises:
        FormatError: there is no face.
        OutputError: the file cannot be written.
    """
    corners = [
        transform_points(node.mesh.vertices, node.matrix)[node.mesh.faces]
        for node in nodes
        if len(node.mesh.faces)
    ]
    if not corners:
        raise FormatError(f"There is no mesh to write to {path.name}.")
    triangles = np.concatenate(corners) @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # y → z
    low, high = triangles.min((0, 1)), triangles.max((0, 1))
    triangles = (triangles - [*(low[:2] + high[:2]) / 2, low[2]]) * longest_mm / (high - low).max()
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    solid = length[:, 0] > 0  # slicers stumble over faces without an area
    records = np.zeros(int(solid.sum()), _RECORD)
    records["normal"] = (normals[solid] / length[solid]).astype(np.float32)
    records["corners"] = triangles[solid].astype(np.float32)
    header = b"scenelift, millimetres".ljust(80) + np.uint32(len(records)).tobytes()
    write_bytes(path, header + records.tobytes())
