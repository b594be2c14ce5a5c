"""TRELLIS as a reconstructor: a picture on black in, and a shape that has to find its place.

The model gives an object upright, in a cube, turned about the vertical as its seed would have it.
Where it stands is fitted afterwards to what the photo shows of it (`compose.fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.fit import FittedPose, fit_pose
from scenelift.models.slat.first_stage import FirstStageResult
from scenelift.models.trellis.checkpoints import DINO_FILE, TrellisFolder, load_models
from scenelift.models.trellis.model import Trellis
from scenelift.models.trellis.preprocess import crop_on_black
from scenelift.options import BackendOptions, ViewMode
from scenelift.progress import Reporter
from scenelift.reconstruct.detail import closest_matte, most_pixels
from scenelift.reconstruct.placing import matte_of, place_in_scene
from scenelift.reconstruct.slat import (
    Setup,
    SlatReconstructor,
    freed_when_it_fails,
    reports_of,
    shape_of,
)
from scenelift.runtime import Runtime
from scenelift.types import ObjectView, Reconstruction, View
from scenelift.weights.content import fingerprint
from scenelift.weights.locate import require

__all__ = ["TrellisReconstructor"]


class TrellisReconstructor(SlatReconstructor[Trellis]):
    """A `SeveralViewsReconstructor` and a `SeveralSeedsReconstructor`.

    Args:
        model, version: as for `SlatReconstructor`.
        view_mode: how several photos of one object are combined.
        place: finds a shape's pose; `compose.fit.fit_pose`.
    """

    name = "trellis"
    title = "TRELLIS"

    def __init__(
        self,
        model: Trellis,
        *,
        version: str,
        view_mode: ViewMode = "stochastic",
        place: Callable[..., FittedPose] = fit_pose,
    ) -> None:
        super().__init__(model, version=version)
        self._place = place
        self.view_mode: ViewMode = view_mode

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> TrellisReconstructor:
        """Load the weights that the options name, or those in the cache.

        Args:
            options: `ReconstructionOptions`, or others for the published settings.

        Raises:
            WeightsError: they are missing, damaged, or of another model.
            SetupError: the device is not there.
        """
        # Its first flow was never distilled, and it has one decoder of splats.
        setup = Setup.of(options, distilled=False, splats_per_voxel=32)
        options = setup.options
        files = _files(options)
        model = setup.build(Trellis, load_models(files))
        weights = f"trellis-image-large {fingerprint(files.weight_files())}"
        version = setup.version(weights, model.sampling, options.view_mode)
        return cls(model, version=version, view_mode=options.view_mode)

    def start_samples(
        self, view: ObjectView, *, seeds: Sequence[int], report: Reporter
    ) -> list[Callable[[], Reconstruction]]:
        # The other objects do not matter: the points tell what is hidden.
        self._begin(report)
        first, rest = reports_of(report, len(seeds), together=0.36)
        with freed_when_it_fails(self.model):
            first_stages = self.model.begin(
                [self._picture(one) for one in (view, *view.further)],
                seeds=seeds,
                mode=self.view_mode,
                report=first,
            )
        return [
            partial(self._complete, one, view, seed, part)
            for one, seed, part in zip(first_stages, seeds, rest, strict=True)
        ]

    def _complete(
        self, first: FirstStageResult, view: ObjectView, seed: int, report: Reporter
    ) -> Reconstruction:
        """The second stage for one seed, and its place where the first photo shows it."""
        with freed_when_it_fails(self.model):
            output = self.model.complete(first, mode=self.view_mode, report=report.part(0.0, 0.7))
        shape, _ = shape_of(output)
        notes = [*output.notes]
        photos = 1 + len(view.further)
        if self.view_mode == "stochastic" and photos > self._fewest_steps:
            notes.append(
                f"{photos} photos and {self._fewest_steps} steps: each step looks at one, so "
                f"some were not looked at."
            )
        return place_in_scene(
            shape,
            view,
            place=self._place,
            title=self.title,
            seed=seed,
            voxels=output.voxels,
            notes=notes,
            report=report.part(0.7, 1.0),
        )

    @property
    def _fewest_steps(self) -> int:
        sampling = self.model.sampling
        return min(sampling.structure.steps, sampling.latent.steps)

    def _picture(self, view: View) -> NDArray[np.uint8]:
        """What the networks see of one object: it alone, on black."""
        matte = closest_matte(view.image, matte_of(view.instance))
        return crop_on_black(most_pixels(view.image), matte, size=self.model.models.image_size)


def _files(options: BackendOptions) -> TrellisFolder:
    """The published folder, and DINOv2's.

    Raises:
        WeightsError: one of them is nowhere.
    """
    folder, dinov2 = (require(name, options.weights) for name in ("trellis", "dinov2-large"))
    return TrellisFolder(folder, dinov2 / DINO_FILE)
