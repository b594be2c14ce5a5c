"""What SAM 3D Objects and TRELLIS have in common as reconstructors: the edge of the pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.errors import DeviceMemoryError, InputError, WeightsError
from scenelift.finish.decimation import decimate
from scenelift.geometry.transforms import quaternion_from_matrix, transform_gaussians
from scenelift.registry import BackendOptions
from scenelift.slat.flexicubes import SurfaceMesh
from scenelift.slat.frame import OBJECT_FROM_ZUP
from scenelift.slat.model import LiftedShape, SlatModel
from scenelift.slat.options import ReconstructionOptions
from scenelift.types import Gaussians, Image, Instance, Mesh, Pose, Shape

__all__ = [
    "NO_SURFACE",
    "check_mask",
    "fingerprint",
    "freed_when_it_fails",
    "full_options",
    "settings_digest",
    "shape_of",
]

NO_SURFACE = "The model drew no surface for this object: it has splats only."


def full_options(options: BackendOptions) -> ReconstructionOptions:
    """The options, or those that say no more than they do."""
    if isinstance(options, ReconstructionOptions):
        return options
    return ReconstructionOptions(
        **{f.name: getattr(options, f.name) for f in fields(BackendOptions)}
    )


def check_mask(image: Image, instance: Instance) -> None:
    """A mask must be of the photo's size.

    Raises:
        InputError: it is not.
    """
    if instance.mask.shape != (image.height, image.width):
        raise InputError(
            f"The mask is {instance.mask.shape[1]} × {instance.mask.shape[0]} pixels, the "
            f"photo {image.width} × {image.height}. Make them the same size."
        )


@contextmanager
def freed_when_it_fails(model: SlatModel[Any]) -> Iterator[None]:
    """Within it, whatever goes wrong leaves the device free; too little memory says what helps.

    Raises:
        DeviceMemoryError: in place of PyTorch's own.
    """
    done = False
    try:
        yield
        done = True
    except torch.OutOfMemoryError as exc:
        # Without the error's frames, which hold what is to be freed.
        raise DeviceMemoryError(
            f"There is too little memory on {model.device} for this object, even with one "
            f"network on it at a time ({_first_line(exc)}). Close what else uses it, or take "
            f"`--device cpu`."
        ) from None
    finally:
        if not done:
            model.release()


def shape_of(lifted: LiftedShape, max_faces: int | None = None) -> tuple[Shape, float]:
    """An object in our frame: y up, inside [−0.5, 0.5]³.

    Splats of the outermost voxels may reach a little beyond the published cube. Then the object is
    made smaller.

    Returns:
        The shape, and the factor that it was made smaller by: at most 1.
    """
    reach = max(
        float(np.abs(lifted.gaussians.means).max(initial=0)),
        float(lifted.mesh.vertices.abs().max()) if len(lifted.mesh.vertices) else 0.0,
    )
    shrink = min(1.0, 0.5 / reach) if reach > 0 else 1.0
    turn: NDArray[np.float64] = quaternion_from_matrix(OBJECT_FROM_ZUP)
    w, x, y, z = turn.tolist()
    gaussians = transform_gaussians(lifted.gaussians, Pose(rotation=(w, x, y, z), scale=shrink))
    mesh = _mesh(lifted.mesh, shrink)
    shape = Shape(
        gaussians=_clipped(gaussians),
        mesh=decimate(mesh, max_faces) if len(mesh.faces) else None,
    )
    return shape, shrink


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


def settings_digest(*settings: Any) -> str:
    """Eight hexadecimal digits that change with what a version must tell apart."""
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:8]


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


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
