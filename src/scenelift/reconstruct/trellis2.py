"""TRELLIS.2 as a reconstructor: a picture on black in, a surface with materials out.

Like TRELLIS it gives an object upright and turned as its seed would have it: its place is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

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
from scenelift.reconstruct.slat import (
    Setup,
    SlatReconstructor,
    freed_when_it_fails,
    reports_of,
)
from scenelift.reconstruct.surface import shape_of_surface
from scenelift.runtime import Runtime
from scenelift.types import ObjectView, Reconstruction, View
from scenelift.weights.content import fingerprint
from scenelift.weights.locate import locate, require

__all__ = ["Trellis2Reconstructor"]

# The published code shrinks photos to this before it crops; the crop is as tight as can be.
MOST_PIXELS = 1024
BOX_FACTOR = 1.0

STRUCTURE_REPOSITORY = "/".join(PUBLISHED_STRUCTURE_DECODER.split("/")[:2])


class Trellis2Reconstructor(SlatReconstructor[Trellis2]):
    """A `SeveralSeedsReconstructor`.

    Args:
        model, version: as for `SlatReconstructor`.
        place: finds a shape's pose; `compose.fit.fit_pose`.
    """

    name = "trellis2"
    title = "TRELLIS.2"

    def __init__(
        self, model: Trellis2, *, version: str, place: Callable[..., FittedPose] = fit_pose
    ) -> None:
        super().__init__(model, version=version)
        self._place = place

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> Trellis2Reconstructor:
        """Load the weights that the options name, or those in the cache.

        Args:
            options: `ReconstructionOptions`, or others for the published settings.

        Raises:
            WeightsError: they are missing, damaged, or of another model.
            SetupError: the device is not there.
        """
        setup = published_types(Setup.of(options, distilled=False, splats_per_voxel=32))
        kind = setup.options.voxel_kind
        files = _files(setup.options)
        model = setup.build(Trellis2, load_models(files, kind))
        weights = f"trellis.2-4b {fingerprint(files.weight_files(kind))}"
        return cls(model, version=setup.version(weights, model.sampling, kind))

    def start_samples(
        self, view: ObjectView, *, seeds: Sequence[int], report: Reporter
    ) -> list[Callable[[], Reconstruction]]:
        # The other objects do not matter: the points tell what is hidden.
        self._begin(report)
        first, rest = reports_of(report, len(seeds), together=0.2)
        with freed_when_it_fails(self.model):
            first_stages = self.model.begin(_picture(view), seeds=seeds, report=first)
        return [
            partial(self._complete, one, view, seed, part)
            for one, seed, part in zip(first_stages, seeds, rest, strict=True)
        ]

    def _complete(
        self, first: FirstStageResult, view: ObjectView, seed: int, report: Reporter
    ) -> Reconstruction:
        """The second stage for one seed, and the object's place."""
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
    """Flows in bfloat16 on a GPU, as they were trained, unless another type is asked for."""
    if setup.options.precision != "auto" or setup.runtime.torch_device.type != "cuda":
        return setup
    return Setup.of(setup.runtime, precision="bfloat16")


def _picture(view: View) -> NDArray[np.uint8]:
    """What the networks see of one object: it alone, on black."""
    matte = closest_matte(view.image, matte_of(view.instance))
    pixels, alpha = shrunk(most_pixels(view.image), matte, most=MOST_PIXELS)
    return crop_on_black(pixels, alpha, size=None, factor=BOX_FACTOR)


def _files(options: BackendOptions) -> Trellis2Folder:
    """The published folders.

    Raises:
        WeightsError: one of them is nowhere.
    """
    return Trellis2Folder(
        require("trellis2", options.weights),
        require("dinov3-large", options.weights),
        others=structure_decoder_folder(options),
    )


def structure_decoder_folder(options: BackendOptions) -> dict[str, Path]:
    """Where TRELLIS's structure decoder is, if anywhere: alone, or with all of TRELLIS."""
    for name in ("trellis-structure", "trellis"):
        folder = locate(name, options.weights)
        if folder is not None:
            return {STRUCTURE_REPOSITORY: folder}
    return {}
