"""One object's walk through TRELLIS, from pictures of it on black to its shape.

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

from scenelift.layers.blocks import FlowContext
from scenelift.progress import Reporter, silent
from scenelift.slat.model import WORKING_CONDITION, Draws, LiftedShape, SlatModel, part_of
from scenelift.slat.options import ViewMode
from scenelift.slat.sampling import State
from scenelift.slat.structure_decoder import cube_from_tokens
from scenelift.slat.voxels import OccupiedVoxels
from scenelift.trellis.checkpoints import TrellisModels
from scenelift.trellis.structure_flow import StructureFlow, structure_noise

__all__ = ["Trellis"]


class Trellis(SlatModel[TrellisModels]):
    """The model on a device; arguments as for `SlatModel`."""

    @torch.inference_mode()
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
            ReconstructionError: the model made nothing of this picture, or numbers that are none.
            torch.OutOfMemoryError: the device's memory does not suffice for the least that is
                tried.
        """
        if not pictures:
            raise ValueError("an object needs at least one picture")
        report = report or silent()
        draws = Draws.of(seed, torch.device("cpu"))
        start = structure_noise(self.models.structure_flow.params, draws.noise).to(self.device)
        fits = self.memory.first_that_fits
        report.update(0, message="looking at the object")
        conditions = fits(lambda: [self._look(picture) for picture in pictures])
        occupied = fits(
            lambda: self._structure(conditions, start, draws, mode, part_of(report, 0.02, 0.45))
        )
        shape, _ = self._detail(
            occupied, lambda: conditions, draws, part_of(report, 0.45, 1.0), mode=mode
        )
        return shape

    def _look(self, picture: NDArray[np.uint8]) -> Tensor:  # [s, s, 3] -> [1, S, C]
        pixels = torch.tensor(picture, device=self.device).movedim(-1, 0)[None].float() / 255
        # The published code computes DINOv2 in float32, which is how it is stored.
        with self.memory.running(
            self.models.image_embedder, working=WORKING_CONDITION, as_stored=True
        ) as embedder:
            return embedder(pixels)

    def _structure(
        self,
        conditions: Sequence[Tensor],
        noise: Tensor,
        draws: Draws,
        mode: ViewMode,
        report: Reporter,
    ) -> OccupiedVoxels:
        def velocity(
            flow: StructureFlow, state: State, time: Tensor, context: FlowContext | None
        ) -> State:
            return (flow(state[0], time, context),)

        (tokens,) = self._sample_structure(
            self.models.structure_flow,
            conditions,
            lambda flow, condition: flow.remember(condition),
            velocity,
            (noise,),
            report,
            mode=mode,
        )
        return self._occupied(cube_from_tokens(tokens), draws)
