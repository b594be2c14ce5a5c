"""The first stage's flow: who sees whom, how noise is drawn, what the condition costs."""

import pytest
import torch

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.sam3d.structure_flow import (
    StructureFlow,
    StructureLatents,
    structure_noise,
)
from scenelift.models.slat.structure_flow import StructureFlowParams

PARAMS = StructureFlowParams(
    block=BlockParams(width=32, heads=4, condition_width=12, mlp_ratio=2),
    blocks=2,
    resolution=3,
    shape_channels=5,
)
ZERO = torch.zeros(1)


@pytest.fixture
def flow() -> StructureFlow:
    generator = torch.Generator().manual_seed(0)
    flow = StructureFlow(PARAMS).eval().requires_grad_(False)
    for parameter in flow.parameters():
        parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return flow


@pytest.fixture
def latents() -> StructureLatents:
    return structure_noise(PARAMS, torch.Generator().manual_seed(1))


@pytest.fixture
def condition() -> torch.Tensor:
    return torch.randn(1, 7, 12, generator=torch.Generator().manual_seed(2))


def test_sizes_are_read_from_the_state_dict(flow):
    found = StructureFlowParams.from_state_dict(
        flow.state_dict(), stream="shape.", ends="latent_mapping.shape."
    )
    assert found == PARAMS


def test_noise_is_drawn_in_the_published_order():
    generator = torch.Generator().manual_seed(42)
    expected = [
        torch.randn(1, *shape, generator=generator)
        for shape in ((1, 6), (1, 3), (27, 5), (1, 3), (1, 1))
    ]
    noise = structure_noise(PARAMS, torch.Generator().manual_seed(42))
    assert all(torch.equal(a, b) for a, b in zip(noise, expected, strict=True))
    assert noise.shape.shape == (1, 27, 5)


def test_the_shape_does_not_see_the_pose(flow, latents, condition):
    context = flow.remember(condition)
    moved = latents._replace(rotation=latents.rotation + 1, translation=latents.translation - 1)
    time = torch.tensor([0.3])
    velocity, other = (flow(x, time, context, step=ZERO) for x in (latents, moved))
    assert torch.equal(velocity.shape, other.shape)
    assert not torch.allclose(velocity.scale, other.scale)


def test_the_pose_sees_the_shape(flow, latents, condition):
    context = flow.remember(condition)
    moved = latents._replace(shape=latents.shape + 1)
    time = torch.tensor([0.3])
    velocity, other = (flow(x, time, context, step=ZERO) for x in (latents, moved))
    for a, b in zip(velocity, other, strict=True):
        assert not torch.allclose(a, b)


def test_no_context_equals_a_condition_of_zeros(flow, latents, condition):
    time = torch.tensor([0.7])
    shortcut = flow(latents, time, None, step=ZERO)
    zeros = flow(latents, time, flow.remember(torch.zeros_like(condition)), step=ZERO)
    for a, b in zip(shortcut, zeros, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)  # float32 sums in another order


def test_a_step_of_zero_is_embedded(flow, latents, condition):
    context, time = flow.remember(condition), torch.tensor([0.7])
    without, zero, tenth = (
        flow(latents, time, context, step=step) for step in (None, ZERO, torch.tensor([0.1]))
    )
    assert not torch.allclose(without.shape, zero.shape)
    assert not torch.allclose(tenth.shape, zero.shape)


def test_a_batch_is_its_members(flow, latents, condition):
    other = structure_noise(PARAMS, torch.Generator().manual_seed(5))
    conditions = torch.cat([condition, -condition])
    pair = StructureLatents(*map(torch.cat, zip(latents, other, strict=True)))
    times = torch.tensor([0.2, 0.9])
    together = flow(pair, times, flow.remember(conditions), step=torch.zeros(2))
    for i, alone in enumerate((latents, other)):
        context = flow.remember(conditions[i : i + 1])
        single = flow(alone, times[i : i + 1], context, step=ZERO)
        for a, b in zip(together, single, strict=True):
            torch.testing.assert_close(a[i : i + 1], b, rtol=1e-4, atol=1e-4)


def test_bfloat16_is_close_to_float32(flow, latents, condition):
    time = torch.tensor([0.4])
    exact = flow(latents, time, flow.remember(condition), step=ZERO)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = flow(latents, time, flow.remember(condition), step=ZERO)
    for a, b in zip(rounded, exact, strict=True):
        # bfloat16 keeps 8 bits; a few layers add up to a few percent of the values' size.
        assert (a.float() - b).norm() < 0.05 * b.norm() + 0.02
