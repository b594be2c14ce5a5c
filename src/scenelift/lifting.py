"""Lift the objects of one photo one by one: reconstruct, then finish.

`pipeline.py` runs it in its own process, `crew.py` in one process for each GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scenelift.contracts import check_reconstruction
from scenelift.options import FinishOptions
from scenelift.overlap import in_turn, overlapped
from scenelift.reconstruct import Reconstructor, begin_photo, end_photo
from scenelift.stages import Steps, digest
from scenelift.tries import reconstruct_best
from scenelift.types import (
    FailedObject,
    Image,
    Instance,
    ObjectView,
    PointMap,
    Reconstruction,
    SceneObject,
)

__all__ = ["Lifting", "PhotoObjects"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoObjects:
    """Objects of a photo, and all that they share.

    Attributes:
        image: the photo. instances: the objects in it. points: its point map.
        seed: of the run; object k uses seed + k, or with `same_seed` the seed itself.
        best_of: tries of each object.
        finish: faces and texture of the meshes.
        key: digest of what all of it depends on, the reconstructor included.
    """

    image: Image
    instances: Sequence[Instance]
    points: PointMap
    seed: int
    best_of: int
    finish: FinishOptions
    key: str
    same_seed: bool = False

    def seed_of(self, index: int) -> int:
        """Return the seed of one object."""
        return self.seed if self.same_seed else self.seed + index

    def view_of(self, index: int) -> ObjectView:
        """Return one object, with what the photo says about it.

        Raises:
            InputError: its mask does not fit the photo.
        """
        before, after = self.instances[:index], self.instances[index + 1 :]
        return ObjectView(
            image=self.image,
            instance=self.instances[index],
            points=self.points,
            others=(*before, *after),
            index=index,
        )

    def scene_object(self, index: int, reconstruction: Reconstruction) -> SceneObject:
        """Make the object of a scene, at its first pose."""
        return SceneObject(
            index=index,
            instance=self.instances[index],
            shape=reconstruction.shape,
            pose=reconstruction.pose,
            quality=reconstruction.quality,
            notes=reconstruction.notes,
            in_place=reconstruction.in_place,
        )

    @property
    def finish_key(self) -> str:
        return digest(self.key, self.finish)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lifting:
    """Lifts objects of a photo in this process.

    Attributes:
        photo: whose objects.
        reconstructor: makes them.
        stages: where the two stages are run, timed and kept.
        device: what meshes are finished on.
        on_object: called with every object as soon as it is done or has failed, in any thread.
    """

    photo: PhotoObjects
    reconstructor: Reconstructor
    stages: Steps
    device: str
    on_object: Callable[[int, Reconstruction | FailedObject], object] = lambda index, outcome: None

    def run(self, indices: Iterable[int]) -> list[Reconstruction | FailedObject]:
        """Lift every one of the objects; each is finished, or has failed with a reason.

        Raises:
            Cancelled: the user stopped the run.
            SetupError, OutputError: no other object would fare better.
        """
        begin_photo(self.reconstructor, self.photo.image, self.photo.points)
        try:
            # What feeds a GPU does not wait for the disk.
            with in_turn() as later, self.stages.storing_objects(later):
                return overlapped(
                    indices,
                    self.reconstruct,
                    self._finish_and_tell,
                    device=self.device,
                    meanwhile=self.stages.check,
                )
        finally:
            end_photo(self.reconstructor)

    def _finish_and_tell(
        self, index: int, reconstruction: Reconstruction | FailedObject
    ) -> Reconstruction | FailedObject:
        outcome = self.finish(index, reconstruction)
        self.on_object(index, outcome)
        return outcome

    def reconstruct(self, index: int) -> Reconstruction | FailedObject:
        photo = self.photo
        return self.stages.attempt(
            "reconstruct",
            digest(photo.key, index, photo.seed_of(index)),
            Reconstruction,
            lambda report: check_reconstruction(
                reconstruct_best(
                    self.reconstructor,
                    photo.view_of(index),
                    seed=photo.seed_of(index),
                    count=photo.best_of,
                    report=report,
                ),
                backend=self.reconstructor.name,
            ),
            object_index=index,
            instance=photo.instances[index],
        )

    def finish(
        self, index: int, reconstruction: Reconstruction | FailedObject
    ) -> Reconstruction | FailedObject:
        if isinstance(reconstruction, FailedObject):
            return reconstruction

        from scenelift.finish.stage import finish

        photo = self.photo
        return self.stages.run(
            "finish",
            digest(photo.finish_key, index, photo.seed_of(index)),
            Reconstruction,
            lambda report: finish(
                reconstruction, photo.view_of(index), photo.finish, report, self.device
            ),
            object_index=index,
        )
