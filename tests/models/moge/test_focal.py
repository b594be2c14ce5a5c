"""The focal length and shift that a photo's geometry was made with are found again."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.moge.focal import (
    focal_in_half_diagonals,
    focal_in_pixels,
    recover_focal_and_shift,
)
from scenelift.models.moge.parts import view_plane


def surface(height: int, width: int, focal: float, shift: float) -> torch.Tensor:
    """Points [H, W, 3] of a wavy surface whose z is too small by `shift`."""
    plane = view_plane(height, width, width / height, torch.zeros(1))
    z = 3 + plane[0] + 0.5 * torch.sin(7 * plane[1])
    return torch.stack([plane[0] * z / focal, plane[1] * z / focal, z - shift], -1)


@settings(deadline=None, max_examples=25)
@given(
    focal=st.floats(0.4, 3.0),
    shift=st.floats(-0.5, 1.0),
    size=st.tuples(st.integers(40, 90), st.integers(40, 90)),
)
def test_focal_and_shift_are_recovered(focal, shift, size):
    points = surface(size[0], size[1], focal, shift)
    found = recover_focal_and_shift(points, torch.ones(size, dtype=torch.bool))
    # The solver stops once a step gains less than a thousandth.
    assert found == pytest.approx((focal, shift), rel=1e-2, abs=1e-2)


@settings(deadline=None, max_examples=15)
@given(focal=st.floats(0.4, 3.0), shift=st.floats(-0.5, 1.0))
def test_a_known_focal_length_is_kept_and_the_shift_still_found(focal, shift):
    points = surface(60, 80, focal, shift)
    found = recover_focal_and_shift(points, torch.ones(60, 80, dtype=torch.bool), focal)
    assert found[0] == focal
    assert found[1] == pytest.approx(shift, abs=1e-2)


def test_points_outside_the_mask_do_not_matter():
    points, mask = surface(60, 80, 1.1, 0.7), torch.ones(60, 80, dtype=torch.bool)
    mask[:, 40:] = False
    points[:, 40:] = math.inf
    found = recover_focal_and_shift(points, mask)
    assert found[0] == pytest.approx(1.1, rel=1e-2)
    assert found[1] == pytest.approx(0.7, abs=1e-2)


def test_without_points_there_is_nothing_to_fit():
    nothing = torch.zeros(8, 8, dtype=torch.bool)
    assert recover_focal_and_shift(torch.ones(8, 8, 3), nothing) == (1.0, 0.0)


def test_the_view_plane_spans_the_image_to_the_centres_of_its_corner_pixels():
    plane = view_plane(3, 4, 4 / 3, torch.zeros(1))  # spans (0.8, 0.6), the diagonal is 1
    torch.testing.assert_close(plane[0, 0], torch.tensor([-0.6, -0.2, 0.2, 0.6]))
    torch.testing.assert_close(plane[1, :, 0], torch.tensor([-0.4, 0.0, 0.4]))


def test_focal_lengths_are_in_half_diagonals():
    # 3-4-5: a focal length of half the diagonal of 600 × 800 pixels.
    assert focal_in_pixels(1.0, 600, 800) == pytest.approx(500)
    assert focal_in_half_diagonals(500, 600, 800) == pytest.approx(1)
