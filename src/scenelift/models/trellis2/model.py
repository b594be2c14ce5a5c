"""Reconstructs one object with TRELLIS.2: from its picture on black to surface and materials.

    picture                the crop, in one or two sizes
      conditions           tokens of each size
      structure            occupied voxels, on half the decoder's grid
      shape                latents; in a cascade of a coarse shape first, then on finer voxels
      texture              latents on the same voxels, told the shape's
      decoders             seven numbers, and six attributes, on every fine voxel
      surface              a triangle mesh, wound either way

The object comes out upright (z up), and turned about the vertical as the seed would have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.errors import ReconstructionError
from scenelift.models.layers.attention import PixelCondition
from scenelift.models.layers.blocks import FlowContext
from scenelift.models.layers.sparse import SparseTensor, Voxels
from scenelift.models.slat.acceleration import as_cuda_graph
from scenelift.models.slat.first_stage import (
    GIB,
    WORKING_CONDITION,
    Draws,
    FirstStage,
    FirstStageResult,
    expect_numbers,
)
from scenelift.models.slat.precision import tensor_types
from scenelift.models.slat.sampling import SamplingParams, State, sample_flow
from scenelift.models.trellis.preprocess import resized
from scenelift.models.trellis.structure_flow import tokens_from_cube
from scenelift.models.trellis2.cascade import (
    LEAST_RESOLUTION,
    PUBLISHED_FINER,
    finer_cells,
    pooled,
)
from scenelift.models.trellis2.checkpoints import Trellis2Models
from scenelift.models.trellis2.config import STRUCTURE_CHANNELS, STRUCTURE_SIDE
from scenelift.models.trellis2.dual_grid import DualGrid, dual_grid_mesh
from scenelift.models.trellis2.flow import VoxelFlow, cube_cells
from scenelift.progress import Reporter, silent

__all__ = ["LiftedSurface", "Stage", "Trellis2"]

Stage: TypeAlias = Literal["structure", "coarse", "shape", "texture"]
"""The flows, in the order of a cascade."""

# What the published networks need besides their weights, in bytes: for each token of a flow (the
# stream, an MLP's hidden channels, queries, keys and values), and for each of a decoder's tokens
# (256 fine voxels' features, and the table of their neighbours).
_OF_A_TOKEN = 72 << 10
_OF_A_DECODED_TOKEN = 288 << 10
_WORKING_FLOW = GIB
# Of two sizes of a picture: their tokens as keys and values of every block.
_WORKING_LARGE = int(0.8 * GIB)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiftedSurface:
    """One object, in the frame of its cube [−½, ½]³, on the device.

    Attributes:
        vertices: float32 [V, 3], all of them used.
        faces: int64 [F, 3], wound either way.
        cells: int32 [N, 3] fine voxels around the surface.
        attributes: float32 [N, 6]: base colour (sRGB), metallic, roughness, alpha; about 0…1.
        resolution: fine voxels along a side of the cube.
        tokens: how many voxels carried latents.
        notes: what had to be done with less, in plain sentences.
    """

    vertices: Tensor
    faces: Tensor
    cells: Tensor
    attributes: Tensor
    resolution: int
    tokens: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _DecodedShape:
    surface: tuple[Tensor, Tensor]
    voxels: Voxels
    logits: Sequence[Tensor]


class Trellis2(FirstStage[Trellis2Models]):
    """The model on a device; arguments as for `FirstStage`."""

    @torch.inference_mode()
    def begin(
        self, picture: NDArray[np.uint8], *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        """Run the first stage for several seeds at once.

        Args:
            picture: uint8 [s, s, 3], the object on black, of any size.
            seeds: of the noise, which is drawn on the CPU as the published code does.
            report: told of each step of the samplers; raises Cancelled there.

        Raises:
            torch.OutOfMemoryError: the device's memory does not suffice for one.
        """
        report.update(0, message="looking at the object")
        draws = [Draws.of(seed, torch.device("cpu")) for seed in seeds]
        side = self.models.side
        conditions = self.memory.first_that_fits(lambda: self._look(picture))
        cells = cube_cells(side, self.device)
        condition = self._condition_on_cells(conditions[0], cells, side, "structure")

        def noise(draw: Draws) -> Tensor:
            cube = torch.randn(
                (1, STRUCTURE_CHANNELS, side, side, side), generator=draw.noise, device="cpu"
            )
            return tokens_from_cube(cube).to(self.device)

        structures = self._structures(
            [(noise(one),) for one in draws],
            lambda state, part: self._structure(condition, cells, state, part),
            report.part(0.04, 1.0),
        )
        return [
            FirstStageResult(state, coords, conditions, one)
            for (state, coords), one in zip(structures, draws, strict=True)
        ]

    @torch.inference_mode()
    def complete(self, first: FirstStageResult, *, report: Reporter | None = None) -> LiftedSurface:
        """Run the other stages and the decoders, of one seed.

        Raises:
            ReconstructionError: the model made no shape, or its values are not finite.
            torch.OutOfMemoryError: the device's memory does not suffice for the least that is
                tried.
        """
        report = report or silent()
        expect_numbers("structure", *first.state)
        if not len(first.coords):
            raise ReconstructionError(
                "The model made no shape of what this mask shows. Try another seed, or a mask "
                "that follows the object more closely."
            )
        models, settings, draws = self.models, self.models.settings, first.draws
        fits = self.memory.first_that_fits
        conditions = first.conditions
        coords, resolution = first.coords, self._resolution(512)
        shares = (0.0, 0.0)
        if models.coarse_flow is not None:
            shares = (0.12, 0.16)
            coords, resolution = self._cascade(first, report.part(0.0, shares[1]))
        elif models.kind == "1024":
            resolution = self._resolution(1024)
        condition = conditions[-1]
        side = resolution // models.shape_decoder.params.finer
        voxels = Voxels(coords, side)

        noise = self._noise(models.shape_flow, len(coords), draws)
        stage = report.part(shares[1], 0.6)
        flow_condition = fits(
            lambda: self._condition_on_cells(condition, coords[:, 1:], side, "shape")
        )
        x = fits(
            lambda: self._sample(
                models.shape_flow,
                self.sampling.latent,
                voxels,
                noise,
                flow_condition,
                stage,
                "shaping",
            )
        )
        expect_numbers("shape", x)
        shape = SparseTensor(settings.shape.restored(x), voxels)
        # The flow's own end, not the latents' mean and deviation undone.
        beside = settings.shape.normalised(shape.feats)
        noise = self._noise(models.texture_flow, len(coords), draws)
        stage = report.part(0.6, 0.88)
        flow_condition = fits(
            lambda: self._condition_on_cells(condition, coords[:, 1:], side, "texture")
        )
        assert self.sampling.texture is not None
        texture_sampling = self.sampling.texture
        x = fits(
            lambda: self._sample(
                models.texture_flow,
                texture_sampling,
                voxels,
                noise,
                flow_condition,
                stage,
                "adding materials",
                beside,
            )
        )
        expect_numbers("texture", x)
        texture = SparseTensor(settings.texture.restored(x), voxels)

        report.update(0.88, message="decoding the surface")
        decoded = fits(lambda: self._decode_shape(shape, resolution))
        report.update(0.95, message="decoding materials")
        attributes = fits(lambda: self._decode_texture(texture, decoded.logits))
        vertices, faces = decoded.surface
        vertex_indices, faces = torch.unique(faces, return_inverse=True)
        report.update(1.0, message="decoding materials")
        return LiftedSurface(
            vertices=vertices[vertex_indices],
            faces=faces,
            cells=decoded.voxels.coords[:, 1:],
            attributes=attributes,
            resolution=resolution,
            tokens=len(coords),
            notes=tuple(draws.notes),
        )

    def _types(self, tensors: Mapping[str, Tensor]) -> Mapping[str, torch.dtype]:
        # Flows were trained and published in bfloat16, decoders in float16.
        half, flow = self.dtype != torch.float32, "t_embedder.mlp.0.weight" in tensors
        return tensor_types(tensors, torch.float16 if half and not flow else self.dtype)

    def _resolution(self, published: int) -> int:
        """Count the fine voxels along a side; made-up models with small structures have fewer."""
        tokens = published // PUBLISHED_FINER * self.models.side // STRUCTURE_SIDE
        return tokens * self.models.shape_decoder.params.finer

    def _grid(self, logits: Tensor) -> Tensor:
        if self.models.kind == "1024":
            return logits
        return pooled(logits, self._resolution(512) // self.models.shape_decoder.params.finer)

    def _look(self, picture: NDArray[np.uint8]) -> list[Any]:  # each [1, S, D]
        """Compute tokens of the small picture and, where finer networks run, of the large one."""
        sizes = [self.models.image_size]
        if self.models.kind != "512":
            sizes.append(2 * self.models.image_size)
        # The published code computes DINOv3 in float32, which is how it is stored.
        with self.memory.running(
            self.models.image_embedder, working=WORKING_CONDITION, as_stored=True
        ) as embedder:
            return [embedder(self._pixels(picture, size)) for size in sizes]

    def _pixels(self, picture: NDArray[np.uint8], size: int) -> Tensor:  # [1, 3, s, s] in 0…1
        pixels = torch.tensor(resized(picture, size), device=self.device)
        return pixels.movedim(-1, 0)[None].float() / 255

    def _condition_on_cells(
        self, condition: Any, cells: Tensor, side: int, stage: Stage
    ) -> Tensor | PixelCondition:
        """Build the condition of a flow's tokens in these cells, from what `_look` computed."""
        return condition

    def _structure(
        self, flow_condition: Tensor | PixelCondition, cells: Tensor, noise: State, report: Reporter
    ) -> State:
        """Sample the structure's latent, for a batch of noise."""
        rotation = None

        def velocity(
            flow: VoxelFlow, state: State, time: Tensor, context: FlowContext | None
        ) -> State:
            nonlocal rotation
            if rotation is None:
                rotation = flow.rotation(cells)
            return (flow(state[0], time, rotation, context),)

        return self._sample_structure(
            self.models.structure_flow,
            [flow_condition],
            lambda flow, condition: flow.remember(condition),
            velocity,
            noise,
            report,
        )

    def _cascade(self, first: FirstStageResult, report: Reporter) -> tuple[Tensor, int]:
        """Find the voxels of the finer flow, and their resolution."""
        models, fits = self.models, self.memory.first_that_fits
        assert models.coarse_flow is not None
        flow, coords, low = models.coarse_flow, first.coords, self._resolution(512)
        side = low // models.shape_decoder.params.finer
        voxels = Voxels(coords, side)
        noise = self._noise(flow, len(coords), first.draws)
        condition = fits(
            lambda: self._condition_on_cells(first.conditions[0], coords[:, 1:], side, "coarse")
        )
        stage = report.part(0.0, 0.8)
        x = fits(
            lambda: self._sample(
                flow, self.sampling.latent, voxels, noise, condition, stage, "shaping roughly"
            )
        )
        expect_numbers("coarse shape", x)
        shape = SparseTensor(models.settings.shape.restored(x), voxels)
        report.update(0.8, message="decoding the rough shape")
        fine = fits(lambda: self._split(shape))
        if not len(fine):
            raise ReconstructionError("The model's rough shape is empty. Try another seed.")
        target = self._resolution(1536 if models.kind == "1536_cascade" else 1024)
        cells, resolution = self._finer_cells(fine.coords, low, target)
        if resolution < target:
            first.draws.notes.append(
                f"This object has more detail than {target} voxels a side have room for: it was "
                f"made with {resolution}."
            )
        return cells, resolution

    def _finer_cells(self, coords: Tensor, side: int, resolution: int) -> tuple[Tensor, int]:
        finer = self.models.shape_decoder.params.finer
        least = self._resolution(LEAST_RESOLUTION)
        return finer_cells(coords, side, resolution, least=least, finer=finer)

    def _split(self, shape: SparseTensor) -> Voxels:
        decoder = self.models.shape_decoder
        working = len(shape.feats) * _OF_A_DECODED_TOKEN
        with self.memory.running(decoder, working=working) as network:
            return network.split(shape, len(network.params.channels) - 1)

    def _noise(self, flow: VoxelFlow, count: int, draws: Draws) -> Tensor:  # [1, N, C]
        """Draw noise outside what may be retried, so that a retry gives the same result."""
        size = (1, count, flow.params.out_channels)
        return torch.randn(size, generator=draws.noise, device="cpu").to(self.device)

    def _sample(
        self,
        network: VoxelFlow,
        sampling: SamplingParams,
        voxels: Voxels,
        noise: Tensor,
        condition: Tensor | PixelCondition,
        report: Reporter,
        message: str,
        beside: Tensor | None = None,
    ) -> Tensor:  # [N, C]
        """Sample a flow on voxels; `beside` are further channels of its tokens."""
        working = _WORKING_FLOW + len(voxels) * _OF_A_TOKEN
        working += 0 if self.models.kind == "512" else _WORKING_LARGE
        with self.memory.running(network, working=working) as flow:
            rotation = flow.rotation(voxels.coords[:, 1:])
            context = flow.remember(condition)

            def velocity(state: State, time: Tensor, view: int | None) -> State:
                x = state[0] if beside is None else torch.cat([state[0], beside[None]], 2)
                return (flow(x, time, rotation, None if view is None else context),)

            (x,) = sample_flow(
                as_cuda_graph(velocity, self.device),
                (noise,),
                sampling,
                report=report,
                message=message,
            )
        return x[0]

    def _decode_shape(self, shape: SparseTensor, resolution: int) -> _DecodedShape:
        working = len(shape.feats) * _OF_A_DECODED_TOKEN
        with self.memory.running(self.models.shape_decoder, working=working) as decoder:
            decoded = decoder(shape)
        cells = decoded.voxels.coords[:, 1:]
        surface = dual_grid_mesh(cells, DualGrid.of(decoded.feats.float()), resolution)
        # Without the tables of its neighbours, which the texture's decoder makes anew.
        voxels = Voxels(decoded.voxels.coords, decoded.voxels.resolution)
        return _DecodedShape(surface=surface, voxels=voxels, logits=decoded.logits)

    def _decode_texture(self, texture: SparseTensor, logits: Sequence[Tensor]) -> Tensor:
        working = len(texture.feats) * _OF_A_DECODED_TOKEN
        with self.memory.running(self.models.texture_decoder, working=working) as decoder:
            decoded = decoder(texture, logits)
        return 0.5 * decoded.feats.float() + 0.5
