"""Following a flow: the grid, the steps, the guidance, and never waiting for the device."""

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from scenelift.errors import Cancelled
from scenelift.models.slat.sampling import SamplingParams, sample_flow, time_grid
from scenelift.progress import CancelToken, Reporter


@given(steps=st.integers(1, 60), rescale=st.floats(0.2, 8))
def test_the_grid_rises_from_zero_to_one(steps, rescale):
    grid = time_grid(steps, rescale)
    assert len(grid) == steps + 1
    assert grid[0] == 0
    assert grid[-1] == 1
    assert all(a < b for a, b in itertools.pairwise(grid))


def test_rescaling_shortens_the_first_steps():
    grid = time_grid(25, 3)
    assert grid[1] == pytest.approx(1 / 73)  # u / (3 − 2 u) at u = 1/25
    assert time_grid(25) == pytest.approx([i / 25 for i in range(26)])


@pytest.mark.parametrize(("rescale", "guided"), [(3.0, 19), (1.0, 13)])
def test_guidance_applies_to_the_first_half_of_the_times(rescale, guided):
    params = SamplingParams(rescale=rescale)
    assert sum(params.guides_at(t) for t in time_grid(25, rescale)[:-1]) == guided


@settings(deadline=None, max_examples=30)
@given(
    steps=st.integers(1, 12),
    rescale=st.floats(0.5, 4),
    strength=st.floats(0, 8),
    x0=st.floats(-2, 2),
)
def test_a_network_trained_towards_the_noise_gives_the_same_path(steps, rescale, strength, x0):
    """Turning time and velocity of a network round, and saying so, changes nothing."""

    def forwards(x, time, view):
        return (torch.cos(3 * time) * x[0] + (0.0 if view is None else time),)

    def backwards(x, time, view):
        return tuple(-v for v in forwards(x, 1 - time, view))

    params = SamplingParams(steps=steps, rescale=rescale, guidance=strength)
    start = (torch.tensor([x0]),)
    (one,) = sample_flow(forwards, start, params)
    (other,) = sample_flow(backwards, start, dataclasses.replace(params, toward_noise=True))
    # The time is rounded to float32 on one side of 1 − t or on the other.
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_stochastic_views_take_turns():
    seen = []

    def velocity(x, time, view):
        seen.append(view)
        return x

    params = SamplingParams(steps=4, rescale=1, guided=(0.0, 0.25))
    sample_flow(velocity, (torch.ones(1),), params, views=3)
    assert seen == [0, None, 1, None, 2, 0]


def test_multidiffusion_follows_the_mean_of_the_views():
    def velocity(x, time, view):
        return (torch.tensor([(1.0, 2.0, 6.0)[view]]),)

    params = SamplingParams(steps=5, guidance=0)
    (x,) = sample_flow(velocity, (torch.zeros(1),), params, views=3, mode="multidiffusion")
    torch.testing.assert_close(x, torch.tensor([3.0]))


@settings(deadline=None, max_examples=30)
@given(steps=st.integers(1, 12), rescale=st.floats(0.5, 4), strength=st.floats(0, 8))
def test_constant_velocities_are_integrated_exactly(steps, rescale, strength):
    def velocity(x, time, view):
        return (torch.full((2,), 1.0 if view is None else 3.0),)

    params = SamplingParams(steps=steps, rescale=rescale, guidance=strength, guided=(0.0, 1.0))
    (x,) = sample_flow(velocity, (torch.zeros(2),), params)
    expected = (1 + strength) * 3 - strength
    torch.testing.assert_close(x, torch.full((2,), expected), rtol=1e-5, atol=1e-5)


def test_without_guidance_the_condition_is_always_there():
    seen = []

    def velocity(x, time, view):
        seen.append((round(time.item(), 6), view))
        return (torch.zeros(1),)

    sample_flow(velocity, (torch.zeros(1),), SamplingParams(steps=4, rescale=1, guidance=0))
    assert seen == [(0.0, 0), (0.25, 0), (0.5, 0), (0.75, 0)]


def test_the_limits_of_guidance_are_included():
    params = SamplingParams(steps=4, rescale=1)
    assert [params.guides_at(t) for t in time_grid(4)] == [True, True, True, False, False]


def test_half_precision_velocities_leave_the_state_in_float32():
    def velocity(x, time, view):
        assert all(part.dtype == torch.float32 for part in x)
        return tuple(part.half() for part in x)

    result = sample_flow(velocity, (torch.ones(1), torch.ones(2)), SamplingParams(steps=2))
    assert [part.dtype for part in result] == [torch.float32] * 2


def test_steps_are_reported_and_a_stopped_run_stops_between_them():
    events, token = [], CancelToken()
    report = Reporter(events.append, token=token, stage="reconstruct")
    calls = []

    def velocity(x, time, view):
        calls.append(view)
        if len(calls) == 3:
            token.cancel()
        return x

    params = SamplingParams(steps=10, guidance=0)
    with pytest.raises(Cancelled):
        sample_flow(velocity, (torch.ones(1),), params, report=report, message="shape")
    assert len(calls) == 3
    assert [event.fraction for event in events] == pytest.approx([0, 0.1, 0.2])
    assert {event.message for event in events} == {"shape"}


class ReadsValues(TorchDispatchMode):
    """Counts operations that make the host wait for the value of a tensor."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += any(name in str(func) for name in self.WAITING)
        return func(*args, **(kwargs or {}))


def test_the_loop_never_waits_for_the_device():
    with ReadsValues() as reads:
        sample_flow(lambda x, time, view: x, (torch.ones(3),), SamplingParams())
        assert reads.count == 0
        torch.ones(1).item()  # the counter does count
    assert reads.count == 1


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rescale": 0.0}])
def test_impossible_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SamplingParams(**wrong)


def test_caching_computes_every_second_step_and_goes_on_straight_between_them():
    def sample(caching, bend):
        calls = []

        def velocity(x, time, view):
            calls.append(view)
            where = time * (1 if view is None else 2)
            return (1 + 3 * where + bend * where**2 + 0 * x[0],)

        params = SamplingParams(steps=25, guidance=2.0, caching=caching)
        (x,) = sample_flow(velocity, (torch.zeros(1),), params)
        return float(x), calls.count(0), calls.count(None)

    # Three first ones, the last, and every second of the rest; likewise where there is guidance.
    exact, conditional, guided = sample(False, 0.0)
    assert conditional == 25
    assert sample(True, 0.0) == (pytest.approx(exact, rel=1e-5), 14, (guided + 4) // 2)
    bent, *_ = sample(False, 5.0)
    assert sample(True, 5.0)[0] == pytest.approx(bent, rel=2e-2)
    assert sample(True, 5.0)[0] != bent


def test_caching_leaves_several_photos_and_few_steps_alone():
    def count(views, steps):
        calls = []

        def velocity(x, time, view):
            calls.append(view)
            return x

        params = SamplingParams(steps=steps, guidance=0, caching=True)
        sample_flow(velocity, (torch.ones(1),), params, views=views)
        return len(calls)

    assert (count(2, 25), count(1, 4)) == (25, 4)
