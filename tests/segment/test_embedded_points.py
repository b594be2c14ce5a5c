"""Corrections by learned points: how far they reach, and what is looked at for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenelift.models.embedded import LEVELS
from scenelift.models.embedded.mask_head import MaskHead, window_of
from scenelift.models.embedded.photo_tokens import MOST_WINDOWS, PhotoTokens
from scenelift.models.embedded.point_head import PointHead
from scenelift.segment.embedded.points import Answer, PointMasker
from scenelift.types import PointPrompt

SIDE = 224
BOX = (0.0, 0.0, float(SIDE), float(SIDE))
PIXELS = np.full((SIDE, SIDE, 3), 120, np.uint8)
OBJECT = (slice(40, 180), slice(40, 180))
PART = (slice(40, 180), slice(140, 180))


class Network:
    """A head that takes points, whose backbone counts how often it looks."""

    hints = 12

    def __init__(self):
        self.count = 0

    def tokens(self, picture):
        self.count += 1
        return {level: np.zeros((1, 785, 384), np.float32) for level in LEVELS}

    def answer(self, picture, tokens, hints):
        return np.zeros((1, SIDE, SIDE), np.float32), np.zeros(1, np.float32)


def network() -> Any:
    return Network()


class Scripted:
    """Says the same to all points."""

    def __init__(self, region):
        self.chance = np.zeros((SIDE, SIDE), np.float32)
        self.chance[region] = 1

    def photo_tokens(self, pixels):
        return PhotoTokens(network(), pixels)

    def open(self, look, box, others):
        return self

    def answer(self, points, before):
        return self.chance


@pytest.fixture
def before():
    chance = np.zeros((SIDE, SIDE), np.float32)
    chance[OBJECT] = 1
    return Answer(box=BOX, window=BOX, chance=chance)


def corrected(head, before, *points, defining=False):
    prompts = [PointPrompt(point=p, positive=positive) for p, positive in points]
    masker = PointMasker(head)
    answer = masker.corrected(masker.photo_tokens(PIXELS), before, prompts, (), defining=defining)
    return answer.chance >= 0.5


ON_IT, BESIDE_THE_EDGE, IN_THE_MIDDLE = (
    ((160.0, 110.0), True),
    ((46.0, 110.0), False),
    ((66.0, 110.0), False),
)


def test_a_small_correction_leaves_what_is_far(before):
    mask = corrected(Scripted(PART), before, ON_IT, BESIDE_THE_EDGE)
    assert not mask[110, 42:60].any()
    assert mask[50:170, 75:175].all()


def test_a_large_correction_and_one_that_changes_little_are_taken_as_they_are(before):
    mask = corrected(Scripted(PART), before, ON_IT, IN_THE_MIDDLE)
    assert not mask[50:170, 45:130].any()
    trimmed = (slice(40, 180), slice(52, 180))
    mask = corrected(Scripted(trimmed), before, ON_IT, BESIDE_THE_EDGE)
    assert not mask[50:170, 42:49].any()


def test_what_defines_the_object_may_change_all_of_it(before):
    mask = corrected(Scripted(PART), before, ((46.0, 110.0), False), defining=True)
    assert not mask[50:170, 45:100].any()


def test_the_box_is_around_the_part_that_holds_the_point():
    two_things = np.zeros((SIDE, SIDE), bool)
    two_things[20:60, 20:60] = two_things[100:200, 120:220] = True
    masker = PointMasker(Scripted(two_things))
    point = PointPrompt(point=(150.5, 150.5), positive=True)
    assert masker.box_of(masker.photo_tokens(PIXELS), point) == (120.0, 100.0, 220.0, 200.0)
    nothing = PointPrompt(point=(90.0, 20.0), positive=True)
    x0, y0, x1, _ = masker.box_of(masker.photo_tokens(PIXELS), nothing)
    assert (x0, y0, x1) == pytest.approx((76.56, 6.56, 103.44))


def test_a_box_and_points_on_it_are_looked_at_once():
    counting, box = network(), (60.0, 60.0, 140.0, 160.0)
    photo_tokens = PhotoTokens(counting, PIXELS)
    MaskHead(counting).look(photo_tokens, box, ())
    masker = PointMasker(PointHead(counting))
    point = PointPrompt(point=(100.0, 100.0), positive=True)
    answer = masker.first(photo_tokens, box, (), point)
    masker.corrected(photo_tokens, answer, [point, point], ())
    assert counting.count == 1


def test_the_look_at_the_photo_stays_and_others_go():
    counting = network()
    photo_tokens = PhotoTokens(counting, PIXELS)
    photo_tokens.at_photo()
    windows = [window_of((k, k, k + 50.0, k + 50.0)) for k in range(MOST_WINDOWS + 2)]
    for window in windows:
        photo_tokens.at(window)
    count, size = counting.count, photo_tokens.nbytes
    photo_tokens.at_photo()
    photo_tokens.at(windows[-1])
    assert counting.count == count
    photo_tokens.at(windows[0])
    assert counting.count == count + 1
    assert photo_tokens.nbytes == size == (MOST_WINDOWS + 1) * (4 * 785 * 384 * 4 + 392 * 392 * 3)
