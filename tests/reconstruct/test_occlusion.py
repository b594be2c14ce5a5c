"""What hides an object is told from the points, and from where the photo ends."""

import numpy as np
import pytest

from scenelift.reconstruct.occlusion import hidden_share


def scene(height: int = 80, width: int = 100, depth: float = 4.0):
    """Points of a wall, and the mask of a square on it, 40 pixels wide, at a depth of 2."""
    points = np.zeros((height, width, 3), np.float32)
    points[..., 2] = -depth
    mask = np.zeros((height, width), bool)
    mask[20:60, 30:70] = True
    points[mask, 2] = -2
    return mask, points


def test_an_object_before_a_wall_is_whole():
    assert hidden_share(*scene()) == 0


def test_what_stands_before_one_side_hides_that_side():
    mask, points = scene()
    points[:, 70:85, 2] = -1
    assert hidden_share(mask, points) == pytest.approx(0.25, abs=0.02)


def test_what_an_object_stands_on_does_not_hide_it():
    """The floor comes nearer below it, but not at once."""
    mask, points = scene()
    points[60:, :, 2] = -2 + 0.01 * np.arange(1, 21)[:, None]
    assert hidden_share(mask, points) == 0


def test_the_border_of_the_photo_cuts():
    mask, points = scene()
    assert hidden_share(mask[20:], points[20:]) == pytest.approx(0.25)


def test_without_depth_only_the_border_tells():
    mask, points = scene()
    points[:] = np.nan
    assert hidden_share(mask, points) == 0
    assert hidden_share(mask[:, 30:], points[:, 30:]) == pytest.approx(0.25)


def test_nothing_has_no_outline():
    mask, points = scene()
    assert hidden_share(np.zeros_like(mask), points) == 0
