"""Corrections by learned points: how far they reach, and in which order they are given."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.segment.embedded.points import PointMasker, Windows
from scenelift.types import PointPrompt

SIDE = 224
BOX = (0.0, 0.0, float(SIDE), float(SIDE))
PIXELS = np.full((SIDE, SIDE, 3), 120, np.uint8)
OBJECT = (slice(40, 180), slice(40, 180))
PART = (slice(40, 180), slice(140, 180))


class Scripted:
    """A head, and the one window that it opens: it says the same to all points, and notes them."""

    window = BOX
    nbytes = 0

    def __init__(self, region):
        self.chance = np.zeros((SIDE, SIDE), np.float32)
        self.chance[region] = 1
        self.calls = []

    def of_box(self, pixels, box, others):
        return self

    def of_photo(self, pixels):
        return self

    def answer(self, points, before):
        self.calls.append((len(points), before is not None))
        return self.chance


@pytest.fixture
def alpha():
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[OBJECT] = 1
    return mask


def corrected(head, alpha, *points, answered=1, windows=None):
    prompts = [PointPrompt(point=p, positive=positive) for p, positive in points]
    windows = Windows() if windows is None else windows
    return PointMasker(head).corrected(PIXELS, windows, prompts, BOX, (), alpha, answered, 1) >= 0.5


ON_IT, BESIDE_THE_EDGE, IN_THE_MIDDLE = (
    ((160.0, 110.0), True),
    ((46.0, 110.0), False),
    ((66.0, 110.0), False),
)


def test_a_small_correction_leaves_what_is_far(alpha):
    mask = corrected(Scripted(PART), alpha, ON_IT, BESIDE_THE_EDGE)
    assert not mask[110, 42:60].any()
    assert mask[50:170, 75:175].all()


def test_a_large_correction_and_one_that_changes_little_are_taken_as_they_are(alpha):
    mask = corrected(Scripted(PART), alpha, ON_IT, IN_THE_MIDDLE)
    assert not mask[50:170, 45:130].any()
    trimmed = (slice(40, 180), slice(52, 180))
    mask = corrected(Scripted(trimmed), alpha, ON_IT, BESIDE_THE_EDGE)
    assert not mask[50:170, 42:49].any()


def test_what_defines_the_object_may_change_all_of_it(alpha):
    mask = corrected(Scripted(PART), alpha, ((170.0, 110.0), True), answered=0)
    assert not mask[50:170, 45:100].any()


def test_each_click_is_one_run_of_the_head(alpha):
    head, windows = Scripted(OBJECT), Windows()
    corrected(head, alpha, ON_IT, BESIDE_THE_EDGE, windows=windows)
    corrected(head, alpha, ON_IT, BESIDE_THE_EDGE, IN_THE_MIDDLE, windows=windows)
    assert head.calls == [(2, True), (3, True)]


def test_the_box_is_around_the_part_that_holds_the_point():
    two_things = np.zeros((SIDE, SIDE), bool)
    two_things[20:60, 20:60] = two_things[100:200, 120:220] = True
    masker = PointMasker(Scripted(two_things))
    point = PointPrompt(point=(150.5, 150.5), positive=True)
    assert masker.box_of(PIXELS, Windows(), [point]) == (120.0, 100.0, 220.0, 200.0)


def test_the_box_stays_until_points_say_another_object():
    head, windows = Scripted(OBJECT), Windows()
    masker, points, boxes = PointMasker(head), [], []
    for region, point in (
        (OBJECT, (160.5, 110.5)),
        ((slice(40, 190), slice(40, 180)), (161.5, 110.5)),
        ((slice(0, 30), slice(0, 30)), (15.5, 15.5)),
    ):
        head.chance = np.zeros((SIDE, SIDE), np.float32)
        head.chance[region] = 1
        points.append(PointPrompt(point=point, positive=True))
        boxes.append(masker.box_of(PIXELS, windows, points))
    assert boxes == [(40.0, 40.0, 180.0, 180.0)] * 2 + [(0.0, 0.0, 161.5, 110.5)]
