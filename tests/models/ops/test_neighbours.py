"""The table says which occupied voxel lies in each cell around a voxel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.ops.neighbours import Neighbours, kernel_offsets

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


@given(voxels=voxel_sets, size=st.integers(1, 8))
@settings(deadline=None)
def test_blocks_hold_the_rows_of_the_cells_that_any_of_their_voxels_has(voxels, size):
    table = Neighbours.of(torch.tensor(voxels), RESOLUTION)
    order, rows, cells, counts = table.blocks(size)
    assert sorted(order.tolist()) == list(range(len(voxels)))
    for block, members in enumerate(order.long().split(size)):
        assert sorted(cells[block].tolist()) == list(range(27))
        expected = table.rows[:, members][cells[block].long()]  # [27, voxels of the block]
        assert torch.equal(rows[block, :, : len(members)], expected)
        assert (rows[block, :, len(members) :] == -1).all()
        filled = (expected >= 0).any(1)
        assert filled[: counts[block]].all()
        assert not filled[counts[block] :].any()


def test_a_selection_has_the_rows_of_its_cells():
    table = Neighbours.of(torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1]]), RESOLUTION)
    assert torch.equal(table.select([14, 0]).rows, table.rows[[14, 0]])
