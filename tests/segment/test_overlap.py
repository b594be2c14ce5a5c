"""Pixels that two masks share go to the smaller object, unless that would leave a hole."""

from __future__ import annotations

import numpy as np

from scenelift.segment.embedded.overlap import without_overlaps
from scenelift.types import Instance


def rectangle(x0, y0, x1, y1):
    mask = np.zeros((60, 80), bool)
    mask[y0:y1, x0:x1] = True
    alpha = mask.astype(np.float32)
    return Instance(mask=mask, alpha=alpha, label="x", score=1, box=Instance.box_of(mask))


def test_the_smaller_of_two_keeps_what_they_share():
    cup, spoon = rectangle(10, 10, 50, 40), rectangle(40, 30, 60, 50)
    large, small = without_overlaps([cup, spoon])
    np.testing.assert_array_equal(small.mask, spoon.mask)
    np.testing.assert_array_equal(large.mask, cup.mask & ~spoon.mask)
    assert large.alpha is not None
    assert not large.alpha[35, 45]
    assert not (large.mask & small.mask).any()


def test_what_lies_inside_leaves_no_hole():
    person, tie = rectangle(10, 5, 50, 55), rectangle(28, 20, 34, 40)
    whole, worn = without_overlaps([person, tie])
    np.testing.assert_array_equal(whole.mask, person.mask)
    np.testing.assert_array_equal(worn.mask, tie.mask)


def test_an_object_that_would_lose_most_of_itself_stays_whole():
    one, other = rectangle(10, 10, 40, 40), rectangle(12, 12, 48, 37)
    kept = without_overlaps([one, other])
    assert all(k.mask.sum() >= 0.5 * o.mask.sum() for k, o in zip(kept, (one, other), strict=True))


def test_objects_apart_are_untouched_and_keep_their_order():
    apart = [rectangle(0, 0, 10, 10), rectangle(20, 20, 70, 50)]
    assert without_overlaps(apart) == tuple(apart)
