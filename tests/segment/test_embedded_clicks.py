"""Further clicks correct the mask that the first one gave."""

from __future__ import annotations

import numpy as np
import pytest

from scenelift.models.embedded.box_fusion import Detections
from scenelift.segment.clicks import Clicks
from scenelift.segment.embedded.clicks import EmbeddedClicker, EmbeddedFeatures
from scenelift.types import PointPrompt

SIDE = 120
BOX = (12.0, 12.0, 72.0, 72.0)
BODY = (slice(12, 72), slice(12, 60))  # what the masker gives of the box: its handle is missing
HANDLE, LEFT_OVER, FAR = (66.0, 42.0), (18.0, 18.0), (100.0, 100.0)


class MissesTheHandle:
    def masks(self, pixels, boxes, rivals, report, *, quick=False):
        masks = []
        for x0, y0, x1, y1 in boxes:
            mask = np.zeros(pixels.shape[:2], np.float32)
            if (x0, y0, x1, y1) == BOX:
                mask[BODY] = 1
            else:
                mask[int(y0) : int(y1), int(x0) : int(x1)] = 1
            masks.append(mask)
        return masks


@pytest.fixture
def features():
    """Three looks: the body's, the handle's and the ground's."""
    rows = np.zeros((20, 20), int)  # patches of 6 pixels
    rows[2:12, 2:10], rows[5:9, 10:12] = 1, 2
    grid = np.eye(3, dtype=np.float32)[rows]
    colours = np.array([[90, 160, 90], [200, 40, 40], [40, 40, 200]], np.uint8)
    pixels = colours[rows].repeat(6, 0).repeat(6, 1)
    proposals = Detections(
        boxes=np.array([BOX], np.float32),
        scores=np.array([0.9], np.float32),
        classes=np.array([0]),
    )
    return EmbeddedFeatures(pixels, proposals, grid)


@pytest.fixture
def clicker():
    return EmbeddedClicker((), MissesTheHandle(), None)


def mask_at(clicker, features, *points):
    prompts = tuple(PointPrompt(point=p, positive=positive) for p, positive in points)
    return clicker.cut(features, Clicks(points=prompts)) >= 0.5


ON_BODY = ((36.0, 42.0), True)


def test_a_point_that_the_mask_misses_adds_to_it(clicker, features):
    body = mask_at(clicker, features, ON_BODY)
    assert body[BODY].all()
    both = mask_at(clicker, features, ON_BODY, (HANDLE, True))
    assert both[BODY].mean() > 0.95
    assert both[33:51, 61:70].mean() > 0.9
    assert both[76:].mean() < 0.02


def test_a_point_beyond_the_box_does_not_give_up_what_is_in_it(clicker, features):
    mask = mask_at(clicker, features, ON_BODY, (FAR, True))
    assert mask[BODY].mean() > 0.95
    assert mask[100, 100]


def test_what_the_mask_of_a_grown_box_misses_grows_as_far_as_it_is_alike(clicker, features):
    features.proposals = Detections.none()
    clicker._masker.masks = lambda pixels, *_, **__: [np.zeros(pixels.shape[:2], np.float32)]
    body = mask_at(clicker, features, ON_BODY)
    assert body[16:68, 16:56].mean() > 0.95
    assert body.mean() < 0.3


def test_a_small_correction_changes_no_object_and_a_large_one_does(clicker, features):
    larger = np.array([BOX, (6.0, 6.0, 114.0, 114.0)], np.float32)
    features.proposals = Detections(
        boxes=larger, scores=np.array([0.9, 0.8], np.float32), classes=np.array([0, 0])
    )
    beside_the_edge, far = ((64.0, 42.0), True), ((90.0, 42.0), True)
    assert not mask_at(clicker, features, ON_BODY, beside_the_edge)[76:].any()
    assert mask_at(clicker, features, ON_BODY, far)[20:110, 20:110].all()


def test_a_point_beside_takes_its_part_and_leaves_the_rest(clicker, features):
    features.grid[2:4, 2:4] = (0, 0, 1)  # a corner looks otherwise
    mask = mask_at(clicker, features, ON_BODY, (LEFT_OVER, False))
    assert not mask[18, 18]
    assert mask[30:72, 26:60].mean() > 0.95


LEARNED = (80.0, 80.0, 110.0, 110.0)


class LearnedPoints:
    """Says that clicks without a proposal are on `LEARNED`, and notes what it is to correct."""

    def __init__(self):
        self.corrections = []

    def box_of(self, pixels, windows, points):
        return LEARNED

    def corrected(self, pixels, windows, points, box, rivals, alpha, *counts, own=True):
        self.corrections.append((box, *counts, own))
        changed = alpha.copy()
        changed[100:104] = 1
        return changed


@pytest.fixture
def learned():
    points = LearnedPoints()
    return points, EmbeddedClicker((), MissesTheHandle(), None, points=points)


def test_a_click_on_no_proposal_is_on_what_learned_points_say(learned, features):
    points, clicker = learned
    mask = mask_at(clicker, features, ((95.0, 95.0), True))
    assert mask[80:110, 80:110].all()
    assert points.corrections == [(LEARNED, 0, 1, True)]


def test_a_proposals_mask_is_the_answer_to_the_first_click(learned, features):
    points, clicker = learned
    assert not mask_at(clicker, features, ON_BODY)[100:104].any()
    assert points.corrections == []
    assert mask_at(clicker, features, ON_BODY, (HANDLE, True))[100:104].all()
    assert points.corrections == [(BOX, 1, 1, True)]
    mask_at(clicker, features, (LEFT_OVER, False), ON_BODY)
    assert points.corrections[1:] == [(BOX, 0, 1, True)]


def test_a_mask_that_is_given_is_not_what_later_clicks_begin_with(learned, features):
    points, clicker = learned
    mask = np.zeros((SIDE, SIDE), bool)
    mask[BODY] = True
    prompt = PointPrompt(point=HANDLE, positive=True)
    assert clicker.cut(features, Clicks(points=(prompt,), mask=mask))[100:104].all()
    beside = PointPrompt(point=LEFT_OVER, positive=False)
    assert not clicker.cut(features, Clicks(points=(beside,), mask=mask))[100:104].any()
    assert points.corrections == [((12.0, 12.0, 60.0, 72.0), 0, 0, False)] * 2


def test_learned_points_correct_what_the_first_click_chose(learned, features):
    points, clicker = learned
    boxes = np.array([BOX, (6.0, 6.0, 114.0, 114.0)], np.float32)
    features.proposals = Detections(
        boxes=boxes, scores=np.array([0.9, 0.8], np.float32), classes=np.array([0, 0])
    )
    mask_at(clicker, features, ON_BODY, ((90.0, 42.0), True))
    assert points.corrections == [(BOX, 1, 1, True)]
