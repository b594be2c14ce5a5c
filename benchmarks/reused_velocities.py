"""A trial: some steps of the flows reuse the velocities of steps before, in place of the network.

    python -m benchmarks.reused_velocities [--size tiny] [--device cpu] [--compile] [--seeds 4]
        [--ways 3]

SAM 3D Objects with made-up weights, the same seeds and the same voxels for every way, so that each
splat has its counterpart. Against 25 + 25 steps: how far the first stage's state is off, in parts
of its own spread, and the overlap of its voxels; how far splats are off in hundredths of the
object's side, the mean and the largest; 8-bit levels of colour; seconds of an object, and of both
flows. "Held" takes the last velocity again, "straight" goes on in a line through the last two.
Trajectories of trained weights bend otherwise; fewer steps stand beside it, as they cost as little.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))  # nothing need be installed

import numpy as np
import torch
from torch import Tensor

import scenelift.models.slat.first_stage
import scenelift.models.slat.model
from benchmarks.trellis_gpu import Bench, view
from scenelift.models.sam3d.model import SAM3D, PosedShape
from scenelift.models.slat.sampling import SamplingParams, State, Velocity, sample_flow
from scenelift.testing.random_networks import FULL, TINY

Rule = Literal["held", "straight"]
ALWAYS = 3  # first steps, where velocities change most


@dataclass(frozen=True, kw_only=True)
class Way:
    """How the two flows are followed.

    Attributes:
        structure, latent: steps of each.
        rule: what stands for a velocity that is not computed.
        every: of how many steps one is computed: 0 computes all, in the first and second stage.
    """

    structure: int = 25
    latent: int = 25
    rule: Rule = "held"
    every: tuple[int, int] = (0, 0)


WAYS: Mapping[str, Way] = {
    "25 + 25, again": Way(),
    "second stage: every 2nd held": Way(every=(0, 2)),
    "second stage: every 2nd straight": Way(every=(0, 2), rule="straight"),
    "second stage: two of three straight": Way(every=(0, 3), rule="straight"),
    "25 + 14": Way(latent=14),
    "25 + 11": Way(latent=11),
    "both: every 2nd held": Way(every=(2, 2)),
    "both: every 2nd straight": Way(every=(2, 2), rule="straight"),
    "14 + 14": Way(structure=14, latent=14),
}


def computed_steps(steps: int, every: int) -> list[bool]:
    """Whether the network runs at each step."""
    if not every:
        return [True] * steps
    return [i < ALWAYS or i == steps - 1 or (i - ALWAYS) % every == every - 1 for i in range(steps)]


def reusing(velocity: Velocity, params: SamplingParams, every: int, rule: Rule) -> Velocity:
    """A velocity for one run of a sampler with one condition, some calls of which reuse others."""
    times, computed = params.network_times(), computed_steps(params.steps, every)
    with_guidance = [i for i, guided in enumerate(params.guided_steps()) if guided]
    steps = {0: iter(range(params.steps)), None: iter(with_guidance)}
    known: dict[int | None, list[tuple[float, State]]] = {0: [], None: []}

    def at(x: State, now: Tensor, condition: int | None) -> State:
        step, history = next(steps[condition]), known[condition]
        if computed[step] or not history:
            # A copy, as what was recorded is overwritten by the next call.
            v = tuple(part.clone() for part in velocity(x, now, condition))
            history[:] = [*history[-1:], (times[step], v)]
            return v
        if rule == "held" or len(history) < 2:
            return history[-1][1]
        (t0, v0), (t1, v1) = history
        share = (times[step] - t1) / (t1 - t0)
        return tuple(b + share * (b - a) for a, b in zip(v0, v1, strict=True))

    return at


@dataclass
class Clock:
    """Seconds of the flows."""

    device: torch.device
    seconds: list[float] = field(default_factory=list)

    def wait(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@contextmanager
def following(way: Way, clock: Clock) -> Iterator[None]:
    """Within it, the models' samplers go this way."""
    stages = (scenelift.models.slat.first_stage, scenelift.models.slat.model)

    def follow(every: int) -> Callable[..., State]:
        def flow(velocity: Velocity, noise: State, params: SamplingParams, **others: Any) -> State:
            began = clock.wait()
            state = sample_flow(reusing(velocity, params, every, way.rule), noise, params, **others)
            clock.seconds.append(clock.wait() - began)
            return state

        return flow

    for module, every in zip(stages, way.every, strict=True):
        vars(module)["sample_flow"] = follow(every)
    try:
        yield
    finally:
        for module in stages:
            vars(module)["sample_flow"] = sample_flow


@dataclass(frozen=True)
class Made:
    state: Tensor
    coords: Tensor
    shape: PosedShape


def lift(model: SAM3D, size: Any, way: Way, seeds: int) -> tuple[list[Made], float, float]:
    """One object with every seed; seconds of an object and of its flows, medians but the first."""
    sampling = model.sampling
    model.sampling = dataclasses.replace(
        sampling,
        structure=dataclasses.replace(sampling.structure, steps=way.structure),
        latent=dataclasses.replace(sampling.latent, steps=way.latent),
    )
    seen, inner = [], model._occupied

    def occupied(first: Any) -> Any:
        seen.append(first)
        return inner(first)

    vars(model)["_occupied"] = occupied
    shapes, seconds, flows = [], [], []
    try:
        for seed in range(seeds):
            clock = Clock(model.device)
            began = clock.wait()
            with following(way, clock):
                shapes.append(model.lift(view(size, model.device), seed=seed))
            seconds.append(clock.wait() - began)
            flows.append(sum(clock.seconds))
    finally:
        vars(model)["_occupied"] = inner
        model.sampling = sampling
    made = [
        Made(torch.cat([p.flatten() for p in first.state]).cpu(), first.coords.cpu(), shape)
        for first, shape in zip(seen, shapes, strict=True)
    ]
    return made, statistics.median(seconds[1:] or seconds), statistics.median(flows[1:] or flows)


def difference(a: Made, b: Made) -> tuple[float, float, float, float, float]:
    """State, voxels, splats (mean and largest), colours."""
    state = float((a.state - b.state).square().mean().sqrt() / b.state.std())
    voxels = [set(map(tuple, made.coords.tolist())) for made in (a, b)]
    overlap = len(voxels[0] & voxels[1]) / max(1, len(voxels[0] | voxels[1]))
    one, other = a.shape.gaussians, b.shape.gaussians
    off = 100 * np.linalg.norm(one.means - other.means, axis=1)
    color = 255 * np.abs(one.rgb - other.rgb).mean()
    return state, overlap, float(off.mean()), float(off.max()), float(color)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--ways", type=int, default=len(WAYS), help="only so many of them")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args(argv)
    device = torch.device(options.device)
    bench = Bench({"full": FULL, "tiny": TINY}[options.size], device, repeats=1)
    model = bench.model(SAM3D, bench.sam3d_models(), compile=options.compile)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, PyTorch {torch.__version__}; SAM 3D Objects, made-up weights", flush=True)
    lift(model, bench.size, Way(), 2)  # compiles
    reference, took, flows = lift(model, bench.size, Way(), options.seeds)
    print(
        f"{'':38} {'state':>7} {'voxels':>7} {'splats':>7} {'worst':>7} {'colour':>7} "
        f"{'seconds':>8} {'flows':>7}"
    )
    print(f"{'25 + 25':38} {'':39} {took:8.3f} {flows:7.3f}", flush=True)
    for name, way in list(WAYS.items())[: options.ways]:
        made, took, flows = lift(model, bench.size, way, options.seeds)
        rows = [difference(a, b) for a, b in zip(made, reference, strict=True)]
        state, overlap, splats, _, color = (statistics.mean(c) for c in zip(*rows, strict=True))
        worst = max(row[3] for row in rows)
        print(
            f"{name:38} {state:7.4f} {overlap:7.3f} {splats:7.3f} {worst:7.2f} {color:7.2f} "
            f"{took:8.3f} {flows:7.3f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
