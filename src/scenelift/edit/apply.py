"""Edits on a scene: what each object is now, and how large everything is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.edit.document import Edits, ObjectEdit
from scenelift.errors import EditsError
from scenelift.geometry.transforms import take_gaussians, transform_gaussians
from scenelift.scene import Scene
from scenelift.types import Background, Gaussians, Pose, SceneObject

__all__ = ["apply_edits", "changes_of"]

MOST_SPLATS = MOST_FACES = 20_000_000


def apply_edits(scene: Scene, edits: Edits) -> Scene:
    """The scene with its edits; which scene they belong to is for the caller to check.

    Args:
        scene: unedited.
        edits: in their normal form.

    Raises:
        EditsError: they name an object or splats that there are not, or leave nothing.
    """
    own = {o.index: o for o in scene.objects}
    taken = own.keys() | {failed.index for failed in scene.provenance.failed}
    entries = {entry.object: entry for entry in edits.objects}
    for entry in edits.objects:
        _check_number(entry, own.keys(), taken)
    objects = [
        _edited(o, entries.get(o.index))
        for o in scene.objects
        if o.index not in entries or not entries[o.index].deleted
    ]
    objects += [
        _edited(replace(own[entry.copy_of], index=entry.object), entry)
        for entry in edits.objects
        if entry.copy_of is not None
    ]
    _check_size(objects)
    scene = replace(scene, objects=tuple(sorted(objects, key=lambda o: o.index)))
    return scene if edits.scale is None else _scaled(scene, edits.scale)


def changes_of(entry: ObjectEdit) -> list[str]:
    """What was done to an object, in words for the manifest."""
    removed = sum(count for _, count in entry.splats_removed)
    words = {
        f"a copy of object {entry.copy_of}": entry.copy_of is not None,
        "renamed": entry.name is not None,
        "moved": entry.transform is not None,
        f"{removed} splats removed": removed > 0,
    }
    return [word for word, applies in words.items() if applies]


def _check_number(entry: ObjectEdit, own: Collection[int], taken: Collection[int]) -> None:
    wanted = entry.object if entry.copy_of is None else entry.copy_of
    if wanted not in own:
        numbers = ", ".join(str(n) for n in sorted(own)[:20])
        raise EditsError(f"The edits name object {wanted}; the scene has {numbers}.")
    if entry.copy_of is not None and entry.object in taken:
        raise EditsError(
            f"The copy of object {entry.copy_of} has the number {entry.object}, which is an "
            f"object's of the scene. Give it another one, from {max(taken) + 1} on."
        )


def _edited(o: SceneObject, entry: ObjectEdit | None) -> SceneObject:
    if entry is None:
        return o
    gaussians = o.shape.gaussians
    if entry.splats_removed:
        gaussians = _without(gaussians, entry)
        o = replace(o, shape=replace(o.shape, gaussians=gaussians))
    if entry.name is not None:
        o = replace(o, instance=replace(o.instance, label=entry.name))
    if entry.transform is not None:
        # Its figures are about where the photo shows it.
        o = replace(o, pose=entry.transform.pose, quality={})
    return o


def _without(gaussians: Gaussians | None, entry: ObjectEdit) -> Gaussians:
    count = 0 if gaussians is None else len(gaussians)
    end = sum(entry.splats_removed[-1])
    if gaussians is None or end > count:
        raise EditsError(
            f"The edits remove splats up to number {end - 1} of object {entry.object}, which has "
            f"{count}."
        )
    stays: NDArray[np.bool_] = np.ones(count, np.bool_)
    for first, length in entry.splats_removed:
        stays[first : first + length] = False
    if not stays.any():
        raise EditsError(
            f"The edits remove all {count} splats of object {entry.object}. Delete the object, or "
            "leave one of them."
        )
    return take_gaussians(gaussians, stays)


def _check_size(objects: Sequence[SceneObject]) -> None:
    splats = sum(len(o.shape.gaussians or ()) for o in objects)
    faces = sum(0 if o.shape.mesh is None else len(o.shape.mesh.faces) for o in objects)
    if not splats:
        raise EditsError("The edits leave no object with splats. At least one stays.")
    if splats > MOST_SPLATS or faces > MOST_FACES:
        raise EditsError(
            f"With its copies the scene would have {splats:,} splats and {faces:,} faces; up to "
            f"{MOST_SPLATS:,} of each are written. Make fewer copies."
        )


def _scaled(scene: Scene, factor: float) -> Scene:
    """The scene in metres; its camera stays at the origin and sees the same."""
    moved = scene.scene_from_camera.copy()
    moved[:3, 3] *= factor
    return replace(
        scene,
        objects=tuple(replace(o, pose=_scaled_pose(o.pose, factor)) for o in scene.objects),
        scene_from_camera=moved,
        units="metres",
        background=None if scene.background is None else _scaled_room(scene.background, factor),
    )


def _scaled_pose(pose: Pose, factor: float) -> Pose:
    x, y, z = (factor * c for c in pose.translation)
    return replace(pose, translation=(x, y, z), scale=factor * pose.scale)


def _scaled_room(room: Background, factor: float) -> Background:
    mesh = replace(room.mesh, vertices=room.mesh.vertices * np.float32(factor))
    return replace(
        room,
        mesh=mesh,
        gaussians=transform_gaussians(room.gaussians, Pose(scale=factor)),
        levels=tuple(factor * level for level in room.levels),
    )
