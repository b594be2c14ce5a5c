"""The table says which occupied voxel lies in each cell around a voxel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.ops.neighbours import Neighbours, kernel_offsets

RESOLUTION = 4
cells = st.tuples(st.integers(0, 1), *[st.integers(0, RESOLUTION - 1)] * 3)
voxel_sets = st.lists(cells, unique=True, min_size=1, max_size=40)


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_every_row_is_the_voxel_at_that_offset(voxels):
    rows = Neighbours.of(torch.tensor(voxels), RESOLUTION).rows
    for offset, row in zip(kernel_offsets().tolist(), rows.tolist(), strict=True):
        for (batch, *xyz), found in zip(voxels, row, strict=True):
            there = (batch, *(a + d for a, d in zip(xyz, offset, strict=True)))
            assert found == (voxels.index(there) if there in voxels else -1)


def test_children_read_the_rows_of_their_parents():
    table = Neighbours.of(torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 3]]), RESOLUTION)
    of_pairs = table.of_parents(2).rows
    assert torch.equal(of_pairs[table.rows < 0], table.rows[table.rows < 0])
    assert of_pairs[kernel_offsets().tolist().index([0, 0, 0])].tolist() == [0, 0, 1]


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_occupancy_masks_say_which_cells_are_filled(voxels):
    table = Neighbours.of(torch.tensor(voxels), RESOLUTION)
    masks, order = table.by_occupancy
    assert sorted(order.tolist()) == list(range(len(voxels)))
    assert masks.tolist() == sorted(masks.tolist())
    bits = (masks[:, None] >> torch.arange(27)) & 1
    assert torch.equal(bits.bool(), (table.rows[:, order.long()] >= 0).T)
