"""Perfect answers get perfect figures, failures are counted, and none is hidden."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.quality.baselines import (
    BoxReconstructor,
    BoxSegmenter,
    RampPointMapper,
    SilhouetteReconstructor,
)
from benchmarks.quality.mapping import measure_points
from benchmarks.quality.reconstructing import measure_reconstructor
from benchmarks.quality.report import Attempts, Row, Table, table_text, tables_json
from benchmarks.quality.segmenting import measure_boxes, measure_prompts
from benchmarks.quality.whole import measure_pipeline
from benchmarks.synthetic import scenes

from scenelift.errors import ObjectFailed
from scenelift.training.scenes.plans import PLANS
from scenelift.types import Gaussians, PointMap, Reconstruction, Segmentation, Shape

KITCHEN = next(k for k, plan in enumerate(PLANS) if plan.name == "kitchen")


@pytest.fixture
def scene(models):
    return scenes.make_scene(0, KITCHEN, width=128, height=96, samples=1)


class Oracle:
    """Answers every stage with the truth of one scene, in units of its own choice."""

    name, version = "truth", "1"

    def __init__(self, scene, units: float = 1.0) -> None:
        self.scene, self.units = scene, units

    def segment(self, image, prompt, report):
        wanted = set(prompt.phrases) | {b.label for b in prompt.boxes}
        found = [o.instance for o in self.scene.objects if o.label in wanted]
        return Segmentation(instances=tuple(reversed(found)))

    def estimate(self, image, instances, report):
        points = self.scene.points
        return PointMap(points=points.points * self.units, camera=points.camera)

    def begin(self, image, points):
        pass

    def reconstruct(self, view, *, seed, report):
        truth = next(o for o in self.scene.objects if (o.mask == view.mask).all())
        x, y, z = (self.units * c for c in truth.pose.translation)
        pose = type(truth.pose)(
            rotation=truth.pose.rotation,
            translation=(x, y, z),
            scale=truth.pose.scale * self.units,
        )
        return Reconstruction(shape=Shape(mesh=truth.mesh), pose=pose, in_place=True)


class Broken(Oracle):
    name = "broken"

    def reconstruct(self, view, *, seed, report):
        raise ObjectFailed(0, view.instance.label, "on purpose")


def test_true_masks_are_perfect_and_boxes_are_not(scene):
    overall, _ = measure_boxes([BoxSegmenter(), Oracle(scene)], [scene])
    box, truth = overall.rows
    assert truth.figures == {"IoU": 1, "IoU ≥ .5": 1}
    assert 0.2 < box.figures["IoU"] < 1


def test_prompts_are_split_into_words_of_coco_and_others(scene):
    known, other = measure_prompts(Oracle(scene), [scene]).rows
    labels = [o.label for o in scene.objects]
    assert (known.count, other.count) == (
        len(labels) - labels.count("cabinet"),
        labels.count("cabinet"),
    )
    for row in (known, other):
        assert (row.figures["recall"], row.figures["false"]) == (1, 0)


def test_true_depth_is_perfect_in_any_unit_and_a_ramp_is_not(scene):
    table, maps = measure_points([RampPointMapper(), Oracle(scene, units=0.01)], [scene])
    ramp, truth = table.rows
    # float32 points.
    assert truth.figures["AbsRel"] == pytest.approx(0, abs=1e-5)
    assert truth.figures["AbsRel, affine"] == pytest.approx(0, abs=1e-5)
    assert truth.figures["δ < 1.25"] == truth.figures["covered"] == 1
    assert truth.figures["field of view °"] == pytest.approx(0, abs=1e-9)
    assert ramp.figures["AbsRel"] > 0.05
    assert set(maps) == {"row ramp", "truth"}


def test_true_shapes_and_poses_are_perfect_in_any_unit(scene):
    oracle = Oracle(scene, units=0.01)
    points = oracle.estimate(scene.image, [], None)
    row, picture, failures = measure_reconstructor(
        oracle, [scene], [points], condition="truth", seed=0
    )
    assert failures == []
    assert picture is None
    figures = row.figures
    assert figures["F1@.02"] > 0.999
    # A flat side that lies on the border of two voxels falls to either by rounding.
    assert figures["vol. IoU"] > 0.95
    # The same samples stand for both surfaces: nothing is left of their spacing.
    assert figures["Chamfer"] < 1e-4
    assert figures["3D IoU"] > 0.999
    assert figures["ICP-rot °"] < 0.1
    assert figures["ADD-S"] < 1e-4
    assert figures["ADD-S@.1"] == 1


def test_the_mask_extruded_beats_a_box_where_there_is_more_than_a_box(scene):
    chairs = [o for o in scene.objects if o.label == "chair"]
    assert chairs
    points = scene.points
    rows = [
        measure_reconstructor(backend, [scene], [points], condition="", seed=0)[0]
        for backend in (BoxReconstructor(), SilhouetteReconstructor())
    ]
    box, silhouette = (row.figures for row in rows)
    assert silhouette["F1@.02"] >= box["F1@.02"]
    assert 0 < box["3D IoU"] < 1


def test_failed_objects_count_as_zero_and_are_named(scene):
    row, _, failures = measure_reconstructor(
        Broken(scene), [scene], [scene.points], condition="truth", seed=0
    )
    assert row.failed == row.count == len(scene.objects)
    assert row.figures["F1@.02"] == row.figures["ADD-S@.1"] == 0
    assert math.isnan(row.figures["Chamfer"])
    assert len(failures) == row.count
    assert "on purpose" in failures[0]


def test_a_missing_point_map_fails_the_objects_of_its_photo(scene):
    row, _, failures = measure_reconstructor(
        Oracle(scene), [scene], [None], condition="estimated", seed=0
    )
    assert row.failed == row.count
    assert "no point map" in failures[0]


def test_the_whole_pipeline_on_true_answers_is_perfect(scene):
    oracle = Oracle(scene, units=0.5)
    row, _, failures = measure_pipeline(oracle, oracle, oracle, [scene], seed=0)
    assert failures == []
    assert row.count == sum(o.known for o in scene.objects)
    assert row.failed == 0
    assert row.figures["3D IoU"] > 0.999


def test_objects_that_the_pipeline_misses_count_as_zero(scene):
    oracle = Oracle(scene)

    class Blind(Oracle):
        def segment(self, image, prompt, report):
            return Segmentation(instances=())

    row, picture, _ = measure_pipeline(Blind(scene), oracle, oracle, [scene], seed=0)
    assert row.failed == row.count
    assert row.figures["3D IoU"] == 0
    assert picture is None


def test_photos_that_the_pipeline_is_not_asked_about_do_not_fail(scene):
    unknown = tuple(o for o in scene.objects if not o.known)
    assert unknown
    nothing_to_ask = replace(scene, objects=unknown)

    class Splatting(Oracle):
        def reconstruct(self, view, *, seed, report):
            made = super().reconstruct(view, seed=seed, report=report)
            one = Gaussians(
                means=np.zeros((1, 3), np.float32),
                scales=np.full((1, 3), 0.1, np.float32),
                rotations=np.array([[1, 0, 0, 0]], np.float32),
                opacities=np.ones(1, np.float32),
                sh0=np.zeros((1, 3), np.float32),
            )
            return replace(made, shape=replace(made.shape, gaussians=one))

    backend = Splatting(scene)
    row, picture, _ = measure_pipeline(backend, backend, backend, [nothing_to_ask, scene], seed=0)
    assert row.failed == 0
    assert picture is not None
    assert (picture.count, picture.failed) == (1, 0)


def test_a_table_lines_up_and_its_json_has_null_for_what_was_not_measured():
    table = Table(
        title="Things",
        of="objects",
        rows=[Row(name="a", count=3, failed=1, figures={"IoU": 0.5, "error °": math.nan})],
        failures=["first", "second"],
    )
    title, head, row, *failures = table_text(table).splitlines()
    assert title == "Things"
    assert len(head) == len(row)
    assert row.split() == ["a", "3", "1", "0.500", "–", "–"]
    assert failures == ["  failed: first", "  failed: second"]
    written = json.loads(json.dumps(tables_json([table]), allow_nan=False))
    assert written[0]["rows"][0]["figures"] == {"IoU": 0.5, "error °": None}


def test_an_attempt_that_fails_leaves_its_reason():
    attempts = Attempts()
    assert attempts.run("halving", lambda x: x / 2, 4) == 2
    assert attempts.run("dividing", lambda: 1 / 0) is None
    assert attempts.failures == ["dividing: ZeroDivisionError: division by zero"]
    assert len(attempts.seconds) == 2
