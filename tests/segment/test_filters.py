"""Filters keep the best of each object, in an order that depends on nothing but the objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.segment.filters import FilterSettings, clean_mask, judge, keep_best
from scenelift.stages import digest
from scenelift.types import Instance

SIZE = 48


def rectangle(x, y, w, h, score=0.5, label="thing", **more):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + h, x : x + w] = True
    return Instance(mask=mask, label=label, score=score, box=Instance.box_of(mask), **more)


rectangles = st.builds(
    rectangle,
    x=st.integers(0, SIZE - 12),
    y=st.integers(0, SIZE - 12),
    w=st.integers(1, 12),
    h=st.integers(1, 12),
    score=st.sampled_from([0.1, 0.4, 0.5, 0.9]),
    label=st.sampled_from(["cup", "cat"]),
)
laws = settings(deadline=None, max_examples=60)


@laws
@given(st.lists(rectangles, max_size=12), st.randoms())
def test_the_order_of_the_candidates_does_not_matter(candidates, random):
    shuffled = list(candidates)
    random.shuffle(shuffled)
    assert digest(keep_best(candidates)) == digest(keep_best(shuffled))


@laws
@given(st.lists(rectangles, max_size=12))
def test_best_first_no_doubles_and_nothing_lost_without_a_reason(candidates):
    limits = FilterSettings(min_score=0.3)
    result = keep_best(candidates, limits)
    kept = result.instances
    assert len(kept) + len(result.dropped) == len(candidates)
    assert all(d.reason for d in result.dropped)
    ranks = [(-i.score, -i.mask.sum()) for i in kept]
    assert ranks == sorted(ranks)
    for k, a in enumerate(kept):
        assert a.mask.any()
        assert a.box == Instance.box_of(a.mask)
        for b in kept[:k]:
            shared = (a.mask & b.mask).sum()
            assert shared <= limits.max_iou * (a.mask | b.mask).sum()


@laws
@given(st.lists(rectangles, max_size=8))
def test_filtering_the_kept_again_changes_nothing(candidates):
    once = keep_best(candidates).instances
    assert digest(keep_best(once).instances) == digest(once)


@laws
@given(st.lists(rectangles, max_size=12), st.randoms(), st.none() | st.integers(1, 4))
def test_a_verdict_depends_on_the_candidate_and_not_on_its_place(candidates, random, most):
    verdicts = judge(candidates, FilterSettings(), most=most)
    order = list(range(len(candidates)))
    random.shuffle(order)
    shuffled = judge([candidates[k] for k in order], FilterSettings(), most=most)
    told = sorted(
        (digest(candidates[k]), v.reason if v else "") for k, v in zip(order, shuffled, strict=True)
    )
    assert told == sorted(
        (digest(c), v.reason if v else "") for c, v in zip(candidates, verdicts, strict=True)
    )
    assert most is None or verdicts.count(None) <= most


@laws
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_cleaning_does_not_depend_on_how_much_photo_is_around(seed, rows, columns):
    mask = np.random.default_rng(seed).random((20, 24)) < 0.7
    around = ((rows, rows), (columns, columns))
    inner = (slice(rows, rows + 20), slice(columns, columns + 24))
    once = clean_mask(np.pad(mask, 1), FilterSettings())[1:-1, 1:-1]
    wider = clean_mask(np.pad(mask, around), FilterSettings())
    np.testing.assert_array_equal(wider[inner], once)
    assert wider.sum() == once.sum()


def test_the_better_of_two_detections_of_one_object_stays():
    result = keep_best([rectangle(5, 5, 20, 20, 0.6), rectangle(6, 5, 20, 20, 0.8)])
    assert [i.score for i in result.instances] == [0.8]
    assert "same object" in result.dropped[0].reason


def test_a_part_of_the_same_label_is_dropped_and_of_another_label_kept():
    whole, part = rectangle(2, 2, 40, 40, 0.9, "person"), (10, 10, 12, 12)
    same = keep_best([whole, rectangle(*part, 0.8, "person")])
    assert len(same.instances) == 1
    assert "a part of" in same.dropped[0].reason
    assert len(keep_best([whole, rectangle(*part, 0.8, "tie")]).instances) == 2


def test_specks_and_pinholes_go_and_large_parts_and_real_holes_stay():
    mask = np.zeros((80, 80), bool)
    mask[5:45, 5:45] = True
    mask[20, 20] = False  # a pinhole
    mask[60:75, 60:75] = True  # a second part, 14 % of the first
    mask[2, 70] = True  # a speck
    ring = np.zeros((80, 80), bool)
    ring[10:70, 10:70] = True
    ring[25:55, 25:55] = False
    cleaned = clean_mask(mask, FilterSettings())
    assert cleaned[20, 20]
    assert cleaned[65, 65]
    assert not cleaned[2, 70]
    np.testing.assert_array_equal(clean_mask(ring, FilterSettings()), ring)


def test_the_soft_edge_follows_the_cleaned_mask():
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[10:30, 10:30] = 0.9
    alpha[20, 20] = 0.2  # a pinhole
    alpha[40, 40] = 0.8  # a speck
    mask = alpha > 0.5
    candidate = Instance(mask=mask, label="x", score=1, box=Instance.box_of(mask), alpha=alpha)
    (kept,) = keep_best([candidate]).instances
    assert kept.alpha is not None
    assert kept.alpha[20, 20] == 1
    assert kept.alpha[40, 40] == 0


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (rectangle(0, 0, 10, 10, score=0.1), "score 0.10 is below 0.3"),
        (rectangle(0, 0, 3, 3), "9 pixels, fewer than 16"),
    ],
)
def test_weak_and_tiny_candidates_are_dropped_with_their_reason(candidate, reason):
    result = keep_best([candidate], FilterSettings(min_score=0.3))
    assert result.instances == ()
    assert reason in result.dropped[0].reason
