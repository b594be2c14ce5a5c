"""The compose stage: refine poses, make objects stand, separate them, score the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.metric import scale_from
from scenelift.compose.placed_object import PlacedObject
from scenelift.compose.refine import refine
from scenelift.compose.score import depth_confidence, score
from scenelift.compose.separate import Solid, separate, solid_of
from scenelift.compose.stand import stand
from scenelift.compose.surfels import surfels_of
from scenelift.errors import ReconstructionError
from scenelift.geometry.ground import find_ground
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.jit import shared_by
from scenelift.options import LayoutOptions
from scenelift.progress import Reporter, silent
from scenelift.threads import side_by_side
from scenelift.types import Image, Instance, Layout, Placement, PointMap, Pose, SceneObject

__all__ = ["find_place", "lay_out"]

DENSE = 40_000  # points that fill the voxels a surface crosses
SIDE_BY_SIDE = 8  # objects that are refined at the same time
SAME = 0.9  # IoU of masks that show one thing twice
CAMERA_UP = np.array([0.0, 1.0, 0.0])


def lay_out(
    objects: Sequence[SceneObject],
    image: Image,
    points: PointMap,
    options: LayoutOptions | None = None,
    *,
    seed: int = 0,
    report: Reporter | None = None,
    early_place: Callable[[SceneObject], PlacedObject | str | None] = lambda o: None,
) -> Layout:
    """Find the places of a photo's objects in the scene.

    An object that cannot be judged (no surface, nothing seen) keeps its pose, with a note.

    Args:
        objects: with their first poses, in the frame and units of `points`.
        image, points: of one size with the masks.
        options: what to do.
        seed: makes the result repeatable; object k uses seed + k.
        report: progress; raises Cancelled between objects.
        early_place: gives what `find_place` gave for an object before, or None.
    """
    options, report = options or LayoutOptions(), report or silent()
    notes: list[str] = []
    placed_objects: dict[int, PlacedObject] = {}
    why_not: dict[int, str] = {}
    callers = min(len(objects), SIDE_BY_SIDE)

    def find(o: SceneObject) -> PlacedObject | str:
        early = early_place(o)
        if early is not None:
            return early
        return find_place(o, image, points, options, seed=seed, callers=callers)

    # Each on its own, so side by side: most of the time goes into kernels without Python's lock.
    poses_of_objects = side_by_side(find, objects, most=SIDE_BY_SIDE)
    for number, (o, place) in enumerate(zip(objects, poses_of_objects, strict=True)):
        report.update(number + 1, len(objects) + 1, o.name)
        if isinstance(place, PlacedObject):
            placed_objects[o.index] = place
        else:
            why_not[o.index] = place

    up, levels = CAMERA_UP, ()
    instances = {o.index: o.instance for o in objects}
    movable = [
        placed_objects[o.index] for o in objects if o.index in placed_objects and not o.in_place
    ]
    repair = options.repair and not all(o.in_place for o in objects)
    if repair or options.known:
        report.update(len(objects), len(objects) + 1, "ground and contacts")
        ground = find_ground(points, list(instances.values()))
        if ground is not None:
            up, levels = ground.up, ground.levels
        if repair and movable:
            if ground is None:
                notes.append("No ground was seen: nothing was made to stand on it.")
            else:
                stand(movable, ground, np.random.default_rng(seed))
            notes += _separate({p.index: p for p in movable}, objects, up)

    factor, units, scale_note = 1.0, "scene units", ""
    if points.scale != "relative":
        factor, units, scale_note = points.metres_per_unit, "metres", points.scale_note
    if options.known:
        scale = scale_from(
            options.known, list(placed_objects.values()), [instances[k] for k in placed_objects], up
        )
        if scale is None:
            labels = ", ".join(repr(k.label) for k in options.known)
            notes.append(f"No object is called {labels}: lengths are in {units} as without it.")
        else:
            factor, units, scale_note = scale.factor, "metres", scale.note
    if scale_note:
        notes.append(scale_note)

    return Layout(
        placements=tuple(
            _placement(placed_objects[o.index], factor, depth_confidence(o.instance, points))
            if o.index in placed_objects
            else Placement(index=o.index, pose=_grown(o.pose, factor), notes=(why_not[o.index],))
            for o in objects
        ),
        units=units,
        factor=factor,
        up=(float(up[0]), float(up[1]), float(up[2])),
        levels=tuple(float(h) * factor for h in levels),
        notes=tuple(notes),
    )


def find_place(
    o: SceneObject,
    image: Image,
    points: PointMap,
    options: LayoutOptions,
    *,
    seed: int = 0,
    callers: int = SIDE_BY_SIDE,
) -> PlacedObject | str:
    """Refine the pose of one object by what the photo shows of it; no other one matters.

    Args:
        o: the object, with its first pose.
        image, points, options, seed: as of `lay_out`.
        callers: how many objects this is done for at the same time.

    Returns:
        The object, or why its pose cannot be judged.
    """
    with shared_by(callers), ThreadPoolExecutor(1, thread_name_prefix="surfels") as beside:
        try:
            p = PlacedObject.of(o, image, points)
        except (ReconstructionError, ValueError) as exc:
            return f"Its pose is as it came: {exc}"
        may_move = options.repair and not o.in_place
        dense = beside.submit(surfels_of, o.shape, DENSE) if may_move else None
        if options.refine and not o.in_place:
            refine(p, np.random.default_rng(seed + o.index))
        if dense is not None:
            p.dense_points = dense.result().points
    return p


def _separate(
    placed_objects: Mapping[int, PlacedObject],
    objects: Sequence[SceneObject],
    up: NDArray[np.float64],
) -> list[str]:
    """Separate objects that pierce each other, except two results for the same thing."""
    twice = _twice([o.instance for o in objects if o.index in placed_objects])
    alone = [p for k, p in enumerate(placed_objects.values()) if k not in twice]

    def solid(p: PlacedObject) -> Solid:
        assert p.dense_points is not None
        return solid_of(p.dense_points, -up @ p.pose[:, :3])

    separate(alone, list(side_by_side(solid, alone)), up)
    return [
        f"{p.name} has the same mask as another object: they were left where they are."
        for k, p in enumerate(placed_objects.values())
        if k in twice
    ]


def _twice(instances: Sequence[Instance]) -> set[int]:
    """Find instances that show the same thing as an earlier one."""
    doubles: set[int] = set()
    boxes = [instance.box_of(instance.mask) for instance in instances]
    for b in range(len(instances)):
        for a in range(b):
            if not _overlap(boxes[a], boxes[b]):
                continue
            both = int((instances[a].mask & instances[b].mask).sum())
            if both > SAME * int((instances[a].mask | instances[b].mask).sum()):
                doubles.add(b)
    return doubles


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    """Return whether two boxes, x0 y0 x1 y1, have pixels in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _placement(p: PlacedObject, factor: float, figures: Mapping[str, float]) -> Placement:
    pose = pose_from_matrix(np.vstack([p.pose, [0.0, 0.0, 0.0, 1.0]]))
    return Placement(
        index=p.index,
        pose=_grown(pose, factor),
        quality={**score(p), **figures},
        notes=tuple(p.notes),
    )


def _grown(pose: Pose, factor: float) -> Pose:
    """Convert a pose to units of which `factor` make one old unit; the camera sees the same."""
    x, y, z = (factor * t for t in pose.translation)
    return Pose(rotation=pose.rotation, translation=(x, y, z), scale=factor * pose.scale)
