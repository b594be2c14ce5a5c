"""What a point map gets wrong as a whole is told apart from what a pose gets wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose.compare import Weights, compare
from scenelift.compose.evidence import evidence_of
from scenelift.compose.search import rotation_of_vector
from scenelift.compose.surfels import surfels_of
from scenelift.geometry.transforms import pose_matrix
from scenelift.types import Pose

DISTANCE = 3.0
POSE = Pose(rotation=(0.955336489125606, 0.0, 0.29552020666133955, 0.0), translation=(0, 0, -3.0))


@pytest.fixture
def judged(chair, photograph):
    """Compare a pose of the chair with its photo, and points made farther by a function of them."""
    photo = photograph([(chair, POSE)])
    surfels = surfels_of(chair, 16000)
    true = pose_matrix(POSE)[:3]

    def judge(farther=lambda points: 0.0, pose=true):
        points = photo.points.points.copy()
        points[..., 2] -= farther(points)
        view = replace(photo.view(0), points=replace(photo.points, points=points))
        evidence = evidence_of(view, 72)
        return compare(surfels, evidence, np.stack([pose]), Weights())

    return judge


def test_a_common_offset_is_no_error_of_relief(judged):
    plain, moved = judged(), judged(lambda points: 0.15)
    assert moved.offset[0] - plain.offset[0] == pytest.approx(0.15 / (DISTANCE + 0.15), rel=0.02)
    assert moved.depth[0] == pytest.approx(plain.depth[0], abs=0.01)


def test_a_slope_is_no_error_of_relief_either(judged):
    plain, leaning = judged(), judged(lambda points: 0.1 * points[..., 0])
    # What it costs pulls the slope a little towards none, and leaves as little of it as relief.
    assert leaning.slope[0] == pytest.approx(0.1, rel=0.1)
    assert plain.slope[0] < 0.01
    assert leaning.depth[0] == pytest.approx(plain.depth[0], abs=0.03)
    weights = Weights()
    assert leaning.cost(weights)[0] > plain.cost(weights)[0]


def test_a_turned_object_is_not_excused_by_a_slope(judged):
    true = pose_matrix(POSE)[:3]
    turned = true.copy()
    turned[:, :3] = rotation_of_vector(np.array([0.0, 0.35, 0.0])) @ true[:, :3]
    weights = Weights()
    leaning = judged(lambda points: 0.1 * points[..., 0])
    assert judged(pose=turned).cost(weights)[0] > 1.5 * leaning.cost(weights)[0]
