"""The steps of a reconstruction that SAM 3D Objects and TRELLIS share.

    structures               follow the first flow, for several seeds at once (`first_stage`)
    occupied                 a structure's latent cube becomes voxels
    detail                   eight numbers on every voxel become splats and a mesh

Seeds of one object share what is seen of it and go through the first stage as a batch: it is
dense. From their voxels on, which differ in number, they go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from scenelift.errors import ReconstructionError
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.acceleration import RecordedMemory, as_cuda_graph
from scenelift.models.slat.checkpoints import SlatModels
from scenelift.models.slat.first_stage import (
    GIB,
    WORKING_VIEW,
    Draws,
    FirstStage,
    FirstStageResult,
    Sampling,
    expect_numbers,
)
from scenelift.models.slat.flexicubes import SurfaceMesh, extract_mesh
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import latent_noise
from scenelift.models.slat.sampling import State, sample_flow
from scenelift.models.slat.voxels import OccupiedVoxels, cap_voxels, prune_interior
from scenelift.options import ViewMode
from scenelift.progress import Reporter
from scenelift.types import Gaussians

__all__ = ["LiftedShape", "SlatModel"]

# What the published networks need besides their weights, in bytes: an upper estimate for 30 000
# voxels.
_WORKING_LATENT = int(1.5 * GIB)
_WORKING_DECODER = int(1.4 * GIB)

M = TypeVar("M", bound=SlatModels)


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


class SlatModel(FirstStage[M]):
    """The networks on a device, and the steps that both models share.

    Args:
        models, device, dtype, sampling, vram_bytes: as for `FirstStage`.
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
        super().__init__(
            models, device=device, dtype=dtype, sampling=sampling, vram_bytes=vram_bytes
        )
        self._fewer_splats = fewer_splats

    def _occupied(self, first: FirstStageResult) -> OccupiedVoxels:
        """Choose the voxels of a structure that go on to the second stage.

        Raises:
            ReconstructionError: there are none, or their logits are not finite.
        """
        expect_numbers("structure", *first.state)
        settings, coords = self.models.settings, first.coords
        if not len(coords):
            raise ReconstructionError(
                "The model made no shape of what this mask shows. Try another seed, or a mask "
                "that follows the object more closely."
            )
        if settings.prune_interior:
            coords = prune_interior(coords)
        if settings.most_voxels is None:
            return OccupiedVoxels(coords=coords)
        return cap_voxels(coords, settings.most_voxels, generator=first.draws.thinning)

    def _detail(
        self,
        first: FirstStageResult,
        report: Reporter,
        *,
        mode: ViewMode = "stochastic",
    ) -> tuple[LiftedShape, int]:
        """Run the second stage and the decoders.

        Args:
            first: the object; what must be done with less is noted with its draws.
            report: told of each step.
            mode: how several conditions are combined.

        Returns:
            The object, and how many voxels of the structure one of its voxels is long.

        Raises:
            ReconstructionError: it has no voxels, or its values are not finite.
        """
        occupied, conditions, draws = self._occupied(first), first.conditions, first.draws
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
        """Sample the latent that is decoded at every voxel."""
        models = self.models
        voxels = Voxels(occupied.coords, models.resolution)
        working = _WORKING_LATENT + WORKING_VIEW * (len(conditions) - 1)
        with self.memory.running(models.latent_flow, working=working) as flow:
            contexts = [flow.remember(condition) for condition in conditions]

            def velocity(state: State, time: Tensor, view: int | None) -> State:
                return (flow(state[0], time, voxels, None if view is None else contexts[view]),)

            (x,) = sample_flow(
                as_cuda_graph(velocity, self.device, self.memory.beside(flow, RecordedMemory)),
                (noise,),
                self.sampling.latent,
                views=len(contexts),
                mode=mode,
                report=report,
                message="adding detail",
            )
        expect_numbers("detail", x)
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
    """Return the same voxels on a grid with half the resolution."""
    halved = cap_voxels(
        occupied.coords, most=max(1, len(occupied.coords) - 1), generator=draws.thinning
    )
    return replace(halved, factor=occupied.factor * halved.factor)
