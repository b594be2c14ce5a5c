"""Duplicates disappear, agreement is kept, whatever the order of the boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.embedded.box_fusion import Detections, fuse, iou, suppress


def detections(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([index for _, _, index in rows], np.int64),
    )


@st.composite
def some_detections(draw, max_size: int = 12) -> Detections:
    side = st.integers(1, 60)
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 60), st.integers(0, 60), side, side, st.integers(1, 99)),
            max_size=max_size,
        )
    )
    return detections(
        *(((x, y, x + w, y + h), score / 100, (x + y) % 3) for x, y, w, h, score in rows)
    )


def test_iou_of_known_boxes():
    square = np.array([0, 0, 10, 10], np.float32)
    others = np.array(
        [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [30, 30, 31, 31]], np.float32
    )
    np.testing.assert_allclose(iou(square, others), [1, 1 / 3, 0, 0], atol=1e-6)


@given(some_detections(), st.floats(0.1, 0.9))
@settings(deadline=None)
def test_suppression_keeps_the_best_of_every_overlap_and_is_done_in_one_pass(found, limit):
    kept = suppress(found, limit)
    assert len(kept) == len(suppress(kept, limit))
    assert (np.diff(kept.scores) <= 0).all()
    for box, score, index in zip(found.boxes, found.scores, found.classes, strict=True):
        same = (kept.classes == index) & (kept.scores >= score)
        overlap = iou(kept.boxes[same], box)
        assert overlap.max() > limit or (kept.boxes[same] == box).all(1).any()


def test_suppression_spares_other_classes_unless_told():
    found = detections(((0, 0, 10, 10), 0.9, 1), ((0, 0, 10, 10), 0.8, 2))
    assert len(suppress(found, 0.5)) == 2
    assert suppress(found, 0.5, across_classes=True).classes.tolist() == [1]


@given(some_detections())
@settings(deadline=None)
def test_fusing_a_view_with_itself_changes_no_score_of_lone_boxes(found):
    alone = suppress(found, 0.0)  # boxes of one class that touch nowhere
    fused = fuse([alone, alone], np.mean)
    np.testing.assert_array_equal(fused.scores, alone.scores)
    np.testing.assert_allclose(fused.boxes, alone.boxes, rtol=1e-6)  # float32 averages


@given(some_detections(), some_detections())
@settings(deadline=None)
def test_fused_boxes_lie_within_what_was_found(a, b):
    fused = fuse([a, b], np.max)
    together = Detections.concatenate([a, b])
    assert len(fused) <= len(together)
    if len(fused):
        assert fused.boxes.min() >= together.boxes.min() - 1e-3  # rounding of float32 averages
        assert fused.boxes.max() <= together.boxes.max() + 1e-3
        assert fused.scores.max() == together.scores.max()


def test_a_box_that_one_view_misses_counts_half_under_the_mean():
    seen, missed = detections(((0, 0, 10, 10), 0.8, 1)), Detections.none()
    assert fuse([seen, missed], np.mean).scores.tolist() == pytest.approx([0.4])
    assert fuse([seen, missed], np.max).scores.tolist() == pytest.approx([0.8])


def test_the_surer_box_pulls_the_fused_one_towards_it():
    fused = fuse(
        [detections(((0, 0, 10, 10), 0.9, 1)), detections(((0, 0, 13, 10), 0.3, 1))], np.max
    )
    assert fused.boxes.tolist() == [pytest.approx([0, 0, 10.75, 10])]


def test_clipping_removes_what_lies_outside():
    found = detections(((-5, 2, 5, 8), 0.9, 1), ((20, 0, 30, 10), 0.8, 1))
    clipped = found.clipped((0, 0, 10, 10))
    assert clipped.boxes.tolist() == [[0, 2, 5, 8]]


def test_nothing_found_stays_nothing():
    assert len(fuse([], np.max)) == 0
    assert len(fuse([Detections.none()], np.max)) == 0
    assert len(suppress(Detections.none(), 0.5)) == 0
    assert len(Detections.none().clipped((0, 0, 1, 1))) == 0
