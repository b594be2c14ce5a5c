"""Give a point map without a unit metres, from a second point map of the same photo.

SAM 3D Objects was trained on the points of MoGe 1, so these are what it gets; MoGe-2 knows metres.
Both look along the same rays, so one factor relates them, if both are right: the median of the
distances' ratio over the pixels that matter, those of the objects and of the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scenelift.geometry.ground import find_ground
from scenelift.pointmap.base import PointMapper
from scenelift.progress import Reporter
from scenelift.types import Image, Instance, PointMap

__all__ = ["ScaledPointMapper", "UnitRatio", "unit_ratio"]

LEAST = 50  # pixels below which a median means nothing
DISAGREE = 0.25  # spread of the logarithm beyond which the maps do not show one scene


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRatio:
    """The ratio of the units of two point maps.

    Attributes:
        factor: the median.
        spread: standard deviation of its logarithm, a robust estimate.
        pixels: how many it was taken over.
    """

    factor: float
    spread: float
    pixels: int


def unit_ratio(
    points: PointMap, metric: PointMap, instances: Sequence[Instance]
) -> UnitRatio | None:
    """Compare two point maps of one photo over the objects' and the ground's pixels.

    Args:
        points: whose unit is asked for.
        metric: of the same size and camera.
        instances: the objects.

    Returns:
        Units of `metric` in one of `points`; None where too few pixels have both.
    """
    ours, theirs = -points.points[..., 2], -metric.points[..., 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.isfinite(ours) & np.isfinite(theirs) & (ours > 0) & (theirs > 0)
    compared_pixels = both & _that_matter(metric, instances)
    if compared_pixels.sum() < LEAST:
        compared_pixels = both
    if compared_pixels.sum() < LEAST:
        return None
    logs = np.log(theirs[compared_pixels].astype(np.float64) / ours[compared_pixels])
    middle = float(np.median(logs))
    # 1.4826: from the median deviation to the standard deviation of a normal distribution.
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))
    return UnitRatio(factor=float(np.exp(middle)), spread=spread, pixels=int(compared_pixels.sum()))


def _that_matter(points: PointMap, instances: Sequence[Instance]) -> NDArray[np.bool_]:
    """Select the pixels of the objects, and a part of the ground's."""
    height, width = points.points.shape[:2]
    mask = np.zeros((height, width), bool)
    for instance in instances:
        mask |= instance.mask
    ground = find_ground(points, instances)
    if ground is not None:
        columns, rows = points.camera.project(ground.points).astype(int).T
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        mask[rows[inside], columns[inside]] = True
    return mask


class ScaledPointMapper:
    """A `PointMapper` that takes points from one, and metres and normals from another.

    Args:
        mapper: its points and camera are passed on as they are.
        metric: another with metres; it looks through the camera of the first.
    """

    def __init__(self, mapper: PointMapper, metric: PointMapper) -> None:
        self.mapper, self.metric = mapper, metric
        self.name = mapper.name
        self.version = f"{mapper.version}, metres by {metric.name} {metric.version}"

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        """Estimate with both and compare.

        Raises:
            InputError: the photo shows nothing that has a depth.
            SetupError: the device has too little memory.
        """
        points = self.mapper.estimate(image, instances, report)
        same_camera = replace(image, focal_px=points.camera.fx)
        metric = self.metric.estimate(same_camera, instances, report)
        ratio = None
        if metric.scale != "relative":
            ratio = unit_ratio(points, metric, instances)
        if ratio is None:
            note = f"{self.metric.name} gave no metres for this photo: lengths are relative."
            return replace(points, normals=metric.normals, notes=(*points.notes, note))
        unit = ratio.factor * metric.metres_per_unit
        agree = (
            f"Points are {self.mapper.name}'s, normals and metres {self.metric.name}'s: one unit "
            f"is {unit:.4g} m, the median over {ratio.pixels} pixels of objects and ground; the "
            f"two differ by ±{100 * np.expm1(ratio.spread):.0f} % about it."
        )
        if ratio.spread > DISAGREE:
            agree += " That is much: they do not see the same scene, so do not rely on the metres."
        return replace(
            points,
            scale=metric.scale,
            metres_per_unit=unit,
            scale_note=f"{metric.scale_note} {agree}",
            normals=metric.normals,
        )
