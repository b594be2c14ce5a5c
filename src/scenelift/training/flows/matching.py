"""Flow matching: straight ways from noise to data, at random times, some without a condition.

Times are 0 at the noise and 1 at the data. A network that is told x = t · data + (1 − t) · noise
learns the velocity data − noise (https://arxiv.org/abs/2210.02747, https://arxiv.org/abs/2209.03003).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MatchingOptions", "draw_times", "drop_conditions", "mix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingOptions:
    """Noise, times and conditions in training.

    Attributes:
        time_mean, time_std: of the logit of the amount of noise, 1 − t. More noise than data is
            seen with a mean above 0; TRELLIS took 1 and 1 (https://arxiv.org/abs/2412.01506).
        drop_condition: share of examples whose condition is zero, which guidance needs.
        drop_points: share of first-stage examples that do without the point map.
    """

    time_mean: float = 1.0
    time_std: float = 1.0
    drop_condition: float = 0.1
    drop_points: float = 0.1


def draw_times(count: int, options: MatchingOptions, generator: torch.Generator) -> Tensor:
    """Draw times in 0…1, [count], on the generator's device."""
    normal = torch.randn(count, generator=generator, device=generator.device)
    return 1 - torch.sigmoid(options.time_mean + options.time_std * normal)


def mix(data: Tensor, noise: Tensor, time: Tensor) -> Tensor:  # 2 × [B, …], [B] -> [B, …]
    """Compute the state at a time on the straight way from the noise to the data."""
    t = time.view(-1, *[1] * (data.ndim - 1))
    return t * data + (1 - t) * noise


def drop_conditions(
    tokens: Tensor,  # [B, S, C]
    share: float,
    generator: torch.Generator,
) -> Tensor:  # [B, S, C]
    """Zero the condition of a random share of the examples, as guidance does when sampling."""
    mask = torch.rand(len(tokens), generator=generator, device=generator.device) >= share
    return tokens * mask.to(tokens.device)[:, None, None]
