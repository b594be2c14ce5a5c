"""Attention in windows equals full attention under a mask."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.models.layers.sparse import Voxels
from scenelift.models.layers.windowed_attention import (
    WindowedSelfAttention,
    Windows,
    attend_in_windows,
)


def blob(count, resolution, seed):
    """Random voxels, half of them crowded into one window."""
    rng = torch.Generator().manual_seed(seed)
    wide = torch.randint(0, resolution, (count, 3), generator=rng)
    near = torch.randint(0, resolution // 2, (count, 3), generator=rng)
    coords = F.pad(torch.cat([wide, near]).unique(dim=0), (1, 0)).int()
    return Voxels(coords[torch.randperm(len(coords), generator=rng)], resolution)


@pytest.mark.parametrize("shift", [0, 4])
@pytest.mark.parametrize("count", [1, 20, 400])
def test_equals_masked_attention(count, shift):
    voxels = blob(count, 16, seed=count)
    q, k, v = torch.randn(3, len(voxels), 2, 8, generator=torch.Generator().manual_seed(1))

    actual = attend_in_windows(q, k, v, Windows.of(voxels, 8, shift))

    window = (voxels.coords[:, 1:] + shift) // 8
    together = (window[:, None] == window).all(-1)
    q, k, v = (x.transpose(0, 1) for x in (q, k, v))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=together).transpose(0, 1)
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@given(seed=st.integers(0, 50), size=st.sampled_from([2, 4, 8]), shifted=st.booleans())
@settings(deadline=None, max_examples=20)
def test_every_voxel_is_in_one_window(seed, size, shifted):
    voxels = blob(60, 12, seed)
    windows = Windows.of(voxels, size, size // 2 if shifted else 0)
    rows = torch.cat([batch.voxels for batch in windows.batches])
    assert sorted(rows.tolist()) == list(range(len(voxels)))
    for batch in windows.batches:
        assert torch.equal(batch.rows.flatten()[batch.places], batch.voxels)
        assert batch.occupied.sum() == len(batch.voxels)


def test_padding_is_less_than_the_voxels_but_for_the_smallest_windows():
    voxels = blob(1500, 16, seed=3)
    for batch in Windows.of(voxels, 8, 0).batches:
        if batch.rows.shape[1] > 32:
            assert batch.rows.numel() < 2 * len(batch.voxels)


def test_no_voxels_have_no_windows():
    voxels = Voxels(torch.zeros(0, 4, dtype=torch.int32), 16)
    assert Windows.of(voxels, 8, 0).batches == ()


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="width 10 must be a multiple of heads 4"):
        WindowedSelfAttention(10, 4)
