"""The part of an object's way that both models share, with their networks on a device.

    structures               follow the first flow, for several seeds at once
    occupied                 a structure's latent cube becomes voxels
    detail                   eight numbers on every voxel become splats and a mesh

Seeds of one object share what is seen of it and go through the first stage as a batch: it is
dense. From their voxels on, which differ in number, they go one by one.

Each network is on the device while it runs, and stays there if there is room (`residency`). What
runs out of memory is tried again with the device cleared, and then with less to do. How a model
looks at its pictures, and what its first stage makes, is its own (`sam3d.model`, `trellis.model`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from scenelift.errors import ReconstructionError
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.residency import Residency
from scenelift.models.slat.acceleration import recorded
from scenelift.models.slat.checkpoints import SlatModels
from scenelift.models.slat.flexicubes import SurfaceMesh, extract_mesh
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import latent_noise
from scenelift.models.slat.options import DISTILLED_STEPS, ReconstructionOptions, ViewMode
from scenelift.models.slat.precision import tensor_types
from scenelift.models.slat.sampling import SamplingParams, State, sample_flow
from scenelift.models.slat.structure_decoder import cube_from_tokens
from scenelift.models.slat.voxels import OccupiedVoxels, cap_voxels, occupied_voxels, prune_interior
from scenelift.progress import Reporter
from scenelift.types import Gaussians

__all__ = ["WORKING_CONDITION", "Begun", "Draws", "LiftedShape", "Sampling", "SlatModel"]

# What the published networks need besides their weights, in bytes: activations, and for the flows
# the keys and values of the condition, which are kept over the steps. An upper estimate for
# 30 000 voxels; a network that needs more is still caught by the retries.
_GIB = 2**30
_WORKING_STRUCTURE = int(2.2 * _GIB)
_WORKING_LATENT = int(1.5 * _GIB)
_WORKING_DECODER = int(1.4 * _GIB)
WORKING_CONDITION = _GIB // 2
_WORKING_VIEW = _GIB // 4  # keys and values of every further photo of an object
_WORKING_SEED = _GIB // 4  # activations of every further seed in the first stage

# Seeds that go through the first stage together: their 16 384 tokens fill any device, and fit in
# the 8 GB that one object needs anyway.
_SEEDS_AT_ONCE = 4

M = TypeVar("M", bound=SlatModels)
F = TypeVar("F", bound=nn.Module)
C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiftedShape:
    """One object, z-up, in the frame of its cube.

    Attributes:
        gaussians: splats.
        mesh: surface, on the CPU.
        voxels: how many carried latents.
        notes: what had to be done with less, in plain sentences.
    """

    gaussians: Gaussians
    mesh: SurfaceMesh
    voxels: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the two flows are followed.

    Attributes:
        structure: first stage.
        latent: second stage.
        distilled: the first stage is told the size of its steps.
    """

    structure: SamplingParams
    latent: SamplingParams
    distilled: bool = False

    @classmethod
    def of(cls, options: ReconstructionOptions, models: SlatModels) -> Sampling:
        """What the options ask for, and else the checkpoint."""
        structure, latent = models.settings.structure_sampling, models.settings.latent_sampling
        if options.distilled:
            structure = replace(structure, steps=DISTILLED_STEPS, guidance=0.0)
        if options.structure_steps is not None:
            structure = replace(structure, steps=options.structure_steps)
        if options.latent_steps is not None:
            latent = replace(latent, steps=options.latent_steps)
        return cls(structure=structure, latent=latent, distilled=options.distilled)


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
class Begun:
    """One seed of an object after the first stage.

    Attributes:
        state: what the flow came to, of batch 1.
        coords: int32 [N, 4] voxels that the structure occupies: batch 0, x, y, z.
        conditions: what the second stage is to make an object of, each [1, S, C]; its seeds share
            them.
        draws: the random numbers still to come.
    """

    state: State
    coords: Tensor
    conditions: Sequence[Tensor]
    draws: Draws


class SlatModel(Generic[M]):
    """The networks on a device, and what they do alike.

    Args:
        models: on the host; they are moved as they are needed.
        device: where they run.
        dtype: of the large matrices; float32 for a CPU.
        sampling: how the flows are followed.
        vram_bytes: most device memory to hold; None for what there is.
        fewer_splats: loads the decoder of 4 splats a voxel, for when memory runs out.
    """

    def __init__(
        self,
        models: M,
        *,
        device: torch.device,
        dtype: torch.dtype,
        sampling: Sampling,
        vram_bytes: int | None = None,
        fewer_splats: Callable[[], GaussianDecoder] | None = None,
    ) -> None:
        self.models, self.device, self.dtype = models, device, dtype
        self.sampling = sampling
        self.memory = Residency(
            device,
            cast=lambda tensors: tensor_types(tensors, dtype),
            limit=None if device.type == "cpu" else vram_bytes,
        )
        self._fewer_splats = fewer_splats

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self.memory.release()

    def _structures(
        self, starts: Sequence[State], sample: Callable[[State, Reporter], State], report: Reporter
    ) -> list[tuple[State, Tensor]]:
        """First stage of several seeds: as many at once as memory has room for.

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
            voxels = (occupied_voxels(seen) for seen in logits.split(1))
            return list(zip(states, voxels, strict=True))

        parts = [
            range(first, min(first + _SEEDS_AT_ONCE, count))
            for first in range(0, count, _SEEDS_AT_ONCE)
        ]
        return [made for part in parts for made in self.memory.in_parts(part, together)]

    def _shape_of(self, state: State) -> Tensor:
        """The tokens of a state that hold the shape, [B, side³, C]."""
        return state[0]

    def _sample_structure(
        self,
        flow: F,
        conditions: Sequence[Tensor],  # each [1, S, C]
        remember: Callable[[F, Tensor], C],
        velocity: Callable[[F, State, Tensor, C | None], State],
        noise: State,
        report: Reporter,
        *,
        mode: ViewMode = "stochastic",
    ) -> State:
        """Follow the first stage's flow.

        Args:
            flow: the network.
            conditions: what it is to make an object of; several show the same one.
            remember: projects a condition once for all steps.
            velocity: evaluates the network under what was remembered, or under no condition.
            noise: state at time 0, of any batch.
            report: told of each step.
            mode: how several conditions are combined.
        """
        more = _WORKING_VIEW * (len(conditions) - 1) + _WORKING_SEED * (len(noise[0]) - 1)
        with self.memory.running(flow, working=_WORKING_STRUCTURE + more):
            contexts = [remember(flow, condition) for condition in conditions]

            def at(state: State, time: Tensor, view: int | None) -> State:
                return velocity(flow, state, time, None if view is None else contexts[view])

            return sample_flow(
                recorded(at, self.device),
                noise,
                self.sampling.structure,
                views=len(contexts),
                mode=mode,
                report=report,
                message="finding the shape",
            )

    def _logits(self, cubes: Tensor) -> Tensor:  # [B, C, X, Y, Z] -> [B, 1, 4 X, 4 Y, 4 Z]
        working = WORKING_CONDITION + _WORKING_SEED * (len(cubes) - 1)
        with self.memory.running(self.models.structure_decoder, working=working) as decoder:
            return decoder(cubes)

    def _occupied(self, begun: Begun) -> OccupiedVoxels:
        """The voxels of a structure that go on to the second stage.

        Raises:
            ReconstructionError: there are none, or what they come from are no numbers.
        """
        _expect_numbers("structure", *begun.state)
        settings, coords = self.models.settings, begun.coords
        if not len(coords):
            raise ReconstructionError(
                "The model made no shape of what this mask shows. Try another seed, or a mask "
                "that follows the object more closely."
            )
        if settings.prune_interior:
            coords = prune_interior(coords)
        if settings.most_voxels is None:
            return OccupiedVoxels(coords=coords)
        return cap_voxels(coords, settings.most_voxels, generator=begun.draws.thinning)

    def _detail(
        self,
        begun: Begun,
        report: Reporter,
        *,
        mode: ViewMode = "stochastic",
    ) -> tuple[LiftedShape, int]:
        """Second stage and decoders.

        Args:
            begun: the object; what must be done with less is noted with its draws.
            report: told of each step.
            mode: how several conditions are combined.

        Returns:
            The object, and how many voxels of the structure one of its voxels is long.

        Raises:
            ReconstructionError: it has no voxels, or numbers that are none.
        """
        occupied, conditions, draws = self._occupied(begun), begun.conditions, begun.draws
        fits, stage = self.memory.first_that_fits, report.part(0.0, 0.72)
        # Noise is drawn outside what may be tried again, which so gives the same result.
        noise = self._latent_noise(occupied, draws)
        latent = fits(
            lambda: _Latent(self._latent(occupied, conditions, noise, stage, mode), occupied),
            lambda: self._coarse_latent(occupied, conditions, draws, stage, mode),
        )
        report.update(0.72, message="decoding splats")
        gaussians = fits(
            lambda: self._gaussians(latent.feats, self.models.gaussian_decoder),
            lambda: self._few_gaussians(latent.feats, draws),
        )
        report.update(0.85, message="decoding the mesh")
        mesh = fits(lambda: self._mesh(latent.feats))
        report.update(1.0, message="decoding the mesh")
        shape = LiftedShape(
            gaussians=gaussians,
            mesh=mesh,
            voxels=len(latent.occupied.coords),
            notes=tuple(draws.notes),
        )
        return shape, latent.occupied.factor

    def _latent(
        self,
        occupied: OccupiedVoxels,
        conditions: Sequence[Tensor],
        noise: Tensor,
        report: Reporter,
        mode: ViewMode,
    ) -> SparseTensor:
        """What is to be decoded at every voxel."""
        models = self.models
        voxels = Voxels(occupied.coords, models.resolution)
        working = _WORKING_LATENT + _WORKING_VIEW * (len(conditions) - 1)
        with self.memory.running(models.latent_flow, working=working) as flow:
            contexts = [flow.remember(condition) for condition in conditions]

            def velocity(state: State, time: Tensor, view: int | None) -> State:
                return (flow(state[0], time, voxels, None if view is None else contexts[view]),)

            (x,) = sample_flow(
                recorded(velocity, self.device),
                (noise,),
                self.sampling.latent,
                views=len(contexts),
                mode=mode,
                report=report,
                message="adding detail",
            )
        _expect_numbers("detail", x)
        mean, std = (
            torch.tensor(values, device=self.device)
            for values in (models.settings.latent_mean, models.settings.latent_std)
        )
        return SparseTensor(x * std + mean, voxels)

    def _coarse_latent(
        self,
        occupied: OccupiedVoxels,
        conditions: Sequence[Tensor],
        draws: Draws,
        report: Reporter,
        mode: ViewMode,
    ) -> _Latent:
        draws.notes.append("Memory ran out: this object was made at half the resolution.")
        coarse = _coarser(occupied, draws)
        noise = self._latent_noise(coarse, draws)
        return _Latent(self._latent(coarse, conditions, noise, report, mode), coarse)

    def _latent_noise(self, occupied: OccupiedVoxels, draws: Draws) -> Tensor:
        count = len(occupied.coords)
        return latent_noise(self.models.latent_flow.params, count, draws.noise).to(self.device)

    def _gaussians(self, latent: SparseTensor, network: GaussianDecoder) -> Gaussians:
        with self.memory.running(network, working=_WORKING_DECODER) as decoder:
            return decoder(latent).activate()

    def _few_gaussians(self, latent: SparseTensor, draws: Draws) -> Gaussians:
        if self._fewer_splats is None or self.models.gaussian_decoder.params.gaussians <= 4:
            return self._gaussians(latent, self.models.gaussian_decoder)
        draws.notes.append("Memory ran out: this object has 4 splats a voxel instead of 32.")
        return self._gaussians(latent, self._fewer_splats())

    def _mesh(self, latent: SparseTensor) -> SurfaceMesh:
        with self.memory.running(self.models.mesh_decoder, working=_WORKING_DECODER) as decoder:
            mesh = extract_mesh(decoder(latent))
        return SurfaceMesh(
            vertices=mesh.vertices.cpu(), faces=mesh.faces.cpu(), attributes=mesh.attributes.cpu()
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Latent:
    feats: SparseTensor
    occupied: OccupiedVoxels


def _coarser(occupied: OccupiedVoxels, draws: Draws) -> OccupiedVoxels:
    """The same voxels on a grid with half the resolution."""
    halved = cap_voxels(
        occupied.coords, most=max(1, len(occupied.coords) - 1), generator=draws.thinning
    )
    return replace(halved, factor=occupied.factor * halved.factor)


def _expect_numbers(what: str, *values: Tensor) -> None:
    if not all(bool(v.isfinite().all()) for v in values):
        raise ReconstructionError(
            f"The model's {what} holds numbers that are none, which half precision can cause. "
            f"Try `--precision bfloat16` or `--precision float32`."
        )
