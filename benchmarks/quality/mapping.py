"""The second stage alone: point maps against true depth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import metrics
from benchmarks.quality.report import Attempts, Row, Table, mean
from benchmarks.synthetic import SyntheticScene
from scenelift.pointmap import PointMapper
from scenelift.progress import Reporter, silent
from scenelift.types import Camera, Image, Instance, PointMap

__all__ = ["Remembering", "measure_points", "scene_scale"]


class Remembering:
    """A point mapper that keeps its last answer, to align an end-to-end scene's units with it."""

    def __init__(self, inner: PointMapper) -> None:
        self.inner, self.name, self.version = inner, inner.name, inner.version
        self.last: PointMap | None = None

    def estimate(self, image: Image, instances: Sequence[Instance], report: Reporter) -> PointMap:
        self.last = self.inner.estimate(image, instances, report)
        return self.last


def measure_points(
    mappers: Sequence[PointMapper], scenes: Sequence[SyntheticScene]
) -> tuple[Table, dict[str, list[PointMap | None]]]:
    """Errors of depth and camera.

    Returns:
        The table, and each mapper's point maps for the stage after it.
    """
    rows, failures, maps = [], [], {}
    for mapper in mappers:
        attempts = Attempts()
        maps[mapper.name] = [
            attempts.run(
                scene.name,
                mapper.estimate,
                scene.image,
                [o.instance for o in scene.objects],
                silent(),
            )
            for scene in scenes
        ]
        compared = [
            Attempts(failures=attempts.failures).run(scene.name, _figures, scene, points)
            for scene, points in zip(scenes, maps[mapper.name], strict=True)
            if points is not None
        ]
        figures = [f for f in compared if f is not None]
        right, asked = (sum(f[key] for f in figures) for key in ("right", "asked"))
        names = [n for n in (figures[0] if figures else {}) if n not in ("right", "asked")]
        rows.append(
            Row(
                name=mapper.name,
                count=len(scenes),
                failed=len(scenes) - len(figures),
                figures={n: mean([f[n] for f in figures]) for n in names}
                | {"order": right / asked if asked else math.nan, "pairs": asked},
                seconds=mean(attempts.seconds),
            )
        )
        failures += attempts.failures
    return Table(title="Point maps", of="photos", rows=rows, failures=failures), maps


def scene_scale(scene: SyntheticScene, points: PointMap) -> float:
    """The one factor that brings a point map's units to metres where the objects are.

    Raises:
        ValueError: no pixel of an object has a point.
    """
    estimate, truth, both = _depths(scene, points)
    here = both & _on_objects(scene)
    if not here.any():
        raise ValueError("no pixel of an object has a point")
    return metrics.median_scale(estimate[here], truth[here])


def _depths(
    scene: SyntheticScene, points: PointMap
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Estimated and true depth [H, W], and where both are known."""
    estimate, truth = -points.points[..., 2].astype(np.float64), scene.depth.astype(np.float64)
    return estimate, truth, np.isfinite(truth) & np.isfinite(estimate) & (estimate > 0)


def _on_objects(scene: SyntheticScene) -> NDArray[np.bool_]:
    return np.any([o.mask for o in scene.objects], axis=0)


def _figures(scene: SyntheticScene, points: PointMap) -> dict[str, float]:
    estimate, truth, both = _depths(scene, points)
    here = both & _on_objects(scene)
    scaled = estimate[both] * metrics.median_scale(estimate[both], truth[both])
    on_objects = estimate[here] * scene_scale(scene, points)
    middles = [
        (float(np.median(estimate[o.mask & both])), float(np.median(truth[o.mask & both])))
        for o in scene.objects
        if (o.mask & both).any()
    ]
    right, asked = metrics.order_accuracy([m[0] for m in middles], [m[1] for m in middles])
    affine = metrics.affine_disparity(estimate[both], truth[both])
    return {
        "AbsRel": metrics.abs_rel(scaled, truth[both]),
        "δ < 1.25": metrics.delta(scaled, truth[both]),
        "AbsRel, objects": metrics.abs_rel(on_objects, truth[here]),
        "AbsRel, affine": metrics.abs_rel(affine, truth[both]),
        "field of view °": abs(_fov(points.camera) - _fov(scene.camera)),
        "covered": float(both.sum() / np.isfinite(truth).sum()),
        "right": right,
        "asked": asked,
    } | _certainty(points, both, scaled, truth[both])


def _certainty(
    points: PointMap, both: NDArray[np.bool_], scaled: NDArray, truth: NDArray
) -> dict[str, float]:
    """The error that a map expects, and the one where it is surest; {} where it does not say."""
    if points.confidence is None:
        return {}
    confidence = points.confidence[both].astype(np.float64)
    sure = confidence >= np.median(confidence)
    return {
        "AbsRel expected": float(np.mean(-np.log(np.maximum(confidence, 1e-6)))),
        "AbsRel, surest half": metrics.abs_rel(scaled[sure], truth[sure]),
    }


def _fov(camera: Camera) -> float:
    """Angle that the width of the photo spans, degrees."""
    return math.degrees(2 * math.atan(camera.width / 2 / camera.fx))
