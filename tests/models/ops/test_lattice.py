"""Keys number the points of a lattice, and a set of keys answers where each one stands."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.ops.lattice import KeySet, lattice_keys


@given(side=st.integers(1, 9))
@settings(deadline=None)
def test_keys_count_the_points_in_lexicographic_order(side):
    axis = torch.arange(side)
    points = torch.cartesian_prod(axis, axis, axis)
    torch.testing.assert_close(lattice_keys(points, side), torch.arange(side**3).int())


def test_keys_of_a_large_lattice_do_not_overflow():
    corner = torch.tensor([1999, 1999, 1999])
    assert lattice_keys(corner, 2000).item() == 2000**3 - 1


@given(
    keys=st.lists(st.integers(-50, 50), unique=True),
    asked=st.lists(st.integers(-60, 60)),
)
@settings(deadline=None)
def test_rows_are_those_of_the_set_as_it_was_given(keys, asked):
    found = KeySet(torch.tensor(keys, dtype=torch.int64)).rows_of(
        torch.tensor(asked, dtype=torch.int64)
    )
    assert found.tolist() == [keys.index(a) if a in keys else -1 for a in asked]
