"""The second stage: equal to the published code, and to its own laws."""

import pytest
import torch

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.sparse import Voxels
from scenelift.models.slat.latent_flow import LatentFlow, LatentFlowParams, latent_noise
from scenelift.models.slat.precision import to_half
from scenelift.weights.state_dicts import load_module


def test_published_sizes_give_the_published_state_dict():
    with torch.device("meta"):
        tensors = LatentFlow(LatentFlowParams()).state_dict()
    assert len(tensors) == 526
    assert sum(t.numel() for t in tensors.values()) == 600_432_520
    assert LatentFlowParams.from_state_dict(tensors) == LatentFlowParams()


@pytest.fixture
def flow():
    torch.manual_seed(0)
    block = BlockParams(width=36, heads=3, condition_width=10)
    flow = LatentFlow(LatentFlowParams(block=block, blocks=2, io_channels=12)).eval()
    with torch.no_grad():
        for parameter in flow.parameters():  # convolutions start from zero
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    return flow.requires_grad_(False)


@pytest.fixture
def voxels():
    rng = torch.Generator().manual_seed(1)
    return Voxels(
        torch.nn.functional.pad((torch.rand(6, 6, 6, generator=rng) < 0.3).nonzero(), (1, 0)), 6
    )


def test_no_context_means_a_condition_of_zeros(flow, voxels):
    x = torch.randn(len(voxels), 8)
    time = torch.tensor([0.3])
    zeros = flow.remember(torch.zeros(1, 7, 10))
    # Softmax weights of seven equal keys add up to 1 within rounding.
    torch.testing.assert_close(
        flow(x, time, voxels, None), flow(x, time, voxels, zeros), rtol=1e-4, atol=1e-5
    )


def test_the_order_of_voxels_does_not_matter(flow, voxels):
    x = torch.randn(len(voxels), 8)
    time, context = torch.tensor([0.7]), flow.remember(torch.randn(1, 5, 10))
    order = torch.randperm(len(voxels))
    shuffled = Voxels(voxels.coords[order], voxels.resolution)
    torch.testing.assert_close(
        flow(x[order], time, shuffled, context),
        flow(x, time, voxels, context)[order],
        rtol=1e-4,
        atol=1e-5,
    )


def test_blocks_may_be_half_precision_while_norms_and_ends_are_not(flow, voxels):
    x = torch.randn(len(voxels), 8)
    time = torch.tensor([0.3])
    exact = flow(x, time, voxels, None)
    halved = load_module(
        lambda: LatentFlow(flow.params), to_half(flow.state_dict()), source="a half-precision copy"
    )
    assert halved.compute_dtype == torch.float16
    rounded = halved(x, time, voxels, None)
    assert rounded.dtype == torch.float32
    # float16 keeps 11 bits: some tenths of a percent after a dozen layers.
    assert (rounded - exact).abs().max() < 0.02 * exact.std()


def test_noise_follows_its_seed():
    params = LatentFlowParams()
    first, second = (latent_noise(params, 5, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (5, 8)
    assert torch.equal(first, second)


def test_a_flow_without_blocks_is_refused():
    with pytest.raises(ValueError, match="got 0 and 2"):
        LatentFlowParams(blocks=0)
