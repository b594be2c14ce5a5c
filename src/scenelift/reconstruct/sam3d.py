"""SAM 3D Objects as a reconstructor: converts between the pipeline's types and the model's.

Here photo, mask and points become tensors in the model's frames, and its z-up object becomes one
of ours: y up, inside [−0.5, 0.5]³, with the pose that puts it back where it was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.models.sam3d.checkpoints import CheckpointFolder, load_models
from scenelift.models.sam3d.model import SAM3D, PosedShape
from scenelift.models.sam3d.pose import CAMERA_FROM_PYTORCH3D, scene_pose
from scenelift.models.sam3d.preprocess import ConditionImages, preprocess, whole_photo
from scenelift.models.slat.first_stage import FirstStageResult
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.reconstruct.conditioning import conditioning_points, pose_for_camera
from scenelift.reconstruct.detail import closest_mask, most_pixels
from scenelift.reconstruct.slat import (
    NO_SURFACE,
    Setup,
    SlatReconstructor,
    freed_when_it_fails,
    shape_of,
)
from scenelift.types import Image, ObjectView, PointMap, Pose, Reconstruction
from scenelift.weights.content import fingerprint
from scenelift.weights.locate import require

__all__ = ["SAM3DReconstructor", "reconstruction_of"]

_STEMS = ("ss_generator", "ss_decoder", "slat_generator", "slat_decoder_mesh")


@dataclass(frozen=True, slots=True, eq=False)
class _PhotoTensors:
    """A photo and its points as tensors on the device; its objects share them.

    What the embedders make of the whole photo is kept by the model, for as long as it is here.
    """

    pixels: Tensor  # uint8 [3, H, W], the most pixels that there are
    positions: Tensor  # float32 [3, h, w] in PyTorch3D axes
    whole: Tensor  # float32 [1, 3, s, s], all of it as the embedders see it


class SAM3DReconstructor(SlatReconstructor[SAM3D]):
    """Reconstructs with SAM 3D Objects; arguments as for `SlatReconstructor`."""

    name = "sam3d"
    title = "SAM 3D Objects"
    first_share = 0.45

    def __init__(self, model: SAM3D, *, version: str) -> None:
        super().__init__(model, version=version)
        self._image: Image | None = None
        self._photo: _PhotoTensors | None = None

    @classmethod
    def _load(cls, setup: Setup) -> Self:
        options = setup.options
        files = CheckpointFolder(checkpoint_folder(options))
        networks = load_models(files.folder, splats_per_voxel=options.splats_per_voxel)
        model = setup.build(SAM3D, networks, fewer_splats=_FewerSplats(files))
        gaussians = "slat_decoder_gs" if options.splats_per_voxel == 32 else "slat_decoder_gs_4"
        paths = [files.weight_file(stem) for stem in (*_STEMS, gaussians)]
        weights = f"sam-3d-objects {fingerprint(paths)}"
        version = setup.version(weights, model.sampling, options.splats_per_voxel)
        return cls(model, version=version)

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo; the first of its objects brings it to the device."""
        self._image, self._photo = image, None

    def end(self) -> None:
        """Free what the objects of the photo shared."""
        self._image = self._photo = None

    def _first_stages(
        self, inputs: ConditionImages, *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        return self.model.begin(inputs, seeds=seeds, report=report)

    def _complete(
        self,
        first: FirstStageResult,
        inputs: ConditionImages,
        view: ObjectView,
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        with freed_when_it_fails(self.model):
            output = self.model.complete(inputs, first, report=report)
        reconstruction = reconstruction_of(output, _notes_on(view))
        return replace(
            reconstruction, pose=pose_for_camera(reconstruction.pose, view.mask, view.points)
        )

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self._photo = None
        super().release()

    def _inputs(self, view: ObjectView) -> ConditionImages:
        if view.image is not self._image:
            raise ValueError("begin(image, points) comes before the first object of a photo")
        device, size = self.model.device, self.model.models.image_size
        if self._photo is None:
            points = _in_pytorch3d_axes(conditioning_points(view.points))
            pixels = _channels_first(most_pixels(view.image), device)
            self._photo = _PhotoTensors(
                pixels=pixels,
                positions=_channels_first(points, device),
                whole=whole_photo(pixels, size),
            )
        photo = self._photo
        mask = torch.tensor(closest_mask(view.image, view.mask), device=device).float()[None]
        return preprocess(photo.pixels, mask, photo.positions, size=size, full_image=photo.whole)


class _FewerSplats:
    """Loads the decoder of 4 splats a voxel when memory has run out, once."""

    def __init__(self, files: CheckpointFolder) -> None:
        self._files = files
        self._decoder: GaussianDecoder | None = None

    def __call__(self) -> GaussianDecoder:
        if self._decoder is None:
            self._decoder = self._files.gaussian_decoder(4)
        return self._decoder


def checkpoint_folder(options: BackendOptions) -> Path:
    """Find the published folder, or its conversion.

    Raises:
        WeightsError: nowhere.
    """
    return require("sam3d", options.weights)


def reconstruction_of(output: PosedShape, notes: Sequence[str] = ()) -> Reconstruction:
    """Convert the model's object to our frames, with its pose in the camera frame.

    Where the shape had to be made smaller to fit into our cube, its pose is made larger by the
    same factor, which leaves it where it was.
    """
    shape, shrink = shape_of(output)
    if shape.mesh is None:
        notes = (*notes, NO_SURFACE)
    pose = scene_pose(output.pose)
    return Reconstruction(
        shape=shape,
        pose=Pose(rotation=pose.rotation, translation=pose.translation, scale=pose.scale / shrink),
        quality={"voxels": float(output.voxels)},
        notes=(*notes, *output.notes),
    )


def _notes_on(view: ObjectView) -> tuple[str, ...]:
    notes, points = [], view.points
    if not bool(np.isfinite(points.points[view.mask]).all(-1).any()):
        notes.append("There is no depth under this object's mask: its size and place are guesses.")
    if points.network_camera is not None:
        notes.append(
            f"SAM 3D saw the point map's own points, of a focal length of "
            f"{points.network_camera.fx:.0f} pixels; the camera has the photo's, "
            f"{points.camera.fx:.0f}."
        )
    return tuple(notes)


def _in_pytorch3d_axes(points: NDArray[np.float32]) -> NDArray[np.float32]:  # [H, W, 3]
    return points * np.diag(CAMERA_FROM_PYTORCH3D).astype(np.float32)


def _channels_first(pixels: NDArray, device: torch.device) -> Tensor:  # [H, W, 3] -> [3, H, W]
    return torch.tensor(pixels, device=device).movedim(-1, 0)
