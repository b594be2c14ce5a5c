"""TRELLIS as a reconstructor: makes a shape of a picture on black, and fits its pose.

The model gives an object upright, in a cube, turned about the vertical as its seed would have it.
Where it stands is fitted afterwards to what the photo shows of it (`compose.fit`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

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
    UNDISTILLED,
    Setup,
    SlatReconstructor,
    freed_when_it_fails,
    shape_of,
)
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
    first_share = 0.36
    fixed_options = UNDISTILLED

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
    def _load(cls, setup: Setup) -> Self:
        options = setup.options
        files = _files(options)
        model = setup.build(Trellis, load_models(files))
        weights = f"trellis-image-large {fingerprint(files.weight_files())}"
        version = setup.version(weights, model.sampling, options.view_mode)
        return cls(model, version=version, view_mode=options.view_mode)

    def _inputs(self, view: ObjectView) -> list[NDArray[np.uint8]]:
        return [self._picture(one) for one in (view, *view.further)]

    def _first_stages(
        self, inputs: list[NDArray[np.uint8]], *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        return self.model.begin(inputs, seeds=seeds, mode=self.view_mode, report=report)

    def _complete(
        self,
        first: FirstStageResult,
        inputs: list[NDArray[np.uint8]],
        view: ObjectView,
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        with freed_when_it_fails(self.model):
            output = self.model.complete(first, mode=self.view_mode, report=report.part(0.0, 0.7))
        shape, _ = shape_of(output)
        notes = [*output.notes]
        photos = len(inputs)
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
        """Prepare the networks' picture of one object: it alone, on black."""
        matte = closest_matte(view.image, matte_of(view.instance))
        return crop_on_black(most_pixels(view.image), matte, size=self.model.models.image_size)


def _files(options: BackendOptions) -> TrellisFolder:
    """Locate the published folder, and DINOv2's.

    Raises:
        WeightsError: one of them is nowhere.
    """
    folder, dinov2 = (require(name, options.weights) for name in ("trellis", "dinov2-large"))
    return TrellisFolder(folder, dinov2 / DINO_FILE)
