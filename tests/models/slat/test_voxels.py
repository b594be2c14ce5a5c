"""Choosing voxels: only hidden ones are left out, and a structure that is too large is halved."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scenelift.models.slat.voxels import cap_voxels, occupied_voxels, prune_interior

grids = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7))


def coords_of(grid: np.ndarray) -> torch.Tensor:
    return occupied_voxels(torch.from_numpy(np.where(grid, 1.0, -1.0))[None, None])


def test_positive_logits_are_occupied_in_lexicographic_order():
    logits = torch.tensor([-1.0, 0.0, 2.0, 1e-6]).reshape(1, 1, 2, 1, 2)
    assert occupied_voxels(logits).tolist() == [[0, 1, 0, 0], [0, 1, 0, 1]]


@settings(deadline=None, max_examples=40)
@given(grid=grids)
def test_pruning_leaves_out_what_has_no_empty_neighbour(grid):
    padded = np.pad(grid, 1)
    kept = [
        (0, x, y, z)
        for x, y, z in np.argwhere(grid).tolist()
        if not padded[x : x + 3, y : y + 3, z : z + 3].all()
    ]
    assert prune_interior(coords_of(grid)).tolist() == [list(row) for row in kept]


def test_a_solid_ball_becomes_a_shell():
    ball = (np.indices((17, 17, 17)) - 8) ** 2
    coords = coords_of(ball.sum(0) <= 49)
    shell = prune_interior(coords)
    # A voxel with an empty neighbour is at most √3 inside the surface.
    assert (shell[:, 1:].float() - 8).norm(dim=1).min() >= 7 - 3**0.5
    assert set(map(tuple, shell.tolist())) <= set(map(tuple, coords.tolist()))


def test_a_structure_that_fits_is_unchanged():
    coords = coords_of(np.ones((3, 3, 3), bool))
    capped = cap_voxels(coords, 27)
    assert capped.factor == 1
    assert torch.equal(capped.coords, coords)


def test_halving_keeps_the_middle_and_makes_voxels_twice_as_long():
    capped = cap_voxels(coords_of(np.ones((16, 16, 16), bool)), 600)
    assert capped.factor == 2
    expected = coords_of(np.ones((8, 8, 8), bool)) + torch.tensor([0, 4, 4, 4])
    assert torch.equal(capped.coords, expected.int())


def test_a_flat_structure_stays_in_its_layer():
    coords = coords_of(np.ones((1, 8, 8), bool)) + torch.tensor([0, 5, 0, 0], dtype=torch.int32)
    capped = cap_voxels(coords, 40)
    expected = coords_of(np.ones((1, 4, 4), bool)) + torch.tensor([0, 5, 2, 2])
    assert torch.equal(capped.coords, expected.int())


@settings(deadline=None, max_examples=30)
@given(grid=grids.filter(lambda g: g.sum() > 4), seed=st.integers(0, 5))
def test_a_capped_structure_is_never_too_large(grid, seed):
    capped = cap_voxels(coords_of(grid), 4, generator=torch.Generator().manual_seed(seed))
    assert 1 <= len(capped.coords) <= 4
    assert len(capped.coords.unique(dim=0)) == len(capped.coords)
    low, high = coords_of(grid).min(0).values, coords_of(grid).max(0).values
    assert ((capped.coords >= low) & (capped.coords <= high)).all()


def test_thinning_is_repeatable():
    coords = coords_of(np.ones((8, 8, 8), bool))
    a, b, c = (
        cap_voxels(coords, 9, generator=torch.Generator().manual_seed(seed)).coords
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("prune", [prune_interior, lambda c: cap_voxels(c, 1).coords])
def test_nothing_stays_nothing(prune):
    assert prune(torch.zeros(0, 4, dtype=torch.int32)).shape == (0, 4)
