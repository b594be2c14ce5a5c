"""Apply edits to a scene: to its objects and its scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.edit.document import Edits, ObjectEdit
from scenelift.edit.fitting import ObjectSize, check_fit
from scenelift.geometry.transforms import take_gaussians, transform_gaussians
from scenelift.scene import Scene
from scenelift.types import Background, Gaussians, Pose, SceneObject

__all__ = ["apply_edits", "changes_of"]


def apply_edits(scene: Scene, edits: Edits) -> Scene:
    """Return the scene with its edits; the caller checks that they belong to this scene.

    Args:
        scene: unedited.
        edits: in their normal form.

    Raises:
        EditsError: they do not fit it.
    """
    sizes = {o.index: _size(o) for o in scene.objects}
    check_fit(edits, sizes, [failed.index for failed in scene.provenance.failed])
    own = {o.index: o for o in scene.objects}
    entries = {entry.object: entry for entry in edits.objects}
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
    scene = replace(scene, objects=tuple(sorted(objects, key=lambda o: o.index)))
    return scene if edits.scale is None else _scaled(scene, edits.scale)


def changes_of(entry: ObjectEdit) -> list[str]:
    """Describe the edits of an object, for the manifest."""
    removal_count = sum(count for _, count in entry.splats_removed)
    words = {
        f"a copy of object {entry.copy_of}": entry.copy_of is not None,
        "renamed": entry.name is not None,
        "moved": entry.transform is not None,
        f"{removal_count} splats removed": removal_count > 0,
    }
    return [word for word, applies in words.items() if applies]


def _size(o: SceneObject) -> ObjectSize:
    mesh = o.shape.mesh
    return ObjectSize(len(o.shape.gaussians or ()), 0 if mesh is None else len(mesh.faces))


def _edited(o: SceneObject, entry: ObjectEdit | None) -> SceneObject:
    if entry is None:
        return o
    gaussians = o.shape.gaussians
    if entry.splats_removed and gaussians is not None:
        o = replace(o, shape=replace(o.shape, gaussians=_without(gaussians, entry)))
    if entry.name is not None:
        o = replace(o, instance=replace(o.instance, label=entry.name))
    if entry.transform is not None:
        # Its figures are about where the photo shows it.
        o = replace(o, pose=entry.transform.pose, quality={})
    return o


def _without(gaussians: Gaussians, entry: ObjectEdit) -> Gaussians:
    stays: NDArray[np.bool_] = np.ones(len(gaussians), np.bool_)
    for first, length in entry.splats_removed:
        stays[first : first + length] = False
    return take_gaussians(gaussians, stays)


def _scaled(scene: Scene, factor: float) -> Scene:
    """Scale the scene to metres; its camera stays at the origin and sees the same."""
    scene_from_camera = scene.scene_from_camera.copy()
    scene_from_camera[:3, 3] *= factor
    return replace(
        scene,
        objects=tuple(replace(o, pose=_scaled_pose(o.pose, factor)) for o in scene.objects),
        scene_from_camera=scene_from_camera,
        units="metres",
        levels=tuple(factor * level for level in scene.levels),
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
