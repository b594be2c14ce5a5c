"""Numbers become the text that Python's own formatting gives them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.io import decimals
from scenelift.io.decimals import lines_of


def by_python(name: str, table: np.ndarray, digits: tuple[int, ...]) -> bytes:
    template = f"{name}{''.join(f' %.{n}g' for n in digits)}\n"
    return "".join(template % tuple(row) for row in table.tolist()).encode()


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(st.tuples(st.floats(), st.floats(width=32), st.floats(-2, 2)), max_size=8),
    digits=st.tuples(*[st.integers(1, 9)] * 3),
)
def test_any_numbers(rows, digits):
    table = np.array(rows, np.float64).reshape(-1, 3)
    assert lines_of("v", table, digits) == by_python("v", table, digits)


@pytest.mark.parametrize(
    "values",
    [
        np.arange(4096) / 4096,  # ties, which go to the even digit
        np.arange(1, 4000) / 1000 + 0.0005,  # nearly ties
        10.0 ** np.arange(-20, 20),
        np.nextafter(10.0 ** np.arange(-12, 9), 0),
        np.random.default_rng(0).normal(size=4000) * 10.0 ** np.linspace(-13, 5, 4000),
        np.array([0.0, -0.0, 9999999.6, 999999.95, 0.000099999996, 1e-5, -3e-7, 123456.75]),
    ],
)
def test_numbers_at_which_rounding_errs_are_rounded_as_python_does(values, monkeypatch):
    table = np.stack([values, -values], -1)
    assert lines_of("vt", table, (7, 5)) == by_python("vt", table, (7, 5))


def test_numbers_of_a_mesh_need_no_help_of_python(monkeypatch):
    table = np.random.default_rng(0).normal(size=(5000, 3))
    table[:500] *= 1e-9
    table[500:600, 0] = [0.0, -0.0] * 50
    lengths = []
    fill = decimals._fill
    monkeypatch.setattr(decimals, "_fill", lambda *a: lengths.append(fill(*a)) or lengths[-1])
    assert len(lines_of("vn", table, (5, 5, 5))) == lengths[0]
