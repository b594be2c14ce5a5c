"""What is known about the photo passes; what no model that works would answer does not."""

from dataclasses import replace

import numpy as np
import pytest

from scenelift.selfcheck import photo as known
from scenelift.selfcheck.judge import (
    Range,
    best_instance,
    judge_internals,
    judge_object,
    judge_points,
    judge_segmentation,
)
from scenelift.testing.fakes import ball_shape
from scenelift.types import Instance, Pose, SceneObject, Segmentation, Shape


def faults(findings) -> list[str]:
    return [finding.name for finding in findings if not finding.ok]


def masked(mask) -> Segmentation:
    instance = Instance(mask=mask, label="cup", score=0.7, box=Instance.box_of(mask))
    return Segmentation(instances=(instance,))


def test_the_cup_passes():
    segmentation = masked(known.cup())
    assert faults(judge_segmentation(segmentation)) == []
    assert best_instance(segmentation) == 0


def test_the_cup_with_its_saucer_passes_too():
    assert faults(judge_segmentation(masked(~known.surroundings()))) == []


@pytest.mark.parametrize("place", ["nothing", "everything", "table", "elsewhere"])
def test_other_masks_do_not(place):
    mask = {
        "nothing": np.zeros_like(known.cup()),
        "everything": np.ones_like(known.cup()),
        "table": known.surroundings(),
        "elsewhere": np.roll(known.cup(), (120, 250), (0, 1)),
    }[place]
    segmentation = Segmentation(instances=()) if place == "nothing" else masked(mask)
    assert faults(judge_segmentation(segmentation))
    assert place == "everything" or best_instance(segmentation) is None


def test_the_table_and_a_cup_on_it_pass():
    assert faults(judge_points(known.stand_in_points())) == []


def test_normals_are_judged_where_there_are_any():
    points = known.stand_in_points()
    pitch = np.radians(42)
    up = np.array([0, np.cos(pitch), np.sin(pitch)], np.float32)
    normals = np.broadcast_to(up, points.points.shape).copy()
    assert faults(judge_points(replace(points, normals=normals))) == []
    assert "share of normals that face the camera" in faults(
        judge_points(replace(points, normals=-normals))
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(size=normals.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=-1, keepdims=True)
    assert "agreement of the table's normals" in faults(
        judge_points(replace(points, normals=noise))
    )


def test_metres_are_those_of_a_table():
    points = replace(known.stand_in_points(), scale="metric")
    assert faults(judge_points(points)) == []
    far = replace(points, metres_per_unit=100.0)
    assert faults(judge_points(far)) == ["distance, metres"]


@pytest.mark.parametrize("kind", ["flat", "noise", "nothing", "behind", "upside down"])
def test_other_points_do_not_pass(kind):
    points = known.stand_in_points()
    depth = -points.points[..., 2].astype(np.float64)
    rng = np.random.default_rng(0)
    depth = {
        "flat": np.ones_like(depth),
        "noise": np.exp(rng.normal(size=depth.shape)),
        "nothing": np.full_like(depth, np.nan),
        "behind": -depth,
        "upside down": depth[::-1],
    }[kind]
    assert faults(judge_points(replace(points, points=points.camera.unproject(depth))))


def lifted(shape: Shape, **quality: float) -> SceneObject:
    return SceneObject(
        index=0,
        instance=known.cup_instance(),
        shape=shape,
        pose=Pose(translation=(0, 0, -3)),
        quality={"mask_iou": 0.8, "colour_error": 0.3, "voxels": 20_000.0} | quality,
    )


@pytest.fixture(scope="module")
def ball() -> Shape:
    return ball_shape(np.array([180, 90, 60]), splats=2000)


def test_a_solid_thing_in_its_place_passes(ball):
    assert faults(judge_object(lifted(ball))) == []


def test_what_is_wrong_with_an_object_is_named(ball):
    assert ball.gaussians is not None
    assert ball.mesh is not None
    nan = replace(ball.gaussians, means=np.full_like(ball.gaussians.means, np.nan))
    spread = replace(ball.gaussians, means=4 * ball.gaussians.means)
    faint = replace(ball.gaussians, opacities=np.zeros_like(ball.gaussians.opacities))
    flat = replace(ball.mesh, vertices=ball.mesh.vertices * np.array([1, 0.01, 1], np.float32))
    for shape, quality, fault in (
        (ball, {"mask_iou": 0.1}, "IoU of its silhouette in its pose with its mask"),
        (ball, {"colour_error": 0.95}, "1 - correlation of its colours with the photo's"),
        (ball, {"voxels": 12.0}, "voxels"),
        (replace(ball, gaussians=nan), {}, "every number of its splats is finite"),
        (replace(ball, gaussians=spread), {}, "share of splats outside the object's box"),
        (replace(ball, gaussians=faint), {}, "share of splats that can be seen"),
        (replace(ball, mesh=flat), {}, "shortest side over longest"),
        (replace(ball, mesh=None), {}, "there is a mesh"),
    ):
        assert fault in faults(judge_object(lifted(shape, **quality)))


def test_internals_like_the_published_runs_pass_and_others_do_not():
    published = {
        "structure": Range(low=-116.06, high=92.44, strange=0),
        "latents": Range(low=-9.557, high=6.372, strange=0),
    }
    assert faults(judge_internals(published)) == []
    assert faults(judge_internals({"structure": Range(low=-1, high=1, strange=3)})) == [
        "least of the logits of the structure",
        "most of the logits of the structure",
        "the logits of the structure are finite",
    ]
