"""The interface of the second stage, which finds each pixel's point in front of the camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from scenelift.progress import Reporter
from scenelift.registry import Registry
from scenelift.types import Image, Instance, PointMap

__all__ = ["POINT_MAPPERS", "PointMapper"]


class PointMapper(Protocol):
    """Estimates a camera and a 3D point for every pixel. `version` as for `Segmenter`."""

    name: str
    version: str

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate the point map of a photo, once: its objects share the camera.

        Args:
            image: the photo.
            instances: the objects found in it; a depth network ignores them, a mapper that
                works from ground contact needs them.
            report: progress; raises Cancelled between steps.
        """
        ...


POINT_MAPPERS: Registry[PointMapper] = Registry("point mapper")
