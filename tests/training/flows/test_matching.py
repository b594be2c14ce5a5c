"""Mixtures go straight from the noise to the data; conditions are dropped as often as asked."""

import pytest
import torch

from scenelift.training.flows.matching import MatchingOptions, draw_times, drop_conditions, mix


def test_a_mixture_is_noise_at_0_and_data_at_1_and_moves_by_their_difference():
    data, noise = torch.randn(3, 5, 2), torch.randn(3, 5, 2)
    time = torch.tensor([0.0, 1.0, 0.25])
    mixed = mix(data, noise, time)
    torch.testing.assert_close(mixed[0], noise[0])
    torch.testing.assert_close(mixed[1], data[1])
    step = mix(data, noise, time + 0.5) - mixed
    torch.testing.assert_close(step, 0.5 * (data - noise))


def test_a_mean_above_0_shows_more_noise_than_data():
    generator = torch.Generator().manual_seed(0)
    times = draw_times(10_000, MatchingOptions(time_mean=1.0, time_std=1.0), generator)
    assert times.min() > 0
    assert times.max() < 1
    # The median of a logit-normal is the sigmoid of its mean; 10 000 draws are within 0.01.
    assert times.median() == pytest.approx(1 - torch.sigmoid(torch.tensor(1.0)).item(), abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_conditions_are_dropped_whole_and_as_often_as_asked(share):
    tokens = torch.ones(4000, 2, 3)
    dropped = drop_conditions(tokens, share, torch.Generator().manual_seed(0))
    zero = (dropped == 0).all((1, 2))
    assert ((dropped == 1).all((1, 2)) | zero).all()
    # Three standard deviations of a share of 4000.
    assert zero.float().mean().item() == pytest.approx(share, abs=0.022)
