"""What is given in a large photo's own pixels lands on the same things in the reduced picture."""

import numpy as np
import pytest

from scenelift.geometry.photo_size import (
    photo_size,
    working_box,
    working_mask,
    working_point,
)
from scenelift.types import Camera, Image

REDUCED = Image(pixels=np.zeros((40, 60, 3), np.uint8), own_size=(90, 60))
AS_IT_IS = Image(pixels=np.zeros((40, 60, 3), np.uint8))


def test_sizes():
    assert photo_size(REDUCED) == (90, 60)
    assert photo_size(AS_IT_IS) == (60, 40)


def test_points_and_boxes_are_scaled_along():
    assert working_point(REDUCED, (90, 60)) == (60, 40)
    assert working_box(REDUCED, (0, 15, 45, 30)) == pytest.approx((0, 10, 30, 20))


def test_a_camera_keeps_its_field_of_view():
    camera = Camera(fx=90, fy=90, cx=45, cy=30, width=90, height=60)
    assert camera.resized(REDUCED.width, REDUCED.height) == Camera(
        fx=60, fy=60, cx=30, cy=20, width=60, height=40
    )


def test_a_mask_covers_the_same_part():
    mask = np.zeros((60, 90), bool)
    mask[15:30, 45:] = True
    expected = np.zeros((40, 60), bool)
    expected[10:20, 30:] = True
    np.testing.assert_array_equal(working_mask(REDUCED, mask), expected)


def test_a_speck_does_not_vanish():
    mask = np.zeros((60, 90), bool)
    mask[31, 46] = True
    assert working_mask(REDUCED, mask).any()


@pytest.mark.parametrize("shape", [(40, 60), (50, 50)])
def test_masks_of_other_sizes_are_left_to_whoever_asked(shape):
    mask = np.ones(shape, bool)
    assert working_mask(REDUCED, mask) is mask


def test_nothing_changes_where_the_photo_was_not_reduced():
    mask = np.ones((40, 60), bool)
    assert working_mask(AS_IT_IS, mask) is mask
    assert working_box(AS_IT_IS, (1, 2, 3, 4)) == (1, 2, 3, 4)
