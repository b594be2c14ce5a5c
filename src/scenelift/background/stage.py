"""The background stage: rebuild floor, walls and surroundings without the objects.

It has two halves: `look_around` (surroundings.py) needs no object; `rebuild` needs them where they
were placed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from scenelift.background.inpaint import complete
from scenelift.background.relief import backstop, relief_behind, relief_behind_edges
from scenelift.background.shape import JUMP, Layer, count_faces, mesh_of, splats_of
from scenelift.background.surroundings import Surroundings, look_around
from scenelift.geometry.transforms import pose_matrix, transform_gaussians, transform_points
from scenelift.progress import Reporter, silent
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

BEHIND_EDGES = 14  # cells that what is behind goes on at a jump of the depth
MOST_FACES = 60_000
MOST_SPLATS = 200_000
BLUR = 0.015  # of the longer side: the picture of what is behind everything
SMALL_BLUR = 3.0  # pixels of the picture in which that is blurred
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
    report.update(0, 4, "floor and walls")
    around = surroundings()
    report.update(1, 4, "depths behind the objects")
    hidden, margin, planes = around.hidden, around.margin, around.planes
    solid = _points_of(objects) / factor
    cells = around.cells
    while True:
        relief = relief_behind(around.visible(cells), planes, solid)
        second = relief_behind_edges(relief, planes, jump=JUMP, reach=BEHIND_EDGES)
        sheet = backstop(relief, reach=BEHIND_EDGES)
        layers = [
            Layer(relief=relief, pixels=around.picture, photo_box=margin.photo_box(hidden)),
            Layer(relief=sheet, pixels=around.picture, whole=True),
        ]
        if second is not None:
            layers.append(Layer(relief=second, pixels=around.picture, within=second.filled))
        faces = count_faces(layers, planes_only=False)
        if faces <= MOST_FACES:
            break
        cells = int(cells * 0.95 * MOST_FACES / faces)

    report.update(2, 4, "the picture behind the objects")

    behind = again = around.completed
    layers[0] = replace(layers[0], pixels=margin.mirrored(behind))
    if second is not None and second.front is not None:
        front = margin.on_photo(_grown(second.front), hidden)
        again = complete(behind, front, margin.on_photo(second.surface, hidden))
        layers[2] = replace(layers[2], pixels=margin.mirrored(again))
    layers[1] = replace(layers[1], pixels=_blurred(margin.mirrored(again)))
    report.update(3, 4, "mesh and splats")
    flat = mode == "planes"
    mesh = mesh_of(layers, planes_only=flat)
    splats = splats_of(layers, planes_only=flat, most=min(MOST_SPLATS, 2 * hidden.size))
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
    points = [np.zeros((0, 3))]
    for o in objects:
        shape = o.shape
        if shape.gaussians is not None and len(shape.gaussians):
            own = shape.gaussians.means[shape.gaussians.opacities > FAINT]
        elif shape.mesh is not None:
            own = shape.mesh.vertices
        else:
            continue
        some = own[:: -(-len(own) // POINTS_OF_AN_OBJECT) or 1]
        points.append(transform_points(some, pose_matrix(o.pose)))
    return np.concatenate(points)


def _blurred(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blur a picture until nothing in it looks like a thing; light and colours stay.

    It is made smaller for it: at full size it would take as long as all else of the layers.
    """
    height, width = pixels.shape[:2]
    smaller = max(1.0, BLUR * max(height, width) / SMALL_BLUR)
    size = max(1, round(width / smaller)), max(1, round(height / smaller))
    picture = Pillow.fromarray(pixels)
    small = np.asarray(picture.resize(size, Pillow.Resampling.BOX), np.float32)
    sigma = BLUR * max(height, width) / smaller
    soft = np.asarray(ndimage.gaussian_filter(small, (sigma, sigma, 0)))
    enlarged = Pillow.fromarray(np.rint(soft).astype(np.uint8)).resize(
        (width, height), Pillow.Resampling.BICUBIC
    )
    return np.asarray(enlarged)


def _grown(crossings: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grow a mask by the grid's crossings that touch it."""
    return np.asarray(ndimage.binary_dilation(crossings, np.ones((3, 3), bool)), bool)
