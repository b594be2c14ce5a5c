"""One object's walk through SAM 3D Objects, from what its mask shows to shape and pose.

    ConditionImages          crop, whole photo, normalised points
      structure              occupied voxels, and where the object stands
      latent                 eight numbers on every voxel
      gaussians, mesh        what those numbers look like

From the voxels on, the way is TRELLIS's too (`slat.model`). Frames are the published ones (`pose`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scenelift.progress import Reporter, silent
from scenelift.sam3d.checkpoints import Sam3dModels
from scenelift.sam3d.condition import ConditionEmbedder
from scenelift.sam3d.pose import PublishedPose, decode_pose
from scenelift.sam3d.preprocess import ConditionImages
from scenelift.sam3d.structure_flow import (
    StructureContext,
    StructureFlow,
    StructureLatents,
    structure_noise,
)
from scenelift.slat.model import WORKING_CONDITION, Draws, LiftedShape, SlatModel, part_of
from scenelift.slat.sampling import State
from scenelift.slat.structure_decoder import cube_from_tokens
from scenelift.slat.voxels import OccupiedVoxels

__all__ = ["SAM3D", "Lifted"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lifted(LiftedShape):
    """One object, in the published frames.

    Attributes:
        pose: of the z-up object among the points it was seen with.
    """

    pose: PublishedPose


class SAM3D(SlatModel[Sam3dModels]):
    """The model on a device; arguments as for `SlatModel`."""

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
        report = report or silent()
        draws = Draws.of(seed, self.device)
        start = structure_noise(self.models.structure_flow.params, draws.noise)
        latents, occupied = self.memory.first_that_fits(
            lambda: self._structure(view, start, draws, part_of(report, 0.0, 0.45))
        )
        shape, factor = self._detail(
            occupied,
            lambda: [self._look(self.models.latent_condition, view)],
            draws,
            part_of(report, 0.45, 1.0),
        )
        return Lifted(
            pose=decode_pose(
                # On the host, since not every device has the double precision of poses.
                StructureLatents(*(part.cpu() for part in latents)),
                view.points.scale.cpu(),
                view.points.shift.cpu(),
                factor=factor,
            ),
            gaussians=shape.gaussians,
            mesh=shape.mesh,
            voxels=shape.voxels,
            notes=shape.notes,
        )

    def _structure(
        self, view: ConditionImages, noise: StructureLatents, draws: Draws, report: Reporter
    ) -> tuple[StructureLatents, OccupiedVoxels]:
        """Stage 1: shape and pose together, then the voxels that can be seen of the shape."""
        report.update(0, message="looking at the object")
        tokens = self._look(self.models.structure_condition, view)
        steps = self.sampling.structure.steps
        step = torch.full((1,), 1 / steps if self.sampling.distilled else 0.0).to(self.device)

        def velocity(
            flow: StructureFlow, state: State, time: Tensor, context: StructureContext | None
        ) -> State:
            return flow(StructureLatents(*state), time, context, step=step)

        sampled = self._sample_structure(
            self.models.structure_flow,
            [tokens],
            lambda flow, condition: flow.remember(condition),
            velocity,
            noise,
            report,
        )
        latents = StructureLatents(*sampled)
        return latents, self._occupied(cube_from_tokens(latents.shape), draws)

    def _look(self, condition: ConditionEmbedder, view: ConditionImages) -> Tensor:
        with self.memory.running(condition, working=WORKING_CONDITION) as embedder:
            return embedder.embed(view)
