"""The third stage: from one object's pixels and points to its shape and pose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from scenelift.options import ViewMode
from scenelift.progress import Reporter
from scenelift.registry import Registry
from scenelift.types import Image, ObjectView, PointMap, Reconstruction

__all__ = [
    "RECONSTRUCTORS",
    "PreparedReconstructor",
    "Reconstructor",
    "SeveralSeedsReconstructor",
    "SeveralViewsReconstructor",
    "TidyReconstructor",
    "begin_photo",
    "end_photo",
]


class Reconstructor(Protocol):
    """Reconstructs one object. `version` as for `Segmenter`."""

    name: str
    version: str

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        """Reconstruct one object.

        Args:
            view: the object in the photo.
            seed: makes the result repeatable; the pipeline passes run seed + object index.
            report: progress; raises Cancelled between steps.

        Returns:
            Shape in the object frame (y up, inside [−0.5, 0.5]³) and pose in the camera frame
            and units of `view.points`.
        """
        ...


@runtime_checkable
class PreparedReconstructor(Reconstructor, Protocol):
    """A reconstructor that prepares what the objects of a photo share."""

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo: all objects up to the next call are of this one.

        It costs nothing until an object follows: a resumed run may have none left.
        """
        ...


@runtime_checkable
class TidyReconstructor(PreparedReconstructor, Protocol):
    """A prepared reconstructor that frees what a photo's objects shared, when they are done."""

    def end(self) -> None:
        """No more objects of this photo follow. Called where lifting them failed, too."""
        ...


def begin_photo(reconstructor: Reconstructor, image: Image, points: PointMap) -> None:
    """Tell a reconstructor that a new photo starts, if it prepares anything."""
    if isinstance(reconstructor, PreparedReconstructor):
        reconstructor.begin(image, points)


def end_photo(reconstructor: Reconstructor) -> None:
    """Tell a reconstructor that a photo has no more objects, if it wants to know."""
    if isinstance(reconstructor, TidyReconstructor):
        reconstructor.end()


@runtime_checkable
class SeveralSeedsReconstructor(Reconstructor, Protocol):
    """A reconstructor that can run its first steps for several seeds of one object at once."""

    def start_samples(
        self, view: ObjectView, *, seeds: Sequence[int], report: Reporter
    ) -> Sequence[Callable[[], Reconstruction]]:
        """Run the steps that several samples of one object share.

        Arguments as for `reconstruct`; all tries report to `report`, in turn.

        Returns:
            For every seed what remains, to be called once, in this order, so that a try that fails
            there leaves the others. It gives what `reconstruct` gives for that seed, up to
            rounding.
        """
        ...


@runtime_checkable
class SeveralViewsReconstructor(Reconstructor, Protocol):
    """A reconstructor that looks at `ObjectView.further` too.

    The object is placed where the first photo shows it.

    Attributes:
        view_mode: how several photos of one object are combined.
    """

    view_mode: ViewMode


RECONSTRUCTORS: Registry[Reconstructor] = Registry("reconstructor")
