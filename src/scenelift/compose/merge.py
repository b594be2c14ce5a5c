"""Merge objects into one scene, as splats and as meshes.

Both functions apply the same pose to shapes in the same object frame, so that the PLY and the GLB
of a scene coincide; `tests/compose` holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from scenelift.geometry.transforms import join_gaussians, pose_matrix, transform_gaussians
from scenelift.io.glb import GlbNode
from scenelift.threads import side_by_side
from scenelift.types import Gaussians, SceneObject

__all__ = ["create_scene_mesh", "make_scene"]


def make_scene(objects: Iterable[SceneObject]) -> Gaussians:
    """Join all objects' splats in the scene frame, in the order of the objects.

    Objects without splats are left out. Means and rotations are turned by the pose, scales are
    multiplied by it; `join_gaussians` says what becomes of the smoothing kernels.
    """
    parts = ((o.shape.gaussians, o.pose) for o in objects if o.shape.gaussians is not None)
    return join_gaussians(list(side_by_side(lambda part: transform_gaussians(*part), parts)))


def create_scene_mesh(objects: Iterable[SceneObject]) -> list[GlbNode]:
    """Make all objects' meshes named nodes, each with `scene_from_object` as its matrix.

    Objects without a mesh are left out.
    """
    return [
        GlbNode(name=o.title, key=o.name, mesh=o.shape.mesh, matrix=pose_matrix(o.pose))
        for o in objects
        if o.shape.mesh is not None
    ]
