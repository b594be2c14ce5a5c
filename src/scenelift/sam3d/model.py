"""One object's walk through the published model, from what its mask shows to shape and pose.

    ConditionImages          crop, whole photo, normalised points
      structure              occupied voxels, and where the object stands
      latent                 eight numbers on every voxel
      gaussians, mesh        what those numbers look like

Each network is on the device while it runs, and stays there if there is room (`residency`). What
runs out of memory is tried again with the device cleared, and then with less to do.

Frames are the published ones (`pose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from scenelift.errors import ReconstructionError
from scenelift.layers.sparse import SparseTensor, Voxels
from scenelift.progress import Reporter, silent
from scenelift.residency import Residency
from scenelift.sam3d.checkpoints import Sam3dModels
from scenelift.sam3d.options import DISTILLED_STEPS, SAM3DOptions
from scenelift.sam3d.pose import PublishedPose, decode_pose
from scenelift.sam3d.preprocess import ConditionImages
from scenelift.sam3d.structure_flow import StructureLatents, structure_noise
from scenelift.slat.acceleration import recorded, tensor_types
from scenelift.slat.flexicubes import SurfaceMesh, extract_mesh
from scenelift.slat.gaussian_decoder import GaussianDecoder
from scenelift.slat.latent_flow import latent_noise
from scenelift.slat.sampling import SamplingParams, State, sample_flow
from scenelift.slat.structure_decoder import cube_from_tokens
from scenelift.slat.voxels import OccupiedVoxels, cap_voxels, occupied_voxels, prune_interior
from scenelift.types import Gaussians

__all__ = ["SAM3D", "Lifted", "Sampling"]

# What the published networks need besides their weights, in bytes: activations, and for the flows
# the keys and values of the condition, which are kept over the steps. An upper estimate for
# 30 000 voxels; a network that needs more is still caught by the retries.
_GIB = 2**30
_WORKING_STRUCTURE = int(2.2 * _GIB)
_WORKING_LATENT = int(1.5 * _GIB)
_WORKING_DECODER = int(1.4 * _GIB)
_WORKING_CONDITION = _GIB // 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lifted:
    """One object, in the published frames.

    Attributes:
        pose: of the z-up object among the points it was seen with.
        gaussians: splats, z-up.
        mesh: surface, z-up, on the CPU.
        voxels: how many carried latents.
        notes: what had to be done with less, in plain sentences.
    """

    pose: PublishedPose
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
    def of(cls, options: SAM3DOptions, models: Sam3dModels) -> Sampling:
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
class _Structure:
    latents: StructureLatents
    occupied: OccupiedVoxels


@dataclass(frozen=True, slots=True, eq=False)
class _Latent:
    feats: SparseTensor
    occupied: OccupiedVoxels


@dataclass(frozen=True, slots=True, eq=False)
class _Draws:
    """Random numbers of one object, in the published order: structure, thinning, latent."""

    generator: torch.Generator  # on the device
    thinning: torch.Generator  # on the CPU
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int, device: torch.device) -> _Draws:
        generator = torch.Generator(device).manual_seed(seed)
        on_cpu = device.type == "cpu"
        return cls(generator, generator if on_cpu else torch.Generator().manual_seed(seed))


class SAM3D:
    """The networks on a device, and the way through them.

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
        models: Sam3dModels,
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

    @torch.inference_mode()
    def lift(self, view: ConditionImages, *, seed: int, report: Reporter | None = None) -> Lifted:
        """Make one object's shape and pose.

        Args:
            view: from `preprocess`, with points, on the device.
            seed: of the noise. On a CPU it gives the numbers that the published code draws.
            report: told of each step of the samplers; raises Cancelled there.

        Raises:
            ReconstructionError: the model made nothing of this view, or numbers that are none.
            torch.OutOfMemoryError: the device's memory does not suffice for the least that is
                tried.
        """
        if view.points is None:
            raise ValueError("the first stage needs a view with points")
        report, fits = report or silent(), self.memory.first_that_fits
        draws = _Draws.of(seed, self.device)

        # Noise is drawn outside what may be tried again, which so gives the same result.
        start = structure_noise(self.models.structure_flow.params, draws.generator)
        structure = fits(lambda: self._structure(view, start, draws, _part(report, 0.0, 0.45)))
        noise = self._latent_noise(structure.occupied, draws)
        latent = fits(
            lambda: self._latent(view, structure.occupied, noise, _part(report, 0.45, 0.85)),
            lambda: self._coarse_latent(view, structure.occupied, draws, _part(report, 0.45, 0.85)),
        )
        report.update(0.85, message="decoding splats")
        gaussians = fits(
            lambda: self._gaussians(latent.feats, self.models.gaussian_decoder),
            lambda: self._few_gaussians(latent.feats, draws),
        )
        report.update(0.92, message="decoding the mesh")
        mesh = fits(lambda: self._mesh(latent.feats))
        report.update(1.0, message="decoding the mesh")

        return Lifted(
            pose=decode_pose(
                # On the host, since not every device has the double precision of poses.
                StructureLatents(*(part.cpu() for part in structure.latents)),
                view.points.scale.cpu(),
                view.points.shift.cpu(),
                factor=latent.occupied.factor,
            ),
            gaussians=gaussians,
            mesh=mesh,
            voxels=len(latent.occupied.coords),
            notes=tuple(draws.notes),
        )

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self.memory.release()

    def _structure(
        self, view: ConditionImages, noise: StructureLatents, draws: _Draws, report: Reporter
    ) -> _Structure:
        """Stage 1: shape and pose together, then the voxels that can be seen of the shape."""
        models, memory = self.models, self.memory
        report.update(0, message="looking at the object")
        with memory.running(models.structure_condition, working=_WORKING_CONDITION) as embedder:
            tokens = embedder.embed(view)

        with memory.running(models.structure_flow, working=_WORKING_STRUCTURE) as flow:
            context = flow.remember(tokens)
            steps = self.sampling.structure.steps
            step = torch.full((1,), 1 / steps if self.sampling.distilled else 0.0).to(self.device)

            def velocity(state: State, time: Tensor, conditional: bool) -> State:
                latents = StructureLatents(*state)
                return flow(latents, time, context if conditional else None, step=step)

            sampled = sample_flow(
                recorded(velocity, self.device),
                noise,
                self.sampling.structure,
                report=report,
                message="finding the shape",
            )
        latents = StructureLatents(*sampled)
        _expect_numbers("structure", *latents)

        with memory.running(models.structure_decoder, working=_WORKING_CONDITION) as decoder:
            logits = decoder(cube_from_tokens(latents.shape))
        coords = occupied_voxels(logits)
        if not len(coords):
            raise ReconstructionError(
                "The model made no shape of what this mask shows. Try another seed, or a mask "
                "that follows the object more closely."
            )
        if models.settings.prune_interior:
            coords = prune_interior(coords)
        return _Structure(latents, cap_voxels(coords, generator=draws.thinning))

    def _latent(
        self, view: ConditionImages, occupied: OccupiedVoxels, noise: Tensor, report: Reporter
    ) -> _Latent:
        """Stage 2: what is to be decoded at every voxel."""
        models, memory = self.models, self.memory
        report.update(0, message="looking at the object")
        voxels = Voxels(occupied.coords, models.resolution)
        with memory.running(models.latent_condition, working=_WORKING_CONDITION) as embedder:
            tokens = embedder.embed(view)

        with memory.running(models.latent_flow, working=_WORKING_LATENT) as flow:
            context = flow.remember(tokens)

            def velocity(state: State, time: Tensor, conditional: bool) -> State:
                return (flow(state[0], time, voxels, context if conditional else None),)

            (x,) = sample_flow(
                recorded(velocity, self.device),
                (noise,),
                self.sampling.latent,
                report=report,
                message="adding detail",
            )
        _expect_numbers("detail", x)
        mean, std = (
            torch.tensor(values, device=self.device)
            for values in (models.settings.latent_mean, models.settings.latent_std)
        )
        return _Latent(SparseTensor(x * std + mean, voxels), occupied)

    def _coarse_latent(
        self, view: ConditionImages, occupied: OccupiedVoxels, draws: _Draws, report: Reporter
    ) -> _Latent:
        draws.notes.append("Memory ran out: this object was made at half the resolution.")
        coarse = _coarser(occupied, draws)
        return self._latent(view, coarse, self._latent_noise(coarse, draws), report)

    def _latent_noise(self, occupied: OccupiedVoxels, draws: _Draws) -> Tensor:
        count = len(occupied.coords)
        return latent_noise(self.models.latent_flow.params, count, draws.generator)

    def _gaussians(self, latent: SparseTensor, network: GaussianDecoder) -> Gaussians:
        with self.memory.running(network, working=_WORKING_DECODER) as decoder:
            return decoder(latent).activate()

    def _few_gaussians(self, latent: SparseTensor, draws: _Draws) -> Gaussians:
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


def _coarser(occupied: OccupiedVoxels, draws: _Draws) -> OccupiedVoxels:
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


def _part(whole: Reporter, start: float, end: float) -> Reporter:
    """A reporter whose 0…1 is a part of another's."""
    return Reporter(
        lambda event: whole.update(start + (end - start) * event.fraction, message=event.message)
    )
