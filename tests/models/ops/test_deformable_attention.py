"""Deformable attention without `grid_sample` is what transformers computes with it."""

import pytest
import torch

from scenelift.models.ops.deformable_attention import DeformableAttention
from scenelift.segment.pretrained import MultiScaleDeformableAttention


@pytest.mark.parametrize("shapes", [[(6, 9)], [(8, 5), (4, 3), (1, 1)]])
def test_agrees_with_transformers_also_at_and_beyond_the_rim(shapes):
    rng = torch.Generator().manual_seed(0)
    batch, queries, heads, points, channels = 2, 50, 3, 4, 8
    pixels = sum(rows * columns for rows, columns in shapes)
    value = torch.randn(batch, pixels, heads, channels, generator=rng)
    locations = 1.6 * torch.rand(batch, queries, heads, len(shapes), points, 2, generator=rng) - 0.3
    locations[:, :4] = torch.tensor([0.0, 1.0])
    weights = torch.rand(batch, queries, heads, len(shapes), points, generator=rng)
    sizes = torch.tensor(shapes)
    starts = torch.cat([torch.zeros(1, dtype=torch.long), sizes.prod(1).cumsum(0)[:-1]])
    arguments = (value, sizes, shapes, starts, locations, weights, 64)
    reference = MultiScaleDeformableAttention()
    ours, theirs = DeformableAttention(reference)(*arguments), reference(*arguments)
    # Sums of at most 48 products in another order.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    doubles = [t.double() if isinstance(t, torch.Tensor) else t for t in arguments]
    assert torch.equal(DeformableAttention(reference)(*doubles), reference(*doubles))
