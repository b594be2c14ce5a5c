"""Windows of photos come out as training saw them."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.models.embedded import GREY, PATCH, crop


def ramp(height=40, width=60):
    return np.tile(np.arange(width, dtype=np.uint8)[None, :, None] * 4, (height, 1, 3))


def test_a_whole_photo_keeps_its_left_and_right():
    seen = crop(ramp(), (0, 0, 60, 40), (2, 3))
    assert seen.shape == (2 * PATCH, 3 * PATCH, 3)
    assert seen[0, 0, 0] < 10
    assert seen[0, -1, 0] > 225


def test_a_window_shows_its_part_of_the_photo():
    seen = crop(ramp(), (30, 0, 50, 20), (2, 2)).astype(float)
    # The middle column lies at x = 40; a step of the resampled ramp is 80 / 28 grey levels.
    assert seen[:, 13:15].mean() == pytest.approx(4 * 40 - 2, abs=3)


@pytest.mark.parametrize("window", [(-20, 5, 20, 35), (40, 5, 80, 35), (10, -30, 50, 10)])
def test_beyond_the_photo_it_is_grey(window):
    seen = crop(ramp(), window, (2, 2))
    corner = {True: seen[0, 0], False: seen[0, -1]}[window[0] < 0 or window[1] < 0]
    np.testing.assert_array_equal(corner, GREY)
