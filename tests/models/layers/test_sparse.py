"""Layers on occupied voxels: halving, subdividing, and what they keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.layers.sparse import (
    SparseTensor,
    SubmanifoldConv,
    Voxels,
    use_sparse_conv,
)

cells = st.tuples(st.just(0), *[st.integers(0, 6)] * 3)
voxel_sets = st.lists(cells, unique=True, min_size=1, max_size=60).map(
    lambda rows: Voxels(torch.tensor(rows, dtype=torch.int32), 7)
)


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_halving_gives_each_occupied_cell_once_in_order(voxels):
    halved = voxels.halved
    cells = sorted({(b, x // 2, y // 2, z // 2) for b, x, y, z in voxels.coords.tolist()})
    assert [tuple(row) for row in halved.voxels.coords.tolist()] == cells
    assert halved.voxels.resolution == 4


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_halving_divides_the_sum_by_the_count_plus_one(voxels):
    feats = torch.randn(len(voxels), 3, generator=torch.Generator().manual_seed(1))
    halved = voxels.halved
    down = halved.down(feats)
    for row, mean in enumerate(down):
        children = feats[halved.parent == row]
        torch.testing.assert_close(mean, children.sum(0) / (len(children) + 1))


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_going_up_restores_voxels_and_their_order(voxels):
    halved = voxels.halved
    coarse = halved.voxels.coords.float()
    torch.testing.assert_close(halved.up(coarse), (voxels.coords // 2).float())


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_children_of_a_voxel_stand_together_and_fill_it(voxels):
    fine = voxels.subdivide()
    assert fine.resolution == 14
    assert torch.equal(fine.coords[:, 1:] // 2, voxels.coords[:, 1:].repeat_interleave(8, 0))
    places = (fine.coords[:, 1:] % 2 * torch.tensor([4, 2, 1])).sum(1).view(-1, 8)
    assert torch.equal(places, torch.arange(8).expand_as(places))


def test_batches_do_not_mix():
    voxels = Voxels(torch.tensor([[0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1]]), 2)
    assert voxels.halved.voxels.coords.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0]]
    assert voxels.halved.parent.tolist() == [0, 1, 1]
    assert voxels.subdivide().coords[:, 0].tolist() == [0] * 8 + [1] * 16


def test_features_must_have_a_row_for_each_voxel():
    voxels = Voxels(torch.zeros(1, 4, dtype=torch.int32), 2)
    with pytest.raises(ValueError, match=r"expected \[1, channels\], got \[2, 3\]"):
        SparseTensor(torch.zeros(2, 3), voxels)


def test_convolution_keeps_the_published_names_and_layout():
    shapes = {k: tuple(v.shape) for k, v in SubmanifoldConv(4, 6).state_dict().items()}
    assert shapes == {"conv.weight": (6, 3, 3, 3, 4), "conv.bias": (6,)}


def test_one_call_chooses_the_implementation_of_a_whole_network():
    network = torch.nn.Sequential(SubmanifoldConv(2, 2), torch.nn.Sequential(SubmanifoldConv(2, 3)))

    def zeros(feats, neighbours, weight, bias):
        return feats.new_zeros(len(neighbours), len(weight))

    use_sparse_conv(network, zeros)
    voxels = Voxels(torch.zeros(1, 4, dtype=torch.int32), 2)
    h = network[0](torch.ones(1, 2), voxels.neighbours)
    assert network[1][0](h + 1, voxels.neighbours).tolist() == [[0, 0, 0]]


@given(voxels=voxel_sets)
@settings(deadline=None)
def test_convolving_on_children_equals_convolving_copies_of_their_voxel(voxels):
    rng = torch.Generator().manual_seed(2)
    conv = SubmanifoldConv(3, 2)
    for parameter in conv.parameters():
        parameter.data = torch.randn(parameter.shape, generator=rng)
    feats = torch.randn(len(voxels), 3, generator=rng)
    copied = conv(feats.repeat_interleave(8, 0), voxels.subdivide().neighbours)
    # Sums of 81 products of order 1, some of their weights added beforehand.
    torch.testing.assert_close(
        conv.on_children(feats, voxels.neighbours), copied, rtol=1e-4, atol=1e-4
    )
