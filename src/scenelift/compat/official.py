"""Use Meta's own `sam3d_objects` as a reconstructor, if it is installed.

    scenelift run photo.jpg --prompt chair --reconstructor official

It is https://github.com/facebookresearch/sam-3d-objects, with the weights that `scenelift models
download full` fetches, and needs CUDA. Photo, mask, point map and seed go in as for our own
`sam3d`, and what comes out is converted to our frames, so the two can be compared object by
object.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scenelift.compat.official_setup import Abilities, probe, published_folder
from scenelift.errors import (
    DeviceMemoryError,
    ReconstructionError,
    SetupError,
    WeightsError,
)
from scenelift.models.sam3d.make_scene import KERNEL
from scenelift.models.sam3d.model import PosedShape
from scenelift.models.sam3d.pose import (
    CAMERA_FROM_PYTORCH3D,
    OBJECT_FROM_ZUP,
    PublishedPose,
    vector_of,
)
from scenelift.models.slat.flexicubes import SurfaceMesh
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.progress import Reporter
from scenelift.reconstruct.conditioning import conditioning_points, pose_for_camera
from scenelift.reconstruct.sam3d import reconstruction_of
from scenelift.runtime import Runtime
from scenelift.types import Gaussians, Image, Mesh, ObjectView, PointMap, Reconstruction
from scenelift.weights.content import fingerprint

__all__ = ["OfficialReconstructor"]

# What the weights' pipeline.yaml may have built: as Meta's own loader allows.
_TRUSTED = frozenset({"sam3d_objects", "torch", "torchvision", "moge"})


class OfficialReconstructor:
    """A `Reconstructor` around Meta's pipeline.

    Args:
        pipeline: `sam3d_objects.pipeline.inference_pipeline_pointmap.InferencePipelinePointMap`.
        version: names package and weights.
        abilities: what the pipeline is asked for; `probe()` finds out what it can.
        options: step counts, and the budget of faces of meshes without texture.
    """

    name = "official"

    def __init__(
        self, pipeline: Any, *, version: str, abilities: Abilities, options: ReconstructionOptions
    ) -> None:
        self._pipeline = pipeline
        self._abilities = abilities
        self._options = options
        texture = abilities.texture or "vertex colours"
        cleaned = ", cleaned up" if abilities.clean_up else ""
        steps = (options.steps_of("structure"), options.steps_of("latent"))
        steps = " + ".join(str(n or 25) for n in steps) + " steps"
        self.version = f"{version}, {steps}, {texture}{cleaned}"

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> OfficialReconstructor:
        """Build Meta's pipeline with the published weights.

        Raises:
            WeightsError: they are missing, or their pipeline.yaml asks for foreign classes.
            SetupError: there is no CUDA device.
        """
        runtime = Runtime.of(options)
        folder = published_folder(runtime.weights)
        if folder is None:
            raise WeightsError("No weights of SAM 3D Objects: scenelift models download full")
        device = runtime.torch_device
        if device.type != "cuda":
            raise SetupError(
                f"Meta's package runs on CUDA only, not on {device}. "
                f"`--reconstructor sam3d` runs the same weights here."
            )
        abilities = probe()
        pipeline = _build(folder / "pipeline.yaml", str(device), abilities)
        version = f"sam3d_objects {_version()} {fingerprint(sorted(folder.glob('*.ckpt')))}"
        return cls(pipeline, version=version, abilities=abilities, options=runtime.options)

    def begin(self, image: Image, points: PointMap) -> None:
        """Start a new photo: nothing to do, as Meta's package keeps nothing of a photo."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        """Reconstruct one object; other objects are ignored, and it cannot be stopped halfway.

        Raises:
            ReconstructionError: the package returned no splats.
            DeviceMemoryError: the device's memory did not suffice.
        """
        report.update(0, message="in Meta's package")
        textured = self._abilities.texture is not None
        # Its baker chooses views with numpy's global generator.
        np.random.seed(seed % 2**32)  # noqa: NPY002, TID251
        try:
            output = self._pipeline.run(
                np.dstack([view.image.pixels, view.mask.astype(np.uint8) * 255]),
                None,
                seed,
                stage1_only=False,
                with_mesh_postprocess=self._abilities.clean_up,
                with_texture_baking=textured,
                # Our `compose` refines poses, for every reconstructor alike.
                with_layout_postprocess=False,
                use_vertex_color=not textured,
                stage1_inference_steps=self._options.steps_of("structure"),
                stage2_inference_steps=self._options.steps_of("latent"),
                use_stage1_distillation=self._options.distilled,
                pointmap=_in_pytorch3d_axes(conditioning_points(view.points)),
            )
        except torch.OutOfMemoryError as exc:
            raise DeviceMemoryError(
                f"Meta's package ran out of GPU memory ({str(exc).splitlines()[0][:200]}). "
                f"`--reconstructor sam3d` needs less."
            ) from None
        report.update(1)
        reconstruction = _reconstruction(output, self._abilities.notes)
        return replace(
            reconstruction, pose=pose_for_camera(reconstruction.pose, view.mask, view.points)
        )


def _build(config_file: Path, device: str, abilities: Abilities) -> Any:
    """Build Meta's pipeline from its configuration, as its own `Inference` builds it."""
    # Without this, importing it runs an initialisation of Meta's own cluster.
    os.environ.setdefault("LIDRA_SKIP_INIT", "true")
    if find_spec("flash_attn") is None:
        os.environ.setdefault("ATTN_BACKEND", "sdpa")
        os.environ.setdefault("SPARSE_ATTN_BACKEND", "sdpa")
    importlib.import_module("scenelift.compat.utils3d_compat")
    from hydra.utils import instantiate  # pyright: ignore[reportMissingImports]
    from omegaconf import OmegaConf  # pyright: ignore[reportMissingImports]

    config = OmegaConf.load(str(config_file))
    for target in _targets(OmegaConf.to_container(config)):
        if target.split(".", 1)[0] not in _TRUSTED:
            raise WeightsError(
                f"{config_file} names {target!r}, which is not part of SAM 3D Objects. "
                f"`scenelift models verify full` compares the file with the published one."
            )
    config.rendering_engine = abilities.texture or "pytorch3d"
    config.compile_model = False
    config.workspace_dir = str(config_file.parent)
    config.device = device
    return instantiate(config)


def _targets(node: Any) -> Iterator[str]:
    """Yield every class that a configuration names."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield str(node["_target_"])
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _version() -> str:
    try:
        return importlib.metadata.version("sam3d_objects")
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get("sam3d_objects"), "__version__", "of unknown version"))


def _in_pytorch3d_axes(points: NDArray[np.float32]) -> torch.Tensor:  # [H, W, 3]
    return torch.from_numpy(points * np.diag(CAMERA_FROM_PYTORCH3D).astype(np.float32))


def _reconstruction(output: Mapping[str, Any], notes: Sequence[str]) -> Reconstruction:
    """Convert Meta's output to our frames: its GLB is y-up already, its splats and pose are z-up.

    Raises:
        ReconstructionError: there are no splats in it.
    """
    if not output.get("gaussian"):
        raise ReconstructionError("Meta's package returned no splats for this object.")
    glb = output.get("glb")
    posed_shape = PosedShape(
        gaussians=_gaussians(output["gaussian"][0]),
        mesh=_surface(glb),
        pose=PublishedPose(
            rotation=vector_of(output["rotation"]),
            translation=vector_of(output["translation"]),
            scale=vector_of(output["scale"]),
        ),
        voxels=len(output["coords"]),
        notes=tuple(notes),
    )
    reconstruction = reconstruction_of(posed_shape)
    mesh = reconstruction.shape.mesh
    if mesh is not None:
        visual = getattr(glb, "visual", None)
        if visual is not None and visual.kind == "texture":
            mesh = _textured(mesh, visual)
    return replace(reconstruction, shape=replace(reconstruction.shape, mesh=mesh))


def _gaussians(published: Any) -> Gaussians:
    """Read the splats of Meta's container, from the properties with activated values."""
    return Gaussians(
        means=_array(published.get_xyz),
        scales=_array(published.get_scaling),
        rotations=_array(published.get_rotation),
        opacities=_array(published.get_opacity).reshape(-1),
        sh0=_array(published.get_features)[:, 0],
        kernel=KERNEL,
    )


def _surface(glb: Any) -> SurfaceMesh:
    """Read the GLB's mesh in the z-up frame, with its vertex colours if it has any."""
    if glb is None:
        return SurfaceMesh(
            vertices=torch.zeros(0, 3),
            faces=torch.zeros(0, 3, dtype=torch.int32),
            attributes=torch.zeros(0, 6),
        )
    vertices = np.asarray(glb.vertices, np.float64) @ OBJECT_FROM_ZUP  # its transpose undoes it
    attributes = np.zeros((len(vertices), 6), np.float32)
    if glb.visual.kind == "vertex":
        attributes[:, :3] = np.asarray(glb.visual.vertex_colors)[:, :3] / np.float32(255)
    return SurfaceMesh(
        vertices=torch.from_numpy(vertices.astype(np.float32)),
        faces=torch.from_numpy(np.asarray(glb.faces).astype(np.int32)),
        attributes=torch.from_numpy(attributes),
    )


def _textured(mesh: Mesh, visual: Any) -> Mesh:
    picture = visual.material.baseColorTexture.convert("RGB")
    return replace(
        mesh,
        colors=None,
        uv=np.asarray(visual.uv, np.float32),
        texture=np.asarray(picture, np.uint8).copy(),
    )


def _array(values: torch.Tensor) -> NDArray[np.float32]:
    return values.detach().float().cpu().numpy()
