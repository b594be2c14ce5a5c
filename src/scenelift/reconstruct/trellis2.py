"""TRELLIS.2 as a reconstructor: makes a surface with materials of a picture on black.

Like TRELLIS it gives an object upright and turned as its seed would have it: its place is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.fit import FittedPose, fit_pose
from scenelift.models.slat.first_stage import FirstStageResult
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.models.trellis.preprocess import crop_on_black, shrunk
from scenelift.models.trellis2.checkpoints import (
    PUBLISHED_STRUCTURE_DECODER,
    Trellis2Folder,
    load_models,
)
from scenelift.models.trellis2.model import Trellis2
from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.reconstruct.detail import closest_matte, most_pixels
from scenelift.reconstruct.placing import matte_of, place_in_scene
from scenelift.reconstruct.slat import UNDISTILLED, Setup, SlatReconstructor, freed_when_it_fails
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.types import ObjectView, Reconstruction
from scenelift.weights.content import fingerprint
from scenelift.weights.locate import locate, require

__all__ = ["Trellis2Reconstructor"]

# The published code shrinks photos to this before it crops; the crop is as tight as can be.
MOST_PIXELS = 1024
BOX_FACTOR = 1.0

STRUCTURE_REPOSITORY = "/".join(PUBLISHED_STRUCTURE_DECODER.split("/")[:2])


class Trellis2Reconstructor(SlatReconstructor[Trellis2]):
    """Reconstructs with TRELLIS.2, and finds the object's place.

    Args:
        model, version: as for `SlatReconstructor`.
        place: finds a shape's pose; `compose.fit.fit_pose`.
    """

    name = "trellis2"
    title = "TRELLIS.2"
    first_share = 0.2
    fixed_options = UNDISTILLED

    def __init__(
        self, model: Trellis2, *, version: str, place: Callable[..., FittedPose] = fit_pose
    ) -> None:
        super().__init__(model, version=version)
        self._place = place

    @classmethod
    def _load(cls, setup: Setup) -> Self:
        setup = published_types(setup)
        kind = setup.options.voxel_kind
        files = _files(setup.options)
        model = setup.build(Trellis2, load_models(files, kind))
        weights = f"trellis.2-4b {fingerprint(files.weight_files(kind))}"
        return cls(model, version=setup.version(weights, model.sampling, kind))

    def _inputs(self, view: ObjectView) -> NDArray[np.uint8]:
        """Cut out the object alone, on black."""
        matte = closest_matte(view.image, matte_of(view.instance))
        pixels, alpha = shrunk(most_pixels(view.image), matte, most=MOST_PIXELS)
        return crop_on_black(pixels, alpha, size=None, factor=BOX_FACTOR)

    def _first_stages(
        self, inputs: NDArray[np.uint8], *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        return self.model.begin(inputs, seeds=seeds, report=report)

    def _complete(
        self,
        first: FirstStageResult,
        inputs: NDArray[np.uint8],
        view: ObjectView,
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        with freed_when_it_fails(self.model):
            surface = self.model.complete(first, report=report.part(0.0, 0.8))
            shape, _ = shape_of_surface(surface, OBJECT_FROM_ZUP, seed=seed)
        return place_in_scene(
            shape,
            view,
            place=self._place,
            title=self.title,
            seed=seed,
            voxels=surface.tokens,
            notes=surface.notes,
            report=report.part(0.8, 1.0),
        )


def published_types(setup: Setup) -> Setup:
    """Choose bfloat16 for flows on a GPU, as trained, unless another type is asked for."""
    if setup.options.precision != "auto" or setup.runtime.torch_device.type != "cuda":
        return setup
    return Setup.of(setup.runtime, precision="bfloat16")


def _files(options: BackendOptions) -> Trellis2Folder:
    """Locate the published folders.

    Raises:
        WeightsError: one of them is nowhere.
    """
    return Trellis2Folder(
        require("trellis2", options.weights),
        require("dinov3-large", options.weights),
        others=structure_decoder_folder(options),
    )


def structure_decoder_folder(options: BackendOptions) -> dict[str, Path]:
    """Locate TRELLIS's structure decoder, if it is anywhere: alone, or with all of TRELLIS."""
    for name in ("trellis-structure", "trellis"):
        folder = locate(name, options.weights)
        if folder is not None:
            return {STRUCTURE_REPOSITORY: folder}
    return {}
