"""Reconstructs one object with Pixal3D: TRELLIS.2 whose tokens also get the pixel before them.

The object comes out in the frame of a camera that looks at the middle of its picture: x right,
y up, z toward the camera. There is no turn to be found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.models.layers.attention import PixelCondition
from scenelift.models.pixal3d.checkpoints import Pixal3DModels
from scenelift.models.pixal3d.condition import EncodedPicture, Guide
from scenelift.models.pixal3d.lifting import camera_distance
from scenelift.models.slat.first_stage import GIB, FirstStageResult
from scenelift.models.trellis2.cascade import LEAST_RESOLUTION, finer_cells
from scenelift.models.trellis2.model import Stage, Trellis2
from scenelift.progress import Reporter

__all__ = ["Pixal3D", "View"]

# What NAF needs besides its weights, in bytes: its encoders' activations for a picture of 1024²,
# and what it says at each of that picture's pixels.
_WORKING_NAF = 4 * GIB


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """An object's picture, and the camera that looks at its middle.

    Attributes:
        picture: uint8 [s, s, 3], the object on black.
        fov: of the camera across it, in radians.
    """

    picture: NDArray[np.uint8]
    fov: float


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    picture: EncodedPicture
    pixels: Tensor  # [1, 3, s, s]


class Pixal3D(Trellis2):
    """The model on a device; arguments as for `FirstStage`."""

    models: Pixal3DModels

    def begin_view(
        self, view: View, *, seeds: list[int], report: Reporter
    ) -> list[FirstStageResult]:
        """Run the first stage for several seeds at once; `Trellis2.begin` says what it raises."""
        self._fov = view.fov
        return self.begin(view.picture, seeds=seeds, report=report)

    def _look(self, picture: NDArray[np.uint8]) -> list[_Look]:
        params = self.models.image_embedder.params
        sizes = (self.models.image_size, 2 * self.models.image_size)
        return [
            _Look(
                EncodedPicture(
                    tokens=tokens,
                    first=1 + params.registers,
                    size=size,
                    fov=self._fov,
                    distance=camera_distance(self._fov),
                ),
                self._pixels(picture, size),
            )
            for tokens, size in zip(super()._look(picture), sizes, strict=True)
        ]

    def _condition_on_cells(
        self, condition: _Look, cells: Tensor, side: int, stage: Stage
    ) -> PixelCondition:
        if stage == "structure":
            return condition.picture.condition(cells, side)
        # The coarse map is made as fine as the small picture, for materials as the large one.
        small = self.models.image_size
        fine = 2 * small if stage == "texture" else small
        with (
            self.memory.running(self.models.naf, working=_WORKING_NAF, as_stored=True) as naf,
            torch.inference_mode(),
        ):
            guide = Guide.of(naf, condition.pixels, fine)
            return condition.picture.condition(cells, side, guide)

    def _finer_cells(self, coords: Tensor, side: int, resolution: int) -> tuple[Tensor, int]:
        return finer_cells(
            coords,
            side,
            resolution,
            rounding="corners",
            least=self._resolution(LEAST_RESOLUTION),
            finer=self.models.shape_decoder.params.finer,
        )
