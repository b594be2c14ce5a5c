"""Boxes are recovered from their corners, and the networks see a real cup as one."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from scenelift.reconstruct.embedded.objectron import CORNERS, BoxFinder, fit_box
from scenelift.types import Camera

CAMERA = Camera.from_fov(640, 480, fov_deg=55)
sides = st.floats(0.15, 0.5)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(5, 50),
    st.floats(0, 360),
    st.tuples(sides, sides, sides),
    st.floats(-0.3, 0.3),
    st.floats(-0.2, 0.2),
)
def test_a_box_is_recovered_from_its_projected_corners(pitch, yaw, lengths, x, y):
    turn = Rotation.from_euler("xy", [pitch, yaw], degrees=True)
    corners = turn.apply(CORNERS * np.array(lengths) / 2) + np.array([x, y, -1])
    found = fit_box(CAMERA.project(corners), CAMERA, 200.0)
    # A slight preference for comparable sides leaves a small miss.
    assert found.miss < 0.01
    again = (CORNERS * found.sides / 2) @ found.rotation.T + np.array([x, y, -1])
    np.testing.assert_allclose(np.ptp(again, axis=0), np.ptp(corners, axis=0), rtol=0.15)


def test_without_weights_or_for_other_classes_there_is_no_box():
    pixels = np.zeros((480, 640, 3), np.uint8)
    assert BoxFinder({}).find(pixels, (10, 10, 200, 200), CAMERA, ("cup",)) is None


@pytest.mark.weights
def test_the_coffee_cup_has_a_box_and_the_cat_has_none():
    finder = BoxFinder.load(None)
    camera = Camera.from_fov(600, 400, fov_deg=55)
    found = finder.find(skimage.data.coffee(), (170, 20, 420, 240), camera, (None, "red cup"))
    assert found is not None
    assert found.score > 0.9
    assert found.rotation[2, 1] > 0  # its open top faces the camera, which looks down on it
    assert finder.find(skimage.data.chelsea(), (60, 10, 440, 300), camera, ("cat",)) is None
