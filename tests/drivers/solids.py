"""Objects of simple shapes in places of a test's choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from scenelift.types import Instance, Mesh, Pose, SceneObject, Shape

__all__ = ["box", "leaning", "thing"]


def thing(
    index: int,
    label: str,
    shape: trimesh.Trimesh,
    place: Sequence[float],
    *,
    turn: Sequence[float] = (0.0, 0.0, 0.0),
    scale: float = 1.0,
) -> SceneObject:
    """An object of the scene (y up), turned by Euler angles in degrees about x, y, z."""
    x, y, z, w = (float(v) for v in Rotation.from_euler("xyz", turn, degrees=True).as_quat())
    mesh = Mesh(vertices=shape.vertices.astype(np.float32), faces=shape.faces.astype(np.int32))
    right, up, near = (float(v) for v in place)
    return SceneObject(
        index=index,
        instance=Instance(mask=np.ones((2, 2), bool), label=label, score=1, box=(0, 0, 2, 2)),
        shape=Shape(mesh=mesh),
        pose=Pose(scale=scale, rotation=(w, x, y, z), translation=(right, up, near)),
    )


def box(*sides: float) -> trimesh.Trimesh:
    """A box about the origin."""
    return trimesh.creation.box(extents=sides)


def leaning() -> trimesh.Trimesh:
    """A slanted post, a metre high, whose mass centre is not over its foot."""
    post = box(0.1, 1.0, 0.1)
    post.vertices[post.vertices[:, 1] > 0, 0] += 0.6
    return post
