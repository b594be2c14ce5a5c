"""The first stage, as all models have it: their networks on a device, and seeds in batches.

Each network is on the device while it runs, and stays there if there is room (`residency`). What
runs out of memory is tried again with the device cleared, and then with less to do. How a model
looks at its pictures, and what its flow is, is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from scenelift.errors import ReconstructionError
from scenelift.models.residency import Residency
from scenelift.models.slat.acceleration import Recordings, tensors_in
from scenelift.models.slat.checkpoints import StructureModels
from scenelift.models.slat.precision import tensor_types
from scenelift.models.slat.sampling import (
    SamplingParams,
    SamplingSettings,
    State,
    Velocity,
    sample_flow,
)
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.slat.voxels import occupied_voxels
from scenelift.options import ReconstructionOptions, ViewMode
from scenelift.progress import Reporter

__all__ = [
    "GIB",
    "WORKING_CONDITION",
    "WORKING_VIEW",
    "Draws",
    "FirstStage",
    "FirstStageResult",
    "Sampling",
    "expect_numbers",
]

# A straightened flow needs few steps; the publishers leave their number to the caller.
DISTILLED_STEPS = 4

# What the published networks need besides their weights, in bytes: activations, and for the flows
# the keys and values of the condition, which are kept over the steps. A network that needs more is
# still caught by the retries.
GIB = 2**30
_WORKING_STRUCTURE = int(2.2 * GIB)
_LEAST_WORKING = GIB // 2  # of it, where keys and values of an earlier object make room
WORKING_CONDITION = GIB // 2
WORKING_VIEW = GIB // 4  # keys and values of every further photo of an object
_WORKING_SEED = GIB // 4  # activations of every further seed in the first stage

# Seeds that go through the first stage together: their 16 384 tokens fill any device, and fit in
# the 8 GB that one object needs anyway.
_SEEDS_AT_ONCE = 4

M = TypeVar("M", bound=StructureModels)
F = TypeVar("F", bound=nn.Module)
K = TypeVar("K")
P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Parameters of sampling the two flows.

    Attributes:
        structure: first stage.
        latent: second stage.
        texture: third stage, of models that have one.
        distilled: the first stage is told the size of its steps.
    """

    structure: SamplingParams
    latent: SamplingParams
    texture: SamplingParams | None = None
    distilled: bool = False

    @classmethod
    def of(cls, options: ReconstructionOptions, settings: SamplingSettings) -> Sampling:
        """Sampling parameters from the options, else from the checkpoint."""
        structure, latent = settings.structure_sampling, settings.latent_sampling
        texture = settings.texture_sampling
        if options.distilled:
            structure = replace(structure, steps=DISTILLED_STEPS, guidance=0.0)
        if (steps := options.steps_of("structure")) is not None:
            structure = replace(structure, steps=steps)
        if (steps := options.steps_of("latent")) is not None:
            latent = replace(latent, steps=steps)
            texture = None if texture is None else replace(texture, steps=steps)
        if options.velocity_caching:
            structure, latent = (replace(stage, caching=True) for stage in (structure, latent))
        return cls(structure=structure, latent=latent, texture=texture, distilled=options.distilled)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Random numbers of one object, in the published order: structure, thinning, latent.

    Attributes:
        noise: draws what the flows begin with, on its device.
        thinning: draws which voxels stay where there are too many; on the CPU.
        notes: what had to be done with less, as it happens.
    """

    noise: torch.Generator
    thinning: torch.Generator
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int, device: torch.device) -> Draws:
        """Draws whose noise comes from a device."""
        noise = torch.Generator(device).manual_seed(seed)
        on_cpu = device.type == "cpu"
        return cls(noise, noise if on_cpu else torch.Generator().manual_seed(seed))


@dataclass(frozen=True, slots=True, eq=False)
class FirstStageResult:
    """One seed of an object after the first stage.

    Attributes:
        state: what the flow came to, of batch 1.
        coords: int32 [N, 4] voxels that the structure occupies: batch 0, x, y, z.
        conditions: what was seen of the object, which its seeds share: tensors [1, S, C] that the
            second stage is told, or what a model makes them from.
        draws: the random numbers still to come.
    """

    state: State
    coords: Tensor
    conditions: Sequence[Any]
    draws: Draws


class FirstStage(Generic[M]):
    """The networks on a device, and the first of their stages.

    Args:
        models: on the host; they are moved as they are needed.
        device: where they run.
        dtype: of the large matrices; float32 for a CPU.
        sampling: how the flows are followed.
        vram_bytes: most device memory to hold; None for what there is.
    """

    def __init__(
        self,
        models: M,
        *,
        device: torch.device,
        dtype: torch.dtype,
        sampling: Sampling,
        vram_bytes: int | None = None,
    ) -> None:
        self.models, self.device, self.dtype = models, device, dtype
        self.sampling = sampling
        self.memory = Residency(
            device, cast=self._types, limit=None if device.type == "cpu" else vram_bytes
        )

    def _types(self, tensors: Mapping[str, Tensor]) -> Mapping[str, torch.dtype]:
        """Types of a network's tensors on the device."""
        return tensor_types(tensors, self.dtype)

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self.memory.release()

    def _structures(
        self, starts: Sequence[State], sample: Callable[[State, Reporter], State], report: Reporter
    ) -> list[tuple[State, Tensor]]:
        """Run the first stage of several seeds: as many at once as memory has room for.

        Args:
            starts: every seed's state at time 0, of batch 1.
            sample: follows the flow for a batch of them; the shape is its result's `_shape_of`.
            report: told of each step.

        Returns:
            For every seed its state at time 1, and the voxels that it occupies.
        """
        count = len(starts)

        def together(part: range) -> list[tuple[State, Tensor]]:
            noise = tuple(torch.cat(x) for x in zip(*(starts[k] for k in part), strict=True))
            state = sample(noise, report.part(part.start / count, part.stop / count))
            logits = self._logits(cube_from_tokens(self._shape_of(state)))
            states = zip(*(x.split(1) for x in state), strict=True)
            voxels = (occupied_voxels(self._grid(one)) for one in logits.split(1))
            return list(zip(states, voxels, strict=True))

        parts = [
            range(first, min(first + _SEEDS_AT_ONCE, count))
            for first in range(0, count, _SEEDS_AT_ONCE)
        ]
        return [result for part in parts for result in self.memory.in_parts(part, together)]

    def _shape_of(self, state: State) -> Tensor:
        """Select the tokens of a state that hold the shape, [B, side³, C]."""
        return state[0]

    def _grid(self, logits: Tensor) -> Tensor:  # [1, 1, X, X, X]
        """Return the logits of the grid that the second stage works on."""
        return logits

    def _sample_structure(
        self,
        flow: F,
        conditions: Sequence[K],
        remember: Callable[[F, K], Iterable[P]],
        velocity: Callable[[F, State, Tensor, tuple[P, ...] | None], State],
        noise: State,
        report: Reporter,
        *,
        mode: ViewMode = "stochastic",
    ) -> State:
        """Sample the first stage's flow.

        Args:
            flow: the network.
            conditions: what it is to make an object of; several show the same one.
            remember: projects a condition once for all steps, block by block.
            velocity: evaluates the network under what was remembered, or under no condition. What
                else it reads does not depend on the object: its steps may be used again.
            noise: state at time 0, of any batch.
            report: told of each step.
            mode: how several conditions are combined.
        """
        more = WORKING_VIEW * (len(conditions) - 1) + _WORKING_SEED * (len(noise[0]) - 1)
        recordings = self.memory.beside(flow, Recordings)
        working = max(_LEAST_WORKING, _WORKING_STRUCTURE + more - recordings.nbytes)
        with self.memory.running(flow, working=working):

            def under(contexts: Sequence[tuple[P, ...]]) -> Velocity:
                def at(state: State, time: Tensor, view: int | None) -> State:
                    return velocity(flow, state, time, None if view is None else contexts[view])

                return at

            return sample_flow(
                recordings.of(
                    under,
                    (remember(flow, condition) for condition in conditions),
                    [t.shape for t in (*noise, *tensors_in(conditions))],
                    self.device,
                ),
                noise,
                self.sampling.structure,
                views=len(conditions),
                mode=mode,
                report=report,
                message="finding the shape",
            )

    def _logits(self, cubes: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, 1, 4 X, 4 Y, 4 Z]
        working = WORKING_CONDITION + _WORKING_SEED * (len(cubes) - 1)
        with self.memory.running(self.models.structure_decoder, working=working) as decoder:
            return decoder(cubes)


def expect_numbers(what: str, *values: Tensor) -> None:
    if not all(bool(v.isfinite().all()) for v in values):
        raise ReconstructionError(
            f"The model's {what} has values that are not finite, as half precision can cause. "
            f"Try `--precision bfloat16` or `--precision float32`."
        )
