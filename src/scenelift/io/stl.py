"""Write meshes as binary STL for printers: one closed body per object, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import FormatError
from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.io.printing import in_millimetres

__all__ = ["stl_bytes", "write_stl"]

_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_stl(path: Path, nodes: Sequence[GlbNode], *, metres: bool = False) -> None:
    """Write all objects in their places, z up, standing on z = 0, as printers expect.

    STL has no unit; its readers take numbers for millimetres.

    Args:
        path: the file, replaced atomically.
        nodes: meshes with their poses.
        metres: whether the scene's unit is the metre: sizes are then true; otherwise the longest
            side is 100 mm.

    Raises:
        FormatError: there is no face.
        OutputError: the file cannot be written.
    """
    corners = [v[node.mesh.faces] for node, v in in_millimetres(nodes, metres=metres)]
    if not corners:
        raise FormatError(f"There is no mesh to write to {path.name}.")
    triangles = np.concatenate(corners)
    write_bytes(path, stl_bytes(triangles))


def stl_bytes(triangles: NDArray[np.floating]) -> bytes:  # [F, 3, 3]
    """Write triangles as binary STL; those without an area are left out."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    solid = length[:, 0] > 0  # slicers stumble over faces without an area
    records = np.zeros(int(solid.sum()), _RECORD)
    records["normal"] = (normals[solid] / length[solid]).astype(np.float32)
    records["corners"] = triangles[solid].astype(np.float32)
    header = b"scenelift".ljust(80) + np.uint32(len(records)).tobytes()
    return header + records.tobytes()
