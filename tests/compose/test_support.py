"""An object stands on the ground as it was seen about its foot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.compose.placed_object import PlacedObject
from scenelift.compose.support import FLOOR, support_of
from scenelift.geometry.ground import Ground
from scenelift.types import Pose, SceneObject

LEVEL, AWAY, SIZE = -0.8, 3.0, 0.6
UP = np.array([0.0, 1.0, 0.0])


@pytest.fixture(scope="module")
def placed(crate, photograph) -> PlacedObject:
    """A crate that stands on the level."""
    pose = Pose(translation=(0.0, LEVEL + SIZE / 2, -AWAY), scale=SIZE)
    photo = photograph([(crate, pose)], ground=LEVEL)
    o = SceneObject(index=0, instance=photo.instances[0], shape=crate, pose=pose)
    return PlacedObject.of(o, photo.image, photo.points)


def ground_of(points: np.ndarray) -> Ground:
    on = np.zeros(len(points), np.int64)
    return Ground(up=UP, levels=(LEVEL,), points=points, level=on, share=1.0)


def in_front(slope: float) -> np.ndarray:
    """Ground from the camera to the crate's foot and no further, rising by `slope` away."""
    x, z = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-AWAY + SIZE / 2, -1.5, 30))
    y = LEVEL + slope * (-AWAY - z)  # the level's height beneath the crate's middle
    return np.stack([x, y, z], -1).reshape(-1, 3)


@pytest.mark.parametrize("slope", [-0.05, 0.05])
def test_a_slope_that_was_seen_in_front_goes_on_beneath(placed, slope):
    points = in_front(slope)
    nearest = points[np.abs(points[:, 2] + AWAY) < SIZE][:, 1]
    support = support_of(placed, [], ground_of(points))
    assert support is not None
    assert support.of == FLOOR
    # The mean of what was seen near the foot errs by two centimetres or more. The plane through
    # it does not, but for less than a tenth, since levels are expected to be level.
    assert abs(nearest.mean() - LEVEL) > 0.02
    assert support.height == pytest.approx(LEVEL, abs=0.002)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_a_level_seen_anywhere_has_its_height_everywhere(placed, count, seed):
    points = np.random.default_rng(seed).uniform([-3, LEVEL, -6], [3, LEVEL, -1], (count, 3))
    support = support_of(placed, [], ground_of(points))
    assert support is not None
    assert support.height == pytest.approx(LEVEL, abs=1e-9)


def test_ground_that_was_seen_far_off_says_nothing(placed):
    points = in_front(0.0) + np.array([8.0, 0.1, 0.0])
    support = support_of(placed, [], ground_of(points))
    assert support is not None
    assert support.height == pytest.approx(LEVEL, abs=1e-3)
