"""Follow a flow from noise to data: time grid, Euler steps, guidance. No model in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from scenelift.models.slat.options import ViewMode
from scenelift.progress import Reporter, silent

__all__ = ["SamplingParams", "State", "Velocity", "sample_flow", "time_grid"]

State: TypeAlias = tuple[Tensor, ...]

Velocity: TypeAlias = Callable[[State, Tensor, int | None], State]
"""Velocity of a state at a time [1] in 0…1, under the condition of that number (0 where there is
one), or without a condition (None)."""


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How a flow is followed; the defaults are those of the published pipeline's first stage.

    Attributes:
        steps: Euler steps.
        rescale: above 1, steps are short near the noise and long near the data.
        guidance: strength s of (1 + s) · conditional − s · unconditional; 0 switches it off.
        guided: first and last time at which guidance applies, both included.
        toward_noise: the network was trained with time running from the data to the noise, as
            TRELLIS was: it is told 1 − time, and its velocity is turned round. Times in here are
            0 at the noise for both.
    """

    steps: int = 25
    rescale: float = 3.0
    guidance: float = 7.0
    guided: tuple[float, float] = (0.0, 0.5)
    toward_noise: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not self.rescale > 0:
            raise ValueError(f"rescale must be positive, got {self.rescale}")

    def guides_at(self, time: float) -> bool:
        return self.guidance != 0 and self.guided[0] <= time <= self.guided[1]


def time_grid(steps: int, rescale: float = 1.0) -> list[float]:
    """Times of the states before, between and after the steps: 0, …, 1."""
    uniform = (i / steps for i in range(steps + 1))
    return [u / (1 + (rescale - 1) * (1 - u)) for u in uniform]


def sample_flow(
    velocity: Velocity,
    noise: State,
    params: SamplingParams,
    *,
    views: int = 1,
    mode: ViewMode = "stochastic",
    report: Reporter | None = None,
    message: str = "",
) -> State:
    """Integrate the velocity from time 0 to 1 by Euler steps.

    The grid lives on the host and its copy on the device is made before the loop, so nothing
    in the loop waits for the device.

    Args:
        velocity: of the state; may answer in half precision.
        noise: float32 tensors, the state at time 0.
        params: the grid and the guidance.
        views: how many conditions there are,
        mode: and how they are combined.
        report: told of each step.
        message: what the steps are called.

    Returns:
        The state at time 1, float32.

    Raises:
        Cancelled: the user stopped the run.
    """
    grid = time_grid(params.steps, params.rescale)
    told = [1 - time for time in grid] if params.toward_noise else grid  # in double precision
    times = torch.tensor(told, dtype=torch.float32, device=noise[0].device)
    s, x = params.guidance, tuple(noise)
    for i in (report or silent()).track(range(params.steps), params.steps, message):
        now = times[i : i + 1]
        seen = range(views) if mode == "multidiffusion" else (i % views,)
        v = _mean([velocity(x, now, view) for view in seen])
        if params.guides_at(grid[i]):
            free = velocity(x, now, None)
            v = tuple((1 + s) * a - s * b.float() for a, b in zip(v, free, strict=True))
        dt = (grid[i + 1] - grid[i]) * (-1 if params.toward_noise else 1)
        x = tuple(a + dt * b for a, b in zip(x, v, strict=True))
    return x


def _mean(velocities: Sequence[State]) -> State:
    """In float32."""
    parts = zip(*velocities, strict=True)
    return tuple(torch.stack([v.float() for v in views]).mean(0) for views in parts)
