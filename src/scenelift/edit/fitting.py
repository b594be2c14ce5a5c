"""Check that edits fit a scene: its objects, their splats, and what would be left."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scenelift.edit.document import Edits, ObjectEdit
from scenelift.errors import EditsError

__all__ = ["ObjectSize", "check_fit"]

MOST_SPLATS = MOST_FACES = 20_000_000


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """The number of splats and faces of an object."""

    splats: int
    faces: int


def check_fit(edits: Edits, objects: Mapping[int, ObjectSize], failed: Collection[int]) -> None:
    """Refuse edits that do not fit a scene.

    Args:
        edits: in their normal form.
        objects: number -> size, of the unedited scene.
        failed: numbers of objects that could not be reconstructed.

    Raises:
        EditsError: they name an object or splats that there are not, or leave nothing, or too much.
    """
    entries = {entry.object: entry for entry in edits.objects}
    sizes = [size for number, size in objects.items() if number not in entries]
    for entry in edits.objects:
        source = _source(entry, objects, {*objects, *failed})
        removal_count = _removed(entry, source.splats)
        if not entry.deleted:
            sizes.append(ObjectSize(source.splats - removal_count, source.faces))
    splats, faces = sum(size.splats for size in sizes), sum(size.faces for size in sizes)
    if not splats:
        raise EditsError("The edits leave no object with splats. Keep at least one.")
    if splats > MOST_SPLATS or faces > MOST_FACES:
        raise EditsError(
            f"With its copies the scene would have {splats:,} splats and {faces:,} faces; up to "
            f"{MOST_SPLATS:,} of each are written. Make fewer copies."
        )


def _source(
    entry: ObjectEdit, objects: Mapping[int, ObjectSize], used_indices: Collection[int]
) -> ObjectSize:
    source_index = entry.object if entry.copy_of is None else entry.copy_of
    if source_index not in objects:
        numbers = ", ".join(str(n) for n in sorted(objects)[:20])
        raise EditsError(f"The edits name object {source_index}; the scene has {numbers}.")
    if entry.copy_of is not None and entry.object in used_indices:
        raise EditsError(
            f"The copy of object {entry.copy_of} has the number {entry.object}, which another "
            f"object of the scene has. Give it another one, from {max(used_indices) + 1} on."
        )
    return objects[source_index]


def _removed(entry: ObjectEdit, count: int) -> int:
    if not entry.splats_removed:
        return 0
    removed, end = sum(n for _, n in entry.splats_removed), sum(entry.splats_removed[-1])
    if end > count:
        raise EditsError(
            f"The edits remove splats up to number {end - 1} of object {entry.object}, which has "
            f"{count}."
        )
    if removed == count:
        raise EditsError(
            f"The edits remove all {count} splats of object {entry.object}. Delete the object, or "
            "leave one of them."
        )
    return removed
