"""Further clicks correct the mask that the first one gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scenelift.models.embedded.box_fusion import Detections
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.segment.clicks import Clicks
from scenelift.segment.embedded.clicks import EmbeddedClicker, EmbeddedFeatures
from scenelift.segment.embedded.points import PointMasker
from scenelift.types import PointPrompt

SIDE = 120
BOX = (12.0, 12.0, 72.0, 72.0)
BODY = (slice(12, 72), slice(12, 60))  # what the masker gives of the box: its handle is missing
HANDLE, LEFT_OVER, FAR = (66.0, 42.0), (18.0, 18.0), (100.0, 100.0)
ON_BODY = ((36.0, 42.0), True)


class MissesTheHandle:
    def masks(self, pixels, boxes, rivals, report, *, photo_tokens=None):
        masks = []
        for _ in boxes:
            mask = np.zeros(pixels.shape[:2], np.float32)
            mask[BODY] = 1
            masks.append(mask)
        return masks


class Scripted:
    """A head that says that points are on a part of the photo, whatever it is asked."""

    def __init__(self, part=BODY):
        self.says = np.zeros((SIDE, SIDE), np.float32)
        self.says[part] = 1
        self.asked = []

    def photo_tokens(self, pixels):
        backbone: Any = self
        return PhotoTokens(backbone, pixels)

    def tokens(self, picture):
        return {}

    def open(self, look, box, others):
        self.look, self.box = look, box
        return self

    def answer(self, points, before):
        self.asked.append((self.box, len(points), before is not None))
        x0, y0, x1, y1 = self.look.window
        x = np.clip(x0 + (np.arange(224) + 0.5) / 224 * (x1 - x0), 0, SIDE - 1).astype(int)
        y = np.clip(y0 + (np.arange(224) + 0.5) / 224 * (y1 - y0), 0, SIDE - 1).astype(int)
        return self.says[np.ix_(y, x)]


def pixels():
    """A green body with a red handle on blue ground, and a thin red leg that stands off."""
    picture = np.full((SIDE, SIDE, 3), (40, 40, 200), np.uint8)
    picture[BODY] = (90, 160, 90)
    picture[30:54, 60:72] = picture[80:118, 99:102] = (200, 40, 40)
    return picture


@pytest.fixture
def head():
    return Scripted()


@pytest.fixture
def clicker(head):
    return EmbeddedClicker((), MissesTheHandle(), PointMasker(head))


@pytest.fixture
def features(head):
    return proposing(head, BOX, 0.9)


def proposing(head, box, score):
    proposals = Detections(
        boxes=np.array([box], np.float32),
        scores=np.array([score], np.float32),
        classes=np.array([0]),
    )
    return EmbeddedFeatures(proposals, head.photo_tokens(pixels()))


def mask_at(clicker, features, *points, **given):
    prompts = tuple(PointPrompt(point=p, positive=positive) for p, positive in points)
    return clicker.cut(features, Clicks(points=prompts, **given)) >= 0.5


def test_a_sure_proposal_is_the_answer_to_the_first_click(head, clicker, features):
    assert mask_at(clicker, features, ON_BODY)[BODY].all()
    assert head.asked == []


@pytest.mark.parametrize(("box", "score"), [(BOX, 0.45), ((0.0, 0.0, 118.0, 118.0), 0.9)])
def test_points_know_better_than_an_unsure_or_a_very_large_proposal(head, clicker, box, score):
    mask = mask_at(clicker, proposing(head, box, score), ON_BODY)
    photo, near = (whom for whom, _, _ in head.asked)
    assert photo == (0, 0, SIDE, SIDE)
    np.testing.assert_allclose(near, (12, 12, 60, 72), atol=1)
    assert mask[16:68, 16:56].all()
    assert not mask[80:].any()


def test_each_further_click_is_one_run_and_is_told_the_mask_so_far(head, clicker, features):
    mask_at(clicker, features, ON_BODY, (HANDLE, True))
    assert head.asked == [(BOX, 2, True)]
    mask_at(clicker, features, ON_BODY, (HANDLE, True), (LEFT_OVER, False))
    assert head.asked[1:] == [(BOX, 3, True)]


def test_a_point_that_the_mask_misses_adds_what_has_its_colour(clicker, features):
    mask = mask_at(clicker, features, ON_BODY, (HANDLE, True))
    assert mask[BODY].mean() > 0.95
    assert mask[38:46, 61:71].all()
    assert mask[:, 74:].mean() < 0.01


def test_a_late_click_on_what_stands_off_does_not_paint_over_what_is_between(clicker, features):
    mask = mask_at(clicker, features, ON_BODY, (FAR, True))
    assert mask[96:104, 100].all()
    assert mask[BODY].mean() > 0.95
    # No more than the leg's part: a disc as large as the way to the mask would be 3000 pixels.
    assert np.count_nonzero(mask[:, 74:]) < 80


def test_a_point_beside_takes_its_part_and_leaves_the_rest(clicker, features):
    features.pixels[12:24, 12:24] = (40, 40, 200)  # a corner is the ground's
    mask = mask_at(clicker, features, ON_BODY, (LEFT_OVER, False))
    assert not mask[14:22, 14:22].any()
    assert mask[30:72, 26:60].mean() > 0.95


def test_a_point_far_away_opens_a_larger_window_and_keeps_the_mask(head, clicker, features):
    head.says[80:118, 99:102] = 1
    mask = mask_at(clicker, features, ON_BODY, (FAR, True))
    assert head.asked == [((12.0, 12.0, 100.0, 100.0), 2, True)]
    assert mask[BODY].mean() > 0.95


def test_a_mask_that_is_given_is_only_added_to_or_only_taken_from(head, clicker, features):
    given = np.zeros((SIDE, SIDE), bool)
    given[20:60, 20:80] = True
    added = mask_at(clicker, features, (LEFT_OVER, True), mask=given)
    assert (added & given).sum() == given.sum() < added.sum()
    taken = mask_at(clicker, features, ((76.0, 30.0), False), mask=given)
    assert not (taken & ~given).any()
    assert not taken[25:35, 72:80].any()
    mask_at(clicker, features, ON_BODY, (HANDLE, True))
    # Nothing of it is what later clicks begin with.
    assert head.asked[-1] == (BOX, 2, True)
