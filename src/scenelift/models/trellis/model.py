"""Reconstructs one object with TRELLIS: from pictures of it on black to its shape.

    pictures               one, or several of the same object
      conditions           1374 tokens of each, for both stages
      structure            occupied voxels
      latent, decoders     as SAM 3D Objects' (`slat.model`)

There is no pose in here: the object comes out upright (z up), and turned about the vertical as the
seed would have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.models.layers.blocks import FlowContext
from scenelift.models.slat.first_stage import WORKING_CONDITION, Draws, FirstStageResult
from scenelift.models.slat.model import LiftedShape, SlatModel
from scenelift.models.slat.sampling import State
from scenelift.models.trellis.checkpoints import TrellisModels
from scenelift.models.trellis.structure_flow import StructureFlow, structure_noise
from scenelift.options import ViewMode
from scenelift.progress import Reporter, silent

__all__ = ["Trellis"]


class Trellis(SlatModel[TrellisModels]):
    """The model on a device; arguments as for `SlatModel`."""

    def lift(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        seed: int,
        mode: ViewMode = "stochastic",
        report: Reporter | None = None,
    ) -> LiftedShape:
        """Make one object's shape.

        Args:
            pictures: each uint8 [s, s, 3] from `crop_on_black`, all of the same object.
            seed: of the noise, which is drawn on the CPU as the published code does, so that every
                device begins with the same.
            mode: how several pictures are combined.
            report: told of each step of the samplers; raises Cancelled there.

        Raises:
            ReconstructionError: the model made no shape, or its values are not finite.
            torch.OutOfMemoryError: the device's memory does not suffice for the least that is
                tried.
        """
        report = report or silent()
        (first,) = self.begin(pictures, seeds=[seed], mode=mode, report=report.part(0.0, 0.45))
        return self.complete(first, mode=mode, report=report.part(0.45, 1.0))

    @torch.inference_mode()
    def begin(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        *,
        seeds: Sequence[int],
        mode: ViewMode = "stochastic",
        report: Reporter,
    ) -> list[FirstStageResult]:
        """Run the first stage for several seeds at once; `lift` says what the arguments are.

        Raises:
            torch.OutOfMemoryError: the device's memory does not suffice for one.
        """
        if not pictures:
            raise ValueError("an object needs at least one picture")
        report.update(0, message="looking at the object")
        draws = [Draws.of(seed, torch.device("cpu")) for seed in seeds]
        params = self.models.structure_flow.params
        conditions = self.memory.first_that_fits(
            lambda: [self._look(picture) for picture in pictures]
        )
        structures = self._structures(
            [(structure_noise(params, one.noise).to(self.device),) for one in draws],
            lambda noise, part: self._structure(conditions, noise, mode, part),
            report.part(0.04, 1.0),
        )
        return [
            FirstStageResult(state, coords, conditions, one)
            for (state, coords), one in zip(structures, draws, strict=True)
        ]

    @torch.inference_mode()
    def complete(
        self, first: FirstStageResult, *, mode: ViewMode = "stochastic", report: Reporter
    ) -> LiftedShape:
        """Run second stage and decoders of one seed; `lift` says what it raises."""
        shape, _ = self._detail(first, report, mode=mode)
        return shape

    def _look(self, picture: NDArray[np.uint8]) -> Tensor:  # [s, s, 3] -> [1, S, C]
        pixels = torch.tensor(picture, device=self.device).movedim(-1, 0)[None].float() / 255
        # The published code computes DINOv2 in float32, which is how it is stored.
        with self.memory.running(
            self.models.image_embedder, working=WORKING_CONDITION, as_stored=True
        ) as embedder:
            return embedder(pixels)

    def _structure(
        self, conditions: Sequence[Tensor], noise: State, mode: ViewMode, report: Reporter
    ) -> State:
        """Sample the shape, for a batch of noise."""

        def velocity(
            flow: StructureFlow, state: State, time: Tensor, context: FlowContext | None
        ) -> State:
            return (flow(state[0], time, context),)

        return self._sample_structure(
            self.models.structure_flow,
            conditions,
            lambda flow, condition: flow.remember(condition),
            velocity,
            noise,
            report,
            mode=mode,
        )
