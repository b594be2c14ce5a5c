"""A job's objects for the page: typed once, from masks to the finished scene.

Boxes are in the photo's own pixels, whatever size the models work at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter

from scenelift.geometry.photo_size import own_box
from scenelift.output.manifest import Manifest
from scenelift.types import Box, Segmentation, object_name

__all__ = [
    "JobObject",
    "ObjectFacts",
    "StoredObject",
    "objects_json",
    "of_manifest",
    "of_segmentation",
    "read",
]

ObjectState = Literal["waiting", "running", "done", "failed", "dropped"]
Size = tuple[int, int]


class ObjectFacts(BaseModel):
    """The facts about an object that all its descriptions share."""

    index: int | None = Field(description="null for what was left out after the review")
    label: str
    score: float
    box: tuple[float, float, float, float]
    state: ObjectState
    fraction: float = 0.0
    reason: str | None = None


class JobObject(ObjectFacts):
    """One object of a job."""

    mask_url: str | None = None


class StoredObject(ObjectFacts):
    """An object as the queue stores it; its mask is a path below the job's folder."""

    mask: str | None = None

    @property
    def search_mask(self) -> str | None:
        """Path of the mask that the search wrote; None for what was left out."""
        if self.index is None:
            return None
        return f"found/{object_name(self.index, self.label)}.png"

    def public(self, mask_url: str | None) -> JobObject:
        """Return the object as the interface shows it."""
        return JobObject(**self.model_dump(exclude={"mask"}), mask_url=mask_url)


_LIST = TypeAdapter(list[StoredObject])


def read(text: str) -> list[StoredObject]:
    """Read objects from the queue's JSON.

    Raises:
        ValueError: this version cannot read them.
    """
    return _LIST.validate_json(text)


def objects_json(objects: Sequence[StoredObject]) -> str:
    """Write objects as the queue stores them."""
    return _LIST.dump_json(list(objects)).decode()


def of_segmentation(segmentation: Segmentation, size: Size) -> list[StoredObject]:
    """List the objects of a segmentation, followed by the candidates left out.

    Args:
        segmentation: with boxes in the pixels that are worked at.
        size: width and height of the photo, in whose pixels they are shown.
    """
    shapes = [instance.mask.shape for instance in segmentation.instances]
    working = (shapes[0][1], shapes[0][0]) if shapes else size
    waiting = [
        _stored(index, i.label, i.score, i.box, working, size, state="waiting")
        for index, i in enumerate(segmentation.instances)
    ]
    for o in waiting:
        o.mask = o.search_mask
    return [*waiting, *_dropped(segmentation.dropped, working, size)]


def of_manifest(manifest: Manifest, size: Size) -> list[StoredObject]:
    """List the objects of a finished scene, with the scene's own masks."""
    working = (manifest.camera.width, manifest.camera.height)
    objects = [
        _stored(
            *(o.index, o.label, o.score, o.box, working, size),
            state="done",
            fraction=1.0,
            mask=o.files.get("mask"),
        )
        for o in manifest.objects
    ]
    objects += [
        _stored(f.index, f.label, f.score, f.box, working, size, state="failed", reason=f.reason)
        for f in manifest.failed
    ]
    objects.sort(key=lambda o: o.index or 0)
    return [*objects, *_dropped(manifest.dropped, working, size)]


def _dropped(candidates: Sequence[Any], working: Size, size: Size) -> list[StoredObject]:
    return [
        _stored(None, d.label, d.score, d.box, working, size, state="dropped", reason=d.reason)
        for d in candidates
    ]


def _stored(
    index: int | None, label: str, score: float, box: Box, working: Size, size: Size, **facts: Any
) -> StoredObject:
    x0, y0, x1, y1 = (round(v, 1) for v in own_box(working, size, box))
    return StoredObject(
        index=index, label=label, score=round(score, 4), box=(x0, y0, x1, y1), **facts
    )
