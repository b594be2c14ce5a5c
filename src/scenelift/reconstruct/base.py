"""The third stage: one object's pixels and points in, its shape and pose out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from scenelift.progress import Reporter
from scenelift.registry import Registry
from scenelift.types import Image, Instance, PointMap, Reconstruction

__all__ = ["RECONSTRUCTORS", "Reconstructor"]


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


RECONSTRUCTORS: Registry[Reconstructor] = Registry("reconstructor")
