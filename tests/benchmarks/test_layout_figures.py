"""The layout benchmark says how sure its shares are."""

from __future__ import annotations

import pytest
from benchmarks.layout import wilson
from hypothesis import given, settings
from hypothesis import strategies as st


def test_the_interval_is_wilsons():
    # Brown, Cai and DasGupta 2001 give the formula; these are worked by hand.
    assert wilson(0, 100) == pytest.approx((0, 0.0370), abs=1e-4)
    assert wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_narrows_with_more_objects(case):
    hits, of = case
    low, high = wilson(hits, of)
    # Rounding: the ends are exactly 0 and 1 where all or none are hits.
    assert -1e-9 <= low <= hits / of + 1e-9
    assert hits / of - 1e-9 <= high <= 1 + 1e-9
    more_low, more_high = wilson(4 * hits, 4 * of)
    assert more_high - more_low < high - low
