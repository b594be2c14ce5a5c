"""The quality figures obey the laws that make them figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.quality import metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.transform import Rotation

masks = arrays.arrays(bool, (6, 7))
depths = arrays.arrays(float, 20, elements=st.floats(min_value=0.5, max_value=50, allow_nan=False))
quick = settings(deadline=None, max_examples=50)


@given(a=masks, b=masks)
@quick
def test_mask_iou_is_symmetric_and_one_only_for_equal_masks(a, b):
    iou = metrics.mask_iou(a, b)
    assert iou == metrics.mask_iou(b, a)
    assert (iou == 1) == np.array_equal(a, b)
    assert 0 <= iou <= 1


def test_squares_shifted_by_half_share_a_third():
    a, b = np.zeros((2, 8, 8), bool)
    a[0:4, 0:4], b[0:4, 2:6] = True, True
    assert metrics.mask_iou(a, b) == pytest.approx(1 / 3)


def test_matching_pairs_masks_whatever_their_order_and_leaves_strangers_alone():
    truth = np.zeros((2, 4, 9), bool)
    truth[0, :, 0:3], truth[1, :, 6:9] = True, True
    stranger = np.zeros((4, 9), bool)
    stranger[:, 4] = True
    of_truth, partners = metrics.match_by_iou([truth[1], stranger, truth[0]], list(truth))
    assert of_truth == [1, 1]
    assert partners == [1, None, 0]


def test_two_masks_on_one_object_count_as_one_find():
    truth = np.ones((4, 4), bool)
    of_truth, partners = metrics.match_by_iou([truth, truth], [truth])
    assert of_truth == [1]
    assert sorted(partners, key=str) == [0, None]


def test_nothing_found_matches_nothing():
    assert metrics.match_by_iou([], [np.ones((2, 2), bool)]) == ([0.0], [])


@given(truth=depths, factor=st.floats(min_value=0.1, max_value=10))
@quick
def test_depth_errors_vanish_after_alignment_of_a_scaled_truth(truth, factor):
    estimate = truth * factor
    aligned = estimate * metrics.median_scale(estimate, truth)
    assert metrics.abs_rel(aligned, truth) == pytest.approx(0, abs=1e-9)
    assert metrics.delta(aligned, truth) == 1


def test_abs_rel_and_delta_of_known_depths():
    truth = np.array([1.0, 2.0, 4.0])
    estimate = np.array([1.1, 2.0, 6.0])
    assert metrics.abs_rel(estimate, truth) == pytest.approx((0.1 + 0 + 0.5) / 3)
    assert metrics.delta(estimate, truth) == pytest.approx(2 / 3)


def test_affine_alignment_undoes_scale_and_shift_of_inverse_depth():
    truth = np.linspace(1, 9, 30)
    estimate = 1 / (3 / truth + 0.7)
    # float64 least squares of two unknowns.
    np.testing.assert_allclose(metrics.affine_disparity(estimate, truth), truth, rtol=1e-9)


def test_order_is_asked_only_of_pairs_that_are_apart():
    truth = [1.0, 1.02, 3.0]
    assert metrics.order_accuracy(truth, truth) == (2, 2)
    assert metrics.order_accuracy([3.0, 2.9, 1.0], truth) == (0, 2)


@given(shift=st.floats(min_value=0, max_value=2))
@quick
def test_box_iou_of_a_shifted_unit_cube(shift):
    cube = (np.zeros(3), np.ones(3))
    moved = (np.array([shift, 0, 0]), np.array([1 + shift, 1, 1]))
    overlap = max(0.0, 1 - shift)
    assert metrics.box_iou(cube, moved) == pytest.approx(overlap / (2 - overlap))
    assert metrics.box_iou(cube, moved) == metrics.box_iou(moved, cube)


@given(angle=st.floats(min_value=0, max_value=180), seed=st.integers(0, 99))
@quick
def test_rotation_angle_is_that_of_the_rotation_about_any_axis(angle, seed):
    axis = np.random.default_rng(seed).standard_normal(3)
    axis *= math.radians(angle) / np.linalg.norm(axis)
    # The inverse tangent loses half the digits at 180° only.
    assert metrics.rotation_angle(Rotation.from_rotvec(axis).as_matrix()) == pytest.approx(
        angle, abs=1e-5
    )


def test_f_score_and_chamfer_of_known_distances():
    near, far = np.array([0.0, 0.01]), np.array([0.0, 0.03])
    assert metrics.f_score(near, near, 0.02) == 1
    assert metrics.f_score(near, far, 0.02) == pytest.approx(2 * 1 * 0.5 / 1.5)
    assert metrics.f_score(far + 1, far + 1, 0.02) == 0
    assert metrics.chamfer(near, far) == pytest.approx((0.005 + 0.015) / 2)


def test_add_s_does_not_care_for_the_order_of_points_and_grows_with_the_offset():
    points = np.random.default_rng(0).random((200, 3))
    assert metrics.add_s(points[::-1], points, 1.0) == 0
    offsets = [metrics.add_s(points + np.array([d, 0, 0]), points, 2.0) for d in (0.05, 1.0, 3.0)]
    assert offsets == sorted(offsets)
    # Far away every point's nearest is one of the near side: about the offset over the diameter.
    assert metrics.add_s(points + np.array([100.0, 0, 0]), points, 2.0) == pytest.approx(
        50, rel=0.02
    )


def test_add_s_from_a_part_of_the_points_estimates_that_from_all():
    rng = np.random.default_rng(0)
    estimate, truth = rng.random((8000, 3)), rng.random((8000, 3)) + 0.2
    full = metrics.add_s(estimate, truth, 1.0)
    # The distances spread by about their mean: 2000 of them give it to 1/45, one standard error.
    assert metrics.add_s(estimate, truth, 1.0, queries=2000) == pytest.approx(full, rel=0.07)


def test_psnr_and_ssim_look_only_inside_the_mask():
    rng = np.random.default_rng(0)
    photo = rng.random((24, 24, 3))
    mask = np.zeros((24, 24), bool)
    mask[4:20, 4:20] = True
    other = np.where(mask[..., None], photo, 1 - photo)
    assert metrics.psnr(photo, other, mask) == math.inf
    assert metrics.ssim(photo, other, mask) == pytest.approx(1)
    assert metrics.ssim(photo, 1 - photo, mask) < 0.1


def test_psnr_of_a_known_error():
    black = np.zeros((4, 4, 3))
    # An error of 0.1 everywhere: −10 log10 0.01.
    assert metrics.psnr(black, black + 0.1, np.ones((4, 4), bool)) == pytest.approx(20)
