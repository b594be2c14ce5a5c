"""Work side by side gives what it gives one after the other."""

import sys
import threading

import pytest

from scenelift import threads
from scenelift.threads import quick_turns, side_by_side


@pytest.mark.parametrize("cores", [1, 3])
def test_results_come_in_the_order_of_the_items(monkeypatch, cores):
    monkeypatch.setattr(threads, "core_count", lambda: cores)
    waits = threading.Event()

    def work(item: int) -> int:
        waits.wait(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(side_by_side(work, range(20))) == [k * k for k in range(20)]
    assert list(side_by_side(work, [])) == []


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_comes_where_its_item_stands_and_ends_the_rest(monkeypatch, cores):
    monkeypatch.setattr(threads, "core_count", lambda: cores)
    done = []

    def work(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        done.append(item)
        return item

    seen = []
    with pytest.raises(ValueError, match="three"):
        seen.extend(side_by_side(work, range(1000)))
    assert seen == [] or seen == [0, 1, 2]
    assert max(done) < 100


def test_only_so_many_results_are_held(monkeypatch):
    monkeypatch.setattr(threads, "core_count", lambda: 2)
    begun = []
    results = side_by_side(lambda k: begun.append(k), iter(range(100)))
    next(results)
    assert len(begun) <= 5
    results.close()


def test_quick_turns_that_overlap_end_with_the_last():
    before = sys.getswitchinterval()
    first, second = quick_turns(), quick_turns()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() < before
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == before


def test_quick_turns_end():
    before = sys.getswitchinterval()
    with quick_turns():
        assert sys.getswitchinterval() < before
        with quick_turns():
            pass
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before
