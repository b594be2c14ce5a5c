"""The compose stage: refine every pose, make things stand, take them apart, score the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenelift.compose.ground import find_ground
from scenelift.compose.placed import Placed
from scenelift.compose.refine import refine
from scenelift.compose.separate import separate, solid_of
from scenelift.compose.stand import stand
from scenelift.compose.surfels import surfels_of
from scenelift.errors import ReconstructionError
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.progress import Reporter, silent
from scenelift.types import Image, PointMap, SceneObject

__all__ = ["Layout", "LayoutOptions", "lay_out"]

DENSE = 40_000  # points that fill the voxels a surface crosses


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions:
    """What the compose stage does.

    Attributes:
        refine: make poses agree with mask, points and colours.
        repair: make things stand, and take apart what pierces each other.
    """

    refine: bool = True
    repair: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Objects in their places.

    Attributes:
        objects: as given, with new poses, figures and notes.
        notes: about the scene as a whole.
    """

    objects: tuple[SceneObject, ...]
    notes: tuple[str, ...] = ()


def lay_out(
    objects: Sequence[SceneObject],
    image: Image,
    points: PointMap,
    options: LayoutOptions | None = None,
    *,
    seed: int = 0,
    report: Reporter | None = None,
) -> Layout:
    """Put the objects of a photo in their places.

    An object that cannot be judged (no surface, nothing seen) keeps its pose, with a note.

    Args:
        objects: with their first poses, in the frame and units of `points`.
        image, points: of one size with the masks.
        seed: makes the result repeatable; object k uses seed + k.
        report: progress; raises Cancelled between objects.
    """
    options, report = options or LayoutOptions(), report or silent()
    placed: list[Placed] = []
    skipped: dict[int, str] = {}
    for o in objects:
        try:
            placed.append(Placed.of(o, image, points))
        except (ReconstructionError, ValueError) as exc:
            skipped[o.index] = f"Its pose was not refined: {exc}"
    for done, p in enumerate(placed):
        report.update(done, len(placed) + 1, p.name)
        if options.refine:
            refine(p, np.random.default_rng(seed + p.index))
    notes: list[str] = []
    if options.repair and placed:
        report.update(len(placed), len(placed) + 1, "ground and contacts")
        notes += _repair(placed, objects, points, np.random.default_rng(seed))
    by_index = {p.index: p for p in placed}
    return Layout(
        notes=tuple(notes),
        objects=tuple(
            _moved(o, by_index[o.index])
            if o.index in by_index
            else replace(o, notes=(*o.notes, skipped[o.index]))
            for o in objects
        ),
    )


def _repair(
    placed: Sequence[Placed],
    objects: Sequence[SceneObject],
    points: PointMap,
    rng: np.random.Generator,
) -> list[str]:
    """Let things stand and take them apart; what the user should know."""
    ground = find_ground(points, [o.instance for o in objects])
    if ground is None:
        up = np.array([0.0, 1.0, 0.0])
        notes = ["No ground was seen: nothing was made to stand on it."]
    else:
        up, notes = ground.up, []
        stand(placed, ground, rng)
    shapes = {o.index: o.shape for o in objects}
    solids = [
        solid_of(surfels_of(shapes[p.index], DENSE).points, -up @ p.pose[:, :3]) for p in placed
    ]
    separate(placed, solids, up)
    return notes


def _moved(o: SceneObject, p: Placed) -> SceneObject:
    pose = pose_from_matrix(np.vstack([p.pose, [0.0, 0.0, 0.0, 1.0]]))
    return replace(o, pose=pose, notes=(*o.notes, *p.notes))
