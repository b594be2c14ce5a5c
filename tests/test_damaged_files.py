"""Every reader turns damage into an error of ours, a result, or a rerun: never anything else."""

from __future__ import annotations

import warnings

import pytest
from benchmarks.readers import READERS, damaged, try_reader


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_or_read(name):
    """A few of what `benchmarks/readers.py` tries thousands of, there with a limit on memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        counts, faults = try_reader(name, 30, 0)
    assert faults == []
    assert counts.total() == 30


def test_files_are_really_damaged():
    import random

    rng, whole = random.Random(0), b'{"a": 1, "b": [2, 3]}' * 10
    made = [damaged(whole, rng, text=True) for _ in range(50)]
    assert sum(one != whole for one in made) > 45
    assert max(map(len, made)) > 50_000, "nested or long beyond any reason"
