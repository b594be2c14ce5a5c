"""The whole: a photo and its labels in, placed objects out."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.mapping import Remembering
from benchmarks.quality.metrics import match_by_iou
from benchmarks.quality.reconstructing import (
    ZERO,
    ObjectFigures,
    compare_object,
    compare_photo,
    object_row,
    picture_row,
)
from benchmarks.quality.report import Attempts, Row, mean
from benchmarks.quality.segmenting import FOUND
from benchmarks.synthetic import COCO, SyntheticObject, SyntheticScene
from scenelift.compose.merge import make_scene
from scenelift.errors import NothingFound
from scenelift.pipeline import Pipeline
from scenelift.pointmap import PointMapper
from scenelift.reconstruct import Reconstructor
from scenelift.scene import Scene
from scenelift.segment import Segmenter
from scenelift.types import Reconstruction, SceneObject

__all__ = ["measure_pipeline"]


def measure_pipeline(
    segmenter: Segmenter,
    pointmapper: PointMapper,
    reconstructor: Reconstructor,
    scenes: Sequence[SyntheticScene],
    *,
    seed: int,
) -> tuple[Row, Row | None, list[str]]:
    """Run the pipeline on every photo with the labels of its objects that COCO knows.

    An object that no mask of its label covers (IoU ≥ 0.5), or that was not reconstructed, has
    score 0: the figures are of the whole, not of what survived.

    Returns:
        The row of objects, the row of splat pictures, and the failures.
    """
    mapper = Remembering(pointmapper)
    pipeline = Pipeline(segmenter, mapper, reconstructor)
    attempts = Attempts()
    figures: list[ObjectFigures] = []
    pictures: list[tuple[float, float]] = []
    asked = 0
    for scene in scenes:
        labels = sorted({o.label for o in scene.objects if o.label in COCO})
        if not labels:
            continue
        asked += 1
        result = attempts.run(scene.name, _run, pipeline, scene, labels, seed)
        points = mapper.last
        if result is not None and points is not None:
            attempts.failures += [f"{scene.name}: {f.reason}" for f in result.provenance.failed]
            picture = compare_photo(make_scene(result.objects), scene, result.camera)
            if picture:
                pictures.append(picture)
        for o in scene.objects:
            if o.label not in COCO:
                continue
            partner = _partner(o, scene, result)
            compared = None
            if partner is not None and points is not None:
                compared = Attempts(failures=attempts.failures).run(
                    f"{scene.name}, {o.label}",
                    compare_object,
                    Reconstruction(shape=partner.shape, pose=partner.pose),
                    scene,
                    o,
                    points,
                )
            figures.append(compared or ZERO)
    name = f"{segmenter.name} → {pointmapper.name} → {reconstructor.name}"
    row = object_row(name, figures, mean(attempts.seconds))
    return row, picture_row(f"{name}, end to end", pictures, asked), attempts.failures


def _run(
    pipeline: Pipeline, scene: SyntheticScene, labels: Sequence[str], seed: int
) -> Scene | None:
    try:
        return pipeline.run(scene.image, labels, seed=seed)
    except NothingFound:
        return None  # every object of the photo counts as missed


def _partner(
    truth: SyntheticObject, scene: SyntheticScene, result: Scene | None
) -> SceneObject | None:
    if result is None:
        return None
    same = [o for o in result.objects if o.instance.label == truth.label]
    true_same = [o for o in scene.objects if o.label == truth.label]
    ious, partners = match_by_iou([o.instance.mask for o in same], [o.mask for o in true_same])
    index = true_same.index(truth)
    if ious[index] < FOUND:
        return None
    return same[partners.index(index)]
