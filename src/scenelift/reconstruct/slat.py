"""What SAM 3D Objects and TRELLIS share as reconstructors: the edge of the pipeline."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.errors import DeviceMemoryError, first_line
from scenelift.geometry.transforms import quaternion_from_matrix, transform_gaussians
from scenelift.models.slat.acceleration import accelerate
from scenelift.models.slat.checkpoints import StructureModels
from scenelift.models.slat.first_stage import FirstStage, FirstStageResult, Sampling
from scenelift.models.slat.flexicubes import SurfaceMesh
from scenelift.models.slat.frame import OBJECT_FROM_ZUP
from scenelift.models.slat.model import LiftedShape
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.types import (
    Gaussians,
    Image,
    Mesh,
    ObjectView,
    PointMap,
    Pose,
    Reconstruction,
    Shape,
)

__all__ = [
    "NO_SURFACE",
    "UNDISTILLED",
    "Setup",
    "SlatReconstructor",
    "freed_when_it_fails",
    "shape_of",
]

UNDISTILLED: Mapping[str, Any] = MappingProxyType(
    {"distilled": False, "velocity_caching": False, "splats_per_voxel": 32}
)
"""`fixed_options` of models whose flows were never distilled, with one decoder of splats; caching
of velocities was not measured with them."""

NO_SURFACE = "The model drew no surface for this object: it has splats only."


M = TypeVar("M", bound=FirstStage[Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Settings of a run for a model's networks, whichever model it is.

    Attributes:
        runtime: of the run, with the model's own word where it has no choice.
        dtype: of the networks' large matrices.
    """

    runtime: Runtime
    dtype: torch.dtype

    @classmethod
    def of(cls, options: BackendOptions | Runtime, **overrides: Any) -> Setup:
        """Choose the precision, and the device where no runtime has done that.

        Args:
            options: of the run; `ReconstructionOptions`, or others for the published settings.
            overrides: options in which the model has no choice.

        Raises:
            SetupError: the device is not there, or cannot do what is asked.
        """
        runtime = Runtime.of(options).with_options(**overrides)
        options_of_recipe = runtime.options.expanded(distilled=overrides.get("distilled", True))
        runtime = replace(runtime, options=options_of_recipe)
        return cls(runtime=runtime, dtype=runtime.dtype)

    @property
    def options(self) -> ReconstructionOptions:
        return self.runtime.options

    def build(self, make: Callable[..., M], networks: StructureModels, **further: Any) -> M:
        """Build the model of these networks, made fast for the device.

        Args:
            make: `SAM3D`, `Trellis`, `Trellis2` or `Pixal3D`.
            networks: as they were loaded, on the host.
            further: arguments of that model alone.
        """
        for network in networks.accelerable:
            accelerate(network, self.runtime.torch_device, compile=self.options.compile)
        return make(
            networks,
            device=self.runtime.torch_device,
            dtype=self.dtype,
            sampling=Sampling.of(self.options, networks.settings),
            vram_bytes=self.options.vram_bytes,
            **further,
        )

    def version(self, weights: str, sampling: Sampling, *settings: Any) -> str:
        """Names the weights, and whatever else changes results.

        Args:
            weights: their name and fingerprint.
            sampling: as the model follows its flows.
            settings: of that model alone.
        """
        settings_text = repr((sampling, self.dtype, *settings))
        caching = ", velocities cached" if sampling.latent.caching else ""
        return (
            f"{weights}, {sampling.structure.steps}{' distilled' if sampling.distilled else ''} + "
            f"{sampling.latent.steps} steps{caching}, {str(self.dtype).removeprefix('torch.')}, "
            f"settings {hashlib.sha256(settings_text.encode()).hexdigest()[:8]}"
        )


class SlatReconstructor(ABC, Generic[M]):
    """A `SeveralSeedsReconstructor`; the networks stay loaded between objects and photos.

    Args:
        model: the networks and their device.
        version: names the weights, and whatever else changes results.
    """

    title: ClassVar[str]
    """What people call the model."""

    first_share: ClassVar[float]
    """Part of an object's time that the first stage takes, which seeds share."""

    fixed_options: ClassVar[Mapping[str, Any]] = {}
    """Options in which the model has no choice."""

    def __init__(self, model: M, *, version: str) -> None:
        self.model = model
        self.version = version
        self._cpu_warned = False

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> Self:
        """Load the weights that the options name, or those in the cache.

        Args:
            options: `ReconstructionOptions`, or others for the published settings.

        Raises:
            WeightsError: they are missing, damaged, or of another model.
            InputError: a kind of the model is asked for that there is not.
            SetupError: the device is not there.
        """
        return cls._load(Setup.of(options, **cls.fixed_options))

    @classmethod
    @abstractmethod
    def _load(cls, setup: Setup) -> Self:
        """Find and read the weights, and name them in the version."""

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo; most models keep nothing of it."""

    def end(self) -> None:
        """Free what the objects of the photo shared."""

    def start_samples(
        self, view: ObjectView, *, seeds: Sequence[int], report: Reporter
    ) -> list[Callable[[], Reconstruction]]:
        """Run the first stage of several seeds together, and return the rest of each as a function.

        The other objects do not matter: the points tell what is hidden.

        Raises:
            InputError: the mask is too small.
            SceneliftError: the device's memory did not suffice. What remains raises it too, and
                where the model made nothing of the object.
            Cancelled: the user stopped the run.
        """
        self._begin(report)
        each = (1 - self.first_share) / len(seeds)
        starts = [self.first_share + k * each for k in range(len(seeds))]
        with freed_when_it_fails(self.model):
            inputs = self._inputs(view)
            first = report.part(0.0, self.first_share)
            first_stages = self._first_stages(inputs, seeds=seeds, report=first)
        return [
            partial(self._complete, one, inputs, view, seed, report.part(start, start + each))
            for one, seed, start in zip(first_stages, seeds, starts, strict=True)
        ]

    @abstractmethod
    def _inputs(self, view: ObjectView) -> Any:
        """Prepare the networks' inputs for one object."""

    @abstractmethod
    def _first_stages(
        self, inputs: Any, *, seeds: Sequence[int], report: Reporter
    ) -> list[FirstStageResult]:
        """Run the first stage of all seeds."""

    @abstractmethod
    def _complete(
        self, first: FirstStageResult, inputs: Any, view: ObjectView, seed: int, report: Reporter
    ) -> Reconstruction:
        """Run the second stage for one seed, and give the object its place."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        """Reconstruct one object with one seed; `start_samples` says what it raises."""
        (only,) = self.start_samples(view, seeds=[seed], report=report)
        return only()

    def release(self) -> None:
        """Free the device's memory; the next object takes it again."""
        self.model.release()

    def _begin(self, report: Reporter) -> None:
        """Start an object; on a CPU, say once how long it takes."""
        report.update(0, message="preparing")
        if self.model.device.type == "cpu" and not self._cpu_warned:
            self._cpu_warned = True
            report.note(f"{self.title} runs on the CPU here: minutes an object, on a GPU seconds.")


@contextmanager
def freed_when_it_fails(model: FirstStage[Any]) -> Iterator[None]:
    """Context: free the device when anything fails; where memory ran out, say what helps.

    Raises:
        DeviceMemoryError: in place of PyTorch's own.
    """
    succeeded = False
    try:
        yield
        succeeded = True
    except torch.OutOfMemoryError as exc:
        # Without the error's frames, which hold what is to be freed.
        raise DeviceMemoryError(
            f"There is too little memory on {model.device} for this object, even with one "
            f"network on it at a time ({first_line(exc)}). Close what else uses it, or take "
            f"`--device cpu`."
        ) from None
    finally:
        if not succeeded:
            model.release()


def shape_of(output: LiftedShape) -> tuple[Shape, float]:
    """Convert an object to our frame: y up, inside [−0.5, 0.5]³.

    Splats of the outermost voxels may reach a little beyond the published cube. Then the object is
    made smaller.

    Returns:
        The shape, and the factor that it was made smaller by: at most 1.
    """
    reach = max(
        float(np.abs(output.gaussians.means).max(initial=0)),
        float(output.mesh.vertices.abs().max()) if len(output.mesh.vertices) else 0.0,
    )
    shrink = min(1.0, 0.5 / reach) if reach > 0 else 1.0
    turn: NDArray[np.float64] = quaternion_from_matrix(OBJECT_FROM_ZUP)
    w, x, y, z = turn.tolist()
    gaussians = transform_gaussians(output.gaussians, Pose(rotation=(w, x, y, z), scale=shrink))
    mesh = _mesh(output.mesh, shrink)
    shape = Shape(
        gaussians=_clipped(gaussians),
        mesh=mesh if len(mesh.faces) else None,
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
    """Clip centres to the cube, which rounding of the rotation may have carried them out of."""
    np.clip(gaussians.means, -0.5, 0.5, out=gaussians.means)
    return gaussians
