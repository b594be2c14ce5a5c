"""The third stage: one object's pixels and points in, its shape and pose out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from scenelift.progress import Reporter
from scenelift.registry import Registry
from scenelift.types import Image, Instance, PointMap, Reconstruction

if TYPE_CHECKING:
    from scenelift.crew import Crew

__all__ = [
    "RECONSTRUCTORS",
    "Reconstructor",
    "SeveralSeedsReconstructor",
    "SeveralViewsReconstructor",
    "SharingReconstructor",
    "View",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A further photo of the same object; its camera is unknown.

    Attributes:
        image: the photo.
        instance: the object in it.
    """

    image: Image
    instance: Instance


class Reconstructor(Protocol):
    """Reconstructs one object. `version` as for `Segmenter`."""

    name: str
    version: str

    def reconstruct(
        self,
        image: Image,
        instance: Instance,
        points: PointMap,
        *,
        others: Sequence[Instance],
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        """Reconstruct one object.

        Args:
            image: the photo.
            instance: the object.
            points: the photo's point map.
            others: the other objects of the photo, which may hide parts of this one.
            seed: makes the result repeatable; the pipeline passes run seed + object index.
            report: progress; raises Cancelled between steps.

        Returns:
            Shape in the object frame (y up, inside [−0.5, 0.5]³) and pose in the camera frame
            and units of `points`.
        """
        ...


@runtime_checkable
class SeveralSeedsReconstructor(Reconstructor, Protocol):
    """A reconstructor that can go a part of the way with several seeds of one object at once."""

    def start_tries(
        self,
        image: Image,
        instance: Instance,
        points: PointMap,
        *,
        others: Sequence[Instance],
        seeds: Sequence[int],
        report: Reporter,
    ) -> Sequence[Callable[[], Reconstruction]]:
        """Do for one object what its tries share.

        Arguments as for `reconstruct`; all tries report to `report`, in turn.

        Returns:
            For every seed what remains, to be called once, in this order, so that a try that fails
            there leaves the others. It gives what `reconstruct` gives for that seed, up to
            rounding.
        """
        ...


@runtime_checkable
class SeveralViewsReconstructor(Reconstructor, Protocol):
    """A reconstructor that can look at several photos of one object."""

    def reconstruct_views(
        self,
        image: Image,
        instance: Instance,
        points: PointMap,
        *,
        further: Sequence[View],
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        """Reconstruct one object from all its photos, and place it where the first one shows it.

        Arguments and result as for `reconstruct`; `further` are the other photos.
        """
        ...


@runtime_checkable
class SharingReconstructor(Reconstructor, Protocol):
    """A reconstructor of which further processes, one for each GPU, may share the work.

    Attributes:
        crew: those processes, or None where this one works alone.
    """

    crew: Crew | None


RECONSTRUCTORS: Registry[Reconstructor] = Registry("reconstructor")
