"""One object while it is placed: its surface, its evidence in the photo, and its pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.compare import Comparison, Weights, compare
from scenelift.compose.evidence import Evidence, evidence_of
from scenelift.compose.surfels import Surfels, surfels_of
from scenelift.geometry.transforms import pose_matrix
from scenelift.types import Image, ObjectView, PointMap, SceneObject

__all__ = ["FIRST_OFF", "POINTS_OFF", "TIGHT", "PlacedObject"]

TIGHT = Weights(depth_scale=0.1, offset=0.06)
"""What counts once a pose is nearly right.

First poses are made from the points, so the common offset of an object's points is not held
against them as a bias: it is where the object is, to some hundredths of its size.
"""

FIRST_OFF = 0.1
"""How far off first poses are, one standard deviation along an axis, as a share of the size."""

POINTS_OFF = 0.02
"""How far off points are along the viewing rays, one standard deviation, as a share of the distance
(as measured with true shapes in their true places: docs/log.md)."""

POINTS, SIDE = 6000, 72  # surfels, and pixels across the mask


@dataclass(slots=True, kw_only=True, eq=False)
class PlacedObject:
    """An object and its current pose; changes are recorded with it.

    Attributes:
        index: its number in the scene.
        name: what notes call it.
        surfels: its surface in its own frame.
        evidence: what was seen of it.
        pose: float64 [3, 4], camera_from_object.
        notes: what was changed, in plain sentences.
        standing: what it was made to stand on: the index of an object, −1 for a plane, None
            where it was not.
        dense_points: float32 [N, 3] on its surface, enough to fill voxels; None where nothing is
            separated.
    """

    index: int
    name: str
    surfels: Surfels
    evidence: Evidence
    pose: NDArray[np.float64]
    notes: list[str] = field(default_factory=list)
    standing: int | None = None
    dense_points: NDArray[np.float32] | None = None

    @classmethod
    def of(cls, o: SceneObject, image: Image, points: PointMap) -> PlacedObject:
        """Prepare an object of a scene for placing.

        Raises:
            ReconstructionError: its shape has no surface.
            ValueError: its mask is empty.
        """
        return cls(
            index=o.index,
            name=f"{o.instance.label!r} ({o.index})",
            surfels=surfels_of(o.shape, POINTS),
            evidence=evidence_of(ObjectView(image=image, instance=o.instance, points=points), SIDE),
            pose=pose_matrix(o.pose)[:3],
        )

    @property
    def centre(self) -> NDArray[np.float64]:
        """Middle of its box, in its own frame."""
        points = self.surfels.points
        return (points.min(0) + points.max(0)).astype(np.float64) / 2

    @property
    def scale(self) -> float:
        return float(np.cbrt(np.linalg.det(self.pose[:, :3])))

    @property
    def size(self) -> float:
        """Longest side of its box, in scene units."""
        return self.scale * float(np.ptp(self.surfels.points, axis=0).max())

    @property
    def distance(self) -> float:
        """Distance of its middle from the camera, in scene units."""
        return float(np.linalg.norm(self.pose @ [*self.centre, 1]))

    @property
    def reach(self) -> float:
        """Share of the way to its observed depth that it moves along the viewing rays, 0…1.

        What tells distances errs by a share of the distance, the first pose by a share of the
        size: far away, the first pose of a small object may be the better one. All of the way is
        best on the mean, yet so it is worse than before more often.
        """
        first = (FIRST_OFF * self.size / self.distance) ** 2
        return first / (first + POINTS_OFF**2)

    def surface(self) -> NDArray[np.float64]:  # [N, 3]
        """Its surface at its present pose, in the camera frame."""
        return self.surfels.points @ self.pose[:, :3].T + self.pose[:, 3]

    def compare(self, poses: NDArray[np.float64], weights: Weights) -> Comparison:
        """Compare poses [K, 3, 4] with the photo."""
        return compare(self.surfels, self.evidence, poses, weights)
