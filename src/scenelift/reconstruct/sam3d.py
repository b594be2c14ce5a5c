"""SAM 3D Objects as a reconstructor: the pipeline's types on one side, the model's on the other.

Here photo, mask and points become tensors in the model's frames, and its z-up object becomes one
of ours: y up, inside [−0.5, 0.5]³, with the pose that puts it back where it was seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scenelift.device import choose_device, choose_dtype, limit_memory
from scenelift.errors import DeviceMemoryError, InputError, WeightsError
from scenelift.finish.decimation import decimate
from scenelift.geometry.transforms import quaternion_from_matrix, transform_gaussians
from scenelift.progress import Reporter
from scenelift.registry import BackendOptions
from scenelift.sam3d.checkpoints import CheckpointFolder, load_models
from scenelift.sam3d.model import SAM3D, Lifted
from scenelift.sam3d.pose import CAMERA_FROM_PYTORCH3D, OBJECT_FROM_ZUP, scene_pose
from scenelift.sam3d.preprocess import ConditionImages, preprocess
from scenelift.slat.acceleration import accelerate
from scenelift.slat.flexicubes import SurfaceMesh
from scenelift.slat.gaussian_decoder import GaussianDecoder
from scenelift.slat.model import Sampling
from scenelift.slat.options import ReconstructionOptions
from scenelift.types import Gaussians, Image, Instance, Mesh, PointMap, Pose, Reconstruction, Shape
from scenelift.weights import hub_models

__all__ = ["SAM3DReconstructor", "fingerprint", "reconstruction_of"]

_STEMS = ("ss_generator", "ss_decoder", "slat_generator", "slat_decoder_mesh")


@dataclass(frozen=True, slots=True, eq=False)
class _Photo:
    """A photo and its points as tensors on the device; its objects share them."""

    image: Image
    points: PointMap
    pixels: Tensor  # float32 [3, H, W] in 0…1
    positions: Tensor  # float32 [3, h, w] in PyTorch3D axes


class SAM3DReconstructor:
    """A `Reconstructor`; its networks stay loaded between objects and photos.

    Args:
        model: the networks and their device.
        version: names the weights, and whatever else changes results.
        max_faces: of a mesh; None keeps all.
    """

    name = "sam3d"

    def __init__(
        self,
        model: SAM3D,
        *,
        version: str,
        max_faces: int | None = None,
    ) -> None:
        self.model = model
        self.version = version
        self.max_faces = max_faces
        self._photo: _Photo | None = None
        self._told = False

    @classmethod
    def load(cls, options: BackendOptions) -> SAM3DReconstructor:
        """Load the weights that the options name, or those in the cache.

        Args:
            options: `ReconstructionOptions`, or others for the published settings.

        Raises:
            WeightsError: they are missing, damaged, or of another model.
            SetupError: the device is not there.
        """
        if not isinstance(options, ReconstructionOptions):
            options = ReconstructionOptions(
                **{f.name: getattr(options, f.name) for f in fields(BackendOptions)}
            )
        device = choose_device(options.device)
        dtype = choose_dtype(device, options.precision)
        limit_memory(device, options.vram_bytes)
        files = CheckpointFolder(checkpoint_folder(options))
        models = load_models(files.folder, splats_per_voxel=options.splats_per_voxel)
        sampling = Sampling.of(options, models)
        for network in (models.structure_flow, models.latent_flow, models.mesh_decoder):
            accelerate(network, device, compile=options.compile)
        model = SAM3D(
            models,
            device=device,
            dtype=dtype,
            sampling=sampling,
            vram_bytes=options.vram_bytes,
            fewer_splats=_FewerSplats(files),
        )
        gaussians = "slat_decoder_gs" if options.splats_per_voxel == 32 else "slat_decoder_gs_4"
        settings = (sampling, options.splats_per_voxel, options.max_faces, dtype)
        paths = [files.weight_file(stem) for stem in (*_STEMS, gaussians)]
        version = (
            f"sam-3d-objects {fingerprint(paths)}, "
            f"{sampling.structure.steps}{' distilled' if sampling.distilled else ''} + "
            f"{sampling.latent.steps} steps, {str(dtype).removeprefix('torch.')}, "
            f"settings {hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"
        )
        return cls(model, version=version, max_faces=options.max_faces)

    def reconstruct(
        self,
        image: Image,
        instance: Instance,
        points: PointMap,
        *,
        others: Sequence[Instance],
        seed: int,
        report: Reporter,
    ) -> Reconstruction:
        """Reconstruct one object; the others do not matter.

        Raises:
            InputError: the mask is too small, or of another size than the photo.
            SceneliftError: the model made nothing of it, or the device's memory did not suffice.
            Cancelled: the user stopped the run.
        """
        report.update(0, message="preparing")
        if self.model.device.type == "cpu" and not self._told:
            self._told = True
            report.note("SAM 3D Objects runs on the CPU here: minutes an object, on a GPU seconds.")
        done = False
        try:
            lifted = self.model.lift(self._view(image, instance, points), seed=seed, report=report)
            done = True
        except torch.OutOfMemoryError as exc:
            # Without the error's frames, which hold what is to be freed.
            raise DeviceMemoryError(
                f"There is too little memory on {self.model.device} for this object, even with one "
                f"network on it at a time ({_first_line(exc)}). Close what else uses it, or take "
                f"`--device cpu`."
            ) from None
        finally:
            if not done:
                self.release()
        return reconstruction_of(lifted, self.max_faces, _notes_on(instance, points))

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self._photo = None
        self.model.release()

    def _view(self, image: Image, instance: Instance, points: PointMap) -> ConditionImages:
        """What the networks see of one object."""
        if instance.mask.shape != (image.height, image.width):
            raise InputError(
                f"The mask is {instance.mask.shape[1]} × {instance.mask.shape[0]} pixels, the "
                f"photo {image.width} × {image.height}. Make them the same size."
            )
        device = self.model.device
        photo = self._photo
        if photo is None or photo.image is not image or photo.points is not points:
            self._photo = None  # before the next one takes its place
            photo = self._photo = _Photo(
                image=image,
                points=points,
                pixels=_channels_first(image.pixels, device).float() / 255,
                positions=_channels_first(_in_pytorch3d_axes(points.points), device),
            )
        mask = torch.tensor(instance.mask, device=device).float()[None]
        size = self.model.models.image_size
        return preprocess(photo.pixels, mask, photo.positions, size=size)


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
    """Where the published folder, or its conversion, lies.

    Raises:
        WeightsError: nowhere.
    """
    found = hub_models.folder("sam3d", options.weights)
    if found is None:
        home = options.weights or hub_models.home_of("sam3d")
        raise WeightsError(
            f"No weights of SAM 3D Objects in {home}. `scenelift models download full` fetches "
            f"them, once https://huggingface.co/facebook/sam-3d-objects has granted you access."
        )
    return found


def fingerprint(paths: Iterable[Path]) -> str:
    """Twelve hexadecimal digits that change with the weights, without reading all of them.

    Sizes, and samples of the content: its last megabyte, in which PyTorch's files hold a checksum
    of every tensor, and sixteen pieces in between for the others.

    Raises:
        WeightsError: a file is missing.
    """
    digest, piece, end = hashlib.sha256(), 1 << 16, 1 << 20
    for path in paths:
        try:
            size = path.stat().st_size
            digest.update(f"{path.stem} {size}\n".encode())
            with path.open("rb") as file:
                for k in range(16):
                    file.seek(k * size // 16)
                    digest.update(file.read(piece))
                file.seek(max(0, size - end))
                digest.update(file.read(end))
        except OSError as exc:
            raise WeightsError(f"Cannot read {path}: {exc.strerror or exc}.") from exc
    return digest.hexdigest()[:12]


def reconstruction_of(
    lifted: Lifted, max_faces: int | None = None, notes: Sequence[str] = ()
) -> Reconstruction:
    """An object in our frames: y up, inside [−0.5, 0.5]³, with its pose in the camera frame.

    Splats of the outermost voxels may reach a little beyond the published cube. Then the object is
    made smaller and its pose larger by the same factor, which leaves it where it was.
    """
    reach = max(
        float(np.abs(lifted.gaussians.means).max(initial=0)),
        float(lifted.mesh.vertices.abs().max()) if len(lifted.mesh.vertices) else 0.0,
    )
    shrink = min(1.0, 0.5 / reach) if reach > 0 else 1.0
    turn: NDArray[np.float64] = quaternion_from_matrix(OBJECT_FROM_ZUP)
    w, x, y, z = turn.tolist()
    pose = scene_pose(lifted.pose)
    gaussians = transform_gaussians(lifted.gaussians, Pose(rotation=(w, x, y, z), scale=shrink))
    mesh = _mesh(lifted.mesh, shrink)
    if not len(mesh.faces):
        notes = (*notes, "The model drew no surface for this object: it has splats only.")
    return Reconstruction(
        shape=Shape(
            gaussians=_clipped(gaussians),
            mesh=decimate(mesh, max_faces) if len(mesh.faces) else None,
        ),
        pose=Pose(rotation=pose.rotation, translation=pose.translation, scale=pose.scale / shrink),
        quality={"voxels": float(lifted.voxels)},
        notes=(*notes, *lifted.notes),
    )


def _mesh(surface: SurfaceMesh, scale: float) -> Mesh:
    vertices = surface.vertices.numpy().astype(np.float64) @ OBJECT_FROM_ZUP.T * scale
    colors = surface.attributes[:, :3].numpy()
    return Mesh(
        vertices=np.clip(vertices, -0.5, 0.5).astype(np.float32),
        faces=surface.faces.numpy().astype(np.int32),
        colors=np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8),
    )


def _clipped(gaussians: Gaussians) -> Gaussians:
    """Rounding of the turn must not carry a centre out of the cube."""
    np.clip(gaussians.means, -0.5, 0.5, out=gaussians.means)
    return gaussians


def _notes_on(instance: Instance, points: PointMap) -> tuple[str, ...]:
    if points.points.shape[:2] == instance.mask.shape and not bool(
        np.isfinite(points.points[instance.mask]).all(-1).any()
    ):
        return ("There is no depth under this object's mask: its size and place are guesses.",)
    return ()


def _in_pytorch3d_axes(points: NDArray[np.float32]) -> NDArray[np.float32]:  # [H, W, 3]
    return points * np.diag(CAMERA_FROM_PYTORCH3D).astype(np.float32)


def _channels_first(pixels: NDArray, device: torch.device) -> Tensor:  # [H, W, 3] -> [3, H, W]
    return torch.tensor(pixels, device=device).movedim(-1, 0)


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
