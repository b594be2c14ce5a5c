"""Samples a flow from noise to data: time grid, Euler steps, guidance. No model in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from scenelift.options import ViewMode
from scenelift.progress import Reporter, silent

__all__ = [
    "SamplingParams",
    "SamplingSettings",
    "State",
    "Velocity",
    "computes_at",
    "sample_flow",
    "time_grid",
]

# What of the noise a finished sample keeps, in TRELLIS's and its successors' flows (`sigma_min`).
LEAST_NOISE = 1e-5
_FIRST_STEPS = 3  # that are always computed

State: TypeAlias = tuple[Tensor, ...]

Velocity: TypeAlias = Callable[[State, Tensor, int | None], State]
"""Velocity of a state at a time [1] in 0…1, under the condition of that number (0 where there is
one), or without a condition (None)."""


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Parameters of sampling a flow; the defaults are those of the published first stage.

    Attributes:
        steps: Euler steps.
        rescale: above 1, steps are short near the noise and long near the data.
        guidance: strength s of (1 + s) · conditional − s · unconditional; 0 switches it off.
        guided: first and last time at which guidance applies, both included.
        contrast: share in 0…1 of a guided step's estimate of the data that is scaled back to the
            spread which the estimate without guidance has; guidance alone exaggerates it. Needs
            `toward_noise`.
        spread_of_sample: that spread is a sample's standard deviation, with n − 1; else with n.
        caching: every second step extrapolates the velocity from the last two that the network
            gave; where there are several conditions, none does.
        toward_noise: the network was trained with time running from the data to the noise, as
            TRELLIS was: it is told 1 − time, and its velocity is turned round. Times in here are
            0 at the noise for both.
    """

    steps: int = 25
    rescale: float = 3.0
    guidance: float = 7.0
    guided: tuple[float, float] = (0.0, 0.5)
    contrast: float = 0.0
    spread_of_sample: bool = False
    caching: bool = field(default=False, repr=False)  # `Setup.version` names it
    toward_noise: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not self.rescale > 0:
            raise ValueError(f"rescale must be positive, got {self.rescale}")
        if self.contrast and not self.toward_noise:
            raise ValueError("contrast is defined for networks whose time runs toward the noise")

    def guides_at(self, time: float) -> bool:
        return self.guidance != 0 and self.guided[0] <= time <= self.guided[1]

    def network_times(self) -> list[float]:
        """Compute the time that the network gets at each step, in double precision."""
        if not self.toward_noise:
            return time_grid(self.steps, self.rescale)[:-1]
        noise_levels = np.linspace(1, 0, self.steps + 1)[:-1].tolist()
        return [self.rescale * u / (1 + (self.rescale - 1) * u) for u in noise_levels]

    def guided_steps(self) -> list[bool]:
        """Whether each step is guided.

        A step may fall on an end of the interval, so times are computed and compared as in the
        published code, to the last bit; the rounding undoes what 1 − t has left of a decimal.
        """
        if not self.toward_noise:
            return [self.guides_at(time) for time in self.network_times()]
        first, last = (round(1 - time, 12) for time in reversed(self.guided))
        return [self.guidance != 0 and first <= time <= last for time in self.network_times()]


class SamplingSettings(Protocol):
    """Sampling parameters that a checkpoint states for its flows."""

    @property
    def structure_sampling(self) -> SamplingParams: ...
    @property
    def latent_sampling(self) -> SamplingParams: ...
    @property
    def texture_sampling(self) -> SamplingParams | None: ...


def time_grid(steps: int, rescale: float = 1.0) -> list[float]:
    """Compute the times of the states before, between and after the steps: 0, …, 1."""
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
    network_times, guided_steps = params.network_times(), params.guided_steps()
    times = torch.tensor(network_times, dtype=torch.float32, device=noise[0].device)
    if params.caching and views == 1:
        velocity = _cached(velocity, params)
    s, x = params.guidance, tuple(noise)
    for i in (report or silent()).track(range(params.steps), params.steps, message):
        now = times[i : i + 1]
        view_indices = range(views) if mode == "multidiffusion" else (i % views,)
        v = _mean([velocity(x, now, view) for view in view_indices])
        if guided_steps[i]:
            free = velocity(x, now, None)
            guided = tuple((1 + s) * a - s * b.float() for a, b in zip(v, free, strict=True))
            v = guided if not params.contrast else _calmed(x, network_times[i], v, guided, params)
        dt = (grid[i + 1] - grid[i]) * (-1 if params.toward_noise else 1)
        x = tuple(a + dt * b for a, b in zip(x, v, strict=True))
    return x


def _cached(velocity: Velocity, params: SamplingParams) -> Velocity:
    """Make a velocity for one run under one condition that calls another one half of the time."""
    times = params.network_times()
    with_guidance = [i for i, guided in enumerate(params.guided_steps()) if guided]
    steps = {0: iter(range(params.steps)), None: iter(with_guidance)}
    latest: dict[int | None, list[tuple[float, State]]] = {0: [], None: []}

    def at(x: State, now: Tensor, condition: int | None) -> State:
        step, points = next(steps[condition]), latest[condition]
        if computes_at(step, params.steps) or len(points) < 2:
            # A copy, as what was recorded is overwritten by the next call.
            v = tuple(part.clone() for part in velocity(x, now, condition))
            points[:] = [*points[-1:], (times[step], v)]
            return v
        (t0, v0), (t1, v1) = points
        share = (times[step] - t1) / (t1 - t0)
        return tuple(b + share * (b - a) for a, b in zip(v0, v1, strict=True))

    return at


def computes_at(step: int, steps: int) -> bool:
    """Whether the network runs at a step, with caching: at the first ones, where velocities change
    most, at the last, and at every second between them."""
    return step < _FIRST_STEPS or step == steps - 1 or (step - _FIRST_STEPS) % 2 == 1


def _calmed(x: State, time: float, free: State, guided: State, params: SamplingParams) -> State:
    """Rescale guided velocities so that their data estimate spreads as the unguided one does.

    "Common Diffusion Noise Schedules and Sample Steps are Flawed", section 3.4
    (https://arxiv.org/abs/2305.08891), for flows.

    Args:
        x: the state; its first axis is that of the batch.
        time: 1 at the noise.
        free, guided: velocities toward the noise.
        params: how much, and which deviation.
    """
    noise = LEAST_NOISE + (1 - LEAST_NOISE) * time
    result = []
    for state, plain, strong in zip(x, free, guided, strict=True):
        expected, actual = (
            (1 - LEAST_NOISE) * state - noise * velocity for velocity in (plain, strong)
        )
        ratio = _spread(expected, params) / _spread(actual, params)
        calmed = params.contrast * actual * ratio + (1 - params.contrast) * actual
        result.append(((1 - LEAST_NOISE) * state - calmed) / noise)
    return tuple(result)


def _spread(x: Tensor, params: SamplingParams) -> Tensor:  # [B, …] -> [B, 1, …]
    others = tuple(range(1, x.ndim))
    return x.std(others, keepdim=True, correction=int(params.spread_of_sample))


def _mean(velocities: Sequence[State]) -> State:
    """Mean in float32."""
    parts = zip(*velocities, strict=True)
    return tuple(torch.stack([v.float() for v in views]).mean(0) for views in parts)
