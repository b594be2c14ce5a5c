"""The background stage: rebuild floor, walls and surroundings without the objects.

It has two halves: `look_around` (surroundings.py) needs no object; `rebuild` needs them where they
were placed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenelift.background.layers import Reliefs
from scenelift.background.shape import mesh_of, splats_of
from scenelift.background.surroundings import MOST_FACES, Surroundings, look_around
from scenelift.geometry.transforms import pose_matrix, transform_gaussians, transform_points
from scenelift.progress import Reporter, silent
from scenelift.threads import side_by_side
from scenelift.types import (
    Background,
    Image,
    Instance,
    PointMap,
    Pose,
    SceneObject,
)

__all__ = ["Mode", "lift_background", "rebuild"]

Mode = Literal["photo", "planes"]

MOST_SPLATS = 200_000
FAINT = 0.3  # splats of less opacity are no surface
POINTS_OF_AN_OBJECT = 60_000


def lift_background(
    image: Image,
    points: PointMap,
    instances: Sequence[Instance],
    *,
    objects: Sequence[SceneObject] = (),
    mode: Mode = "photo",
    factor: float = 1.0,
    seed: int = 0,
    report: Reporter | None = None,
) -> Background:
    """Turn what the photo shows around and behind the objects into geometry: both halves.

    Args:
        image, points, instances, seed: as of `look_around`.
        objects, mode, factor: as of `rebuild`.
        report: progress; raises Cancelled between steps.
    """
    report = report or silent()

    def around() -> Surroundings:
        return look_around(image, points, instances, seed=seed, report=report)

    return rebuild(around, objects, mode=mode, factor=factor, report=report)


def rebuild(
    surroundings: Callable[[], Surroundings],
    objects: Sequence[SceneObject] = (),
    *,
    mode: Mode = "photo",
    factor: float = 1.0,
    report: Reporter | None = None,
) -> Background:
    """Make the background of what is around the objects, completed where they hide it.

    Args:
        surroundings: gives what the photo shows of it, at once where it was computed before.
        objects: where they were placed in the scene, before the background.
        mode: "photo" for all that is visible, "planes" for floor, table tops and walls alone.
        factor: units of the scene in one of the point map.
        report: progress; raises Cancelled between steps.
    """
    report = report or silent()
    report.update(0, 3, "floor and walls")
    around = surroundings()
    report.update(1, 3, "depths behind the objects")
    planes, margin = around.planes, around.margin
    solid = _points_of(objects) / factor
    visible = around.visible
    while True:
        reliefs = Reliefs.of(visible, planes, solid)
        faces = reliefs.count_faces(around.picture)
        if faces <= MOST_FACES:
            break
        visible = around.coarser(visible, MOST_FACES / faces)
    layers = reliefs.layers(around.pictures, margin)
    report.update(2, 3, "mesh and splats")
    flat = mode == "planes"
    most = min(MOST_SPLATS, 2 * around.hidden.size)
    with ThreadPoolExecutor(1, thread_name_prefix="mesh") as pool:
        beside = pool.submit(mesh_of, layers, planes_only=flat)
        splats = splats_of(layers, planes_only=flat, most=most)
        mesh = beside.result()
    notes = [] if planes else ["No floor and no wall was seen: the background is a relief alone."]
    if flat and not planes:
        notes = ["No floor and no wall was seen: there is no background."]
    return Background(
        mode=mode,
        mesh=replace(mesh, vertices=(mesh.vertices * np.float32(factor)).astype(np.float32)),
        gaussians=transform_gaussians(splats, Pose(scale=factor)),
        planes=tuple(p.kind for p in planes),
        up=around.up,
        levels=tuple(float(h) * factor for h in around.levels),
        notes=tuple(notes),
    )


def _points_of(objects: Sequence[SceneObject]) -> NDArray[np.float64]:
    """Collect points [N, 3] of objects in the scene: means of their splats, or mesh corners."""

    def points_of(o: SceneObject) -> NDArray[np.float64]:
        shape = o.shape
        if shape.gaussians is not None and len(shape.gaussians):
            own = shape.gaussians.means
            solid = np.flatnonzero(shape.gaussians.opacities > FAINT)
        elif shape.mesh is not None:
            own = shape.mesh.vertices
            solid = np.arange(len(own))
        else:
            return np.zeros((0, 3))
        some = solid[:: -(-len(solid) // POINTS_OF_AN_OBJECT) or 1]
        return transform_points(own[some], pose_matrix(o.pose))

    return np.concatenate([np.zeros((0, 3)), *side_by_side(points_of, objects)])
