"""Scenes with nothing to hold on to: a clear result or a recorded reason, and the others go on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from scenelift.geometry.transforms import pose_matrix
from scenelift.options import BackendOptions, FinishOptions
from scenelift.pipeline import Pipeline
from scenelift.reconstruct.embedded import EmbeddedReconstructor
from scenelift.scene import Scene
from scenelift.testing.fakes import (
    BallReconstructor,
    PlanePointMapper,
    disc_photo,
)
from scenelift.types import Instance, Segmentation

QUICK = FinishOptions(faces=500, vertex_colors=True)


class Says:
    """Finds what it is told to."""

    name, version = "says", "1"

    def __init__(self, *masks: np.ndarray) -> None:
        self._masks = masks

    def segment(self, image, prompt, report) -> Segmentation:
        return Segmentation(
            instances=tuple(
                Instance(
                    mask=mask,
                    label=f"thing {k}",
                    score=0.9,
                    box=Instance.box_of(mask) if mask.any() else (0, 0, 9, 9),
                )
                for k, mask in enumerate(self._masks)
            )
        )


class Holed(PlanePointMapper):
    """Knows no point under a mask."""

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask

    def estimate(self, image, instances, report):
        points = super().estimate(image, instances, report)
        holed = points.points.copy()
        holed[self._mask] = np.nan
        return dataclasses.replace(points, points=holed)


@pytest.fixture(scope="module")
def embedded() -> EmbeddedReconstructor:
    return EmbeddedReconstructor.load(BackendOptions())


@pytest.fixture(scope="module")
def discs() -> tuple[np.ndarray, np.ndarray]:
    pixels = disc_photo().pixels
    red, blue = ((pixels == color).all(-1) for color in ((200, 40, 40), (50, 70, 200)))
    return red, blue


def run(reconstructor, *masks, points=None, best_of=1) -> Scene:
    pipeline = Pipeline(Says(*masks), points or PlanePointMapper(), reconstructor)
    scene = pipeline.run(disc_photo(), "thing", finish=QUICK, best_of=best_of)
    for o in scene.objects:
        assert np.isfinite(pose_matrix(o.pose)).all()
        assert o.shape.mesh is None or np.isfinite(o.shape.mesh.vertices).all()
    return scene


def test_an_object_entirely_occluded_is_recorded_and_the_other_goes_on(embedded, discs):
    scene = run(embedded, np.zeros_like(discs[0]), discs[1])
    assert [o.index for o in scene.objects] == [1]
    (failed,) = scene.provenance.failed
    assert (failed.index, failed.error) == (0, "bad-input")


def test_two_identical_masks_give_two_objects_in_one_place(embedded, discs):
    first, second = run(embedded, discs[0], discs[0]).objects
    apart = pose_matrix(first.pose)[:3, 3] - pose_matrix(second.pose)[:3, 3]
    assert np.abs(apart).max() < 0.01 * first.pose.scale


def test_no_valid_point_under_a_mask_is_recorded_and_the_other_goes_on(embedded, discs):
    scene = run(embedded, *discs, points=Holed(discs[0]))
    assert [o.index for o in scene.objects] == [1]
    (failed,) = scene.provenance.failed
    assert (failed.index, failed.error) == (0, "bad-input")
    assert "no valid value on the object" in failed.reason


def test_one_object_and_no_ground_is_a_scene_that_says_so(discs):
    scene = run(BallReconstructor(), discs[0])
    assert len(scene.objects) == 1
    assert "No ground was seen: nothing was made to stand on it." in scene.provenance.notes


def test_tries_of_an_object_without_points_or_a_mask_lose_it_alone(discs):
    scene = run(
        BallReconstructor(), np.zeros_like(discs[0]), discs[1], points=Holed(discs[0]), best_of=2
    )
    assert [o.index for o in scene.objects] == [1]
    assert [f.index for f in scene.provenance.failed] == [0]
