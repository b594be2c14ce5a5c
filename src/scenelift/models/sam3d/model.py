"""Reconstructs one object with SAM 3D Objects: from its masked pixels to its shape and pose.

    ConditionImages          crop, whole photo, normalised points
      structure              occupied voxels, and where the object stands
      latent                 eight numbers on every voxel
      gaussians, mesh        what those numbers look like

From the voxels on, the way is TRELLIS's too (`slat.model`). Frames are the published ones (`pose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from scenelift.models.sam3d.checkpoints import Sam3dModels
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.sam3d.features import PictureFeatures
from scenelift.models.sam3d.pose import PublishedPose, decode_pose
from scenelift.models.sam3d.preprocess import ConditionImages
from scenelift.models.sam3d.structure_flow import (
    StructureContext,
    StructureFlow,
    StructureLatents,
    structure_noise,
)
from scenelift.models.slat.first_stage import WORKING_CONDITION, Draws, FirstStageResult
from scenelift.models.slat.model import LiftedShape, SlatModel
from scenelift.models.slat.sampling import State
from scenelift.progress import Reporter, silent

__all__ = ["SAM3D", "PosedShape"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PosedShape(LiftedShape):
    """One object, in the published frames.

    Attributes:
        pose: of the z-up object among the points it was seen with.
    """

    pose: PublishedPose


class SAM3D(SlatModel[Sam3dModels]):
    """The model on a device; arguments as for `SlatModel`."""

    def __init__(self, models: Sam3dModels, **settings: Any) -> None:
        super().__init__(models, **settings)
        conditions = (models.structure_condition, models.latent_condition)
        self._features = PictureFeatures(e for c in conditions for e in c.dino_embedders)

    def lift(
        self, view: ConditionImages, *, seed: int, report: Reporter | None = None
    ) -> PosedShape:
        """Make one object's shape and pose.

        Args:
            view: from `preprocess`, with points, on the device.
            seed: of the noise. On a CPU it gives the numbers that the published code draws.
            report: told of each step of the samplers; raises Cancelled there.

        Raises:
            ReconstructionError: the model made no shape of this view, or its values are not finite.
            torch.OutOfMemoryError: the device's memory does not suffice for the least that is
                tried.
        """
        report = report or silent()
        (first,) = self.begin(view, seeds=[seed], report=report.part(0.0, 0.45))
        return self.complete(view, first, report=report.part(0.45, 1.0))

    @torch.inference_mode()
    def begin(
        self, view: ConditionImages, *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        """Run the first stage for several seeds at once; `lift` says what the arguments are.

        Raises:
            torch.OutOfMemoryError: the device's memory does not suffice for one.
        """
        if view.points is None:
            raise ValueError("the first stage needs a view with points")
        models, fits = self.models, self.memory.first_that_fits
        report.update(0, message="looking at the object")
        draws = [Draws.of(seed, self.device) for seed in seeds]
        tokens = fits(lambda: self._look(models.structure_condition, view))
        structures = self._structures(
            [structure_noise(models.structure_flow.params, one.noise) for one in draws],
            lambda noise, part: self._structure(tokens, noise, part),
            report.part(0.0, 0.98),
        )
        conditions = [fits(lambda: self._look(models.latent_condition, view))]
        self._features.forget(view.image, view.mask, view.full_mask)  # the photo has other objects
        return [
            FirstStageResult(state, coords, conditions, one)
            for (state, coords), one in zip(structures, draws, strict=True)
        ]

    @torch.inference_mode()
    def complete(
        self, view: ConditionImages, first: FirstStageResult, *, report: Reporter
    ) -> PosedShape:
        """Run second stage, decoders and pose of one seed; `lift` says what it raises."""
        if view.points is None:
            raise ValueError("the pose needs a view with points")
        shape, factor = self._detail(first, report)
        return PosedShape(
            pose=decode_pose(
                # On the host, since not every device has the double precision of poses.
                StructureLatents(*(part.cpu() for part in first.state)),
                view.points.scale.cpu(),
                view.points.shift.cpu(),
                factor=factor,
            ),
            gaussians=shape.gaussians,
            mesh=shape.mesh,
            voxels=shape.voxels,
            notes=shape.notes,
        )

    def _structure(self, tokens: Tensor, noise: State, report: Reporter) -> State:
        """Sample shape and pose together, for a batch of noise."""
        steps = self.sampling.structure.steps
        step = torch.full((1,), 1 / steps if self.sampling.distilled else 0.0).to(self.device)

        def velocity(
            flow: StructureFlow, state: State, time: Tensor, context: StructureContext | None
        ) -> State:
            return flow(StructureLatents(*state), time, context, step=step)

        return self._sample_structure(
            self.models.structure_flow,
            [tokens],
            lambda flow, condition: flow.block_contexts(condition),
            velocity,
            noise,
            report,
        )

    def _shape_of(self, state: State) -> Tensor:
        return StructureLatents(*state).shape

    def _look(self, condition: ConditionEmbedder, view: ConditionImages) -> Tensor:
        with self.memory.running(condition, working=WORKING_CONDITION) as embedder:
            return embedder.embed(view, features=self._features)
