"""Load the published checkpoint folder, or its conversion to safetensors.

    pipeline.yaml           settings; names the other files
    ss_generator.ckpt       first stage: flow and condition embedder
    ss_decoder.ckpt         structure decoder
    slat_generator.ckpt     second stage: flow and condition embedder
    slat_decoder_gs.ckpt    Gaussian decoder, 32 splats a voxel (…_gs_4: 4)
    slat_decoder_mesh.ckpt  mesh decoder

Each weight file has a `.yaml` beside it. Where `NAME.safetensors` lies in the folder, it is read
instead of `NAME.ckpt`; `scenelift models convert full` writes such a folder. Parameter names are
the published ones in both, so the table below is all there is to map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from scenelift.errors import WeightsError
from scenelift.models.sam3d import config
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.sam3d.structure_flow import StructureFlow
from scenelift.models.slat import config as slat_config
from scenelift.models.slat.checkpoints import NetworkFile, SlatModels
from scenelift.models.slat.config import PipelineSettings
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import LatentFlow
from scenelift.models.slat.mesh_decoder import MeshDecoder
from scenelift.models.slat.structure_decoder import StructureDecoder
from scenelift.weights.state_dicts import read_state_dict, under_prefix

__all__ = ["FLOW_PREFIX", "CheckpointFolder", "Sam3dModels", "load_models"]

FLOW_PREFIX = "_base_models.generator.reverse_fn.backbone."
_CONDITION = "_base_models.condition_embedder."

# What each file holds, by prefix. Nothing else may be in it.
_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "ss_generator": (FLOW_PREFIX, _CONDITION),
    "ss_decoder": ("",),
    "slat_generator": (FLOW_PREFIX, _CONDITION),
    "slat_decoder_gs": ("",),
    "slat_decoder_gs_4": ("",),
    "slat_decoder_mesh": ("",),
}
# A copy of the structure decoder, which has a file of its own.
_IGNORED: Mapping[str, str] = {"ss_generator": "_base_models.decoder."}


class CheckpointFolder:
    """The files of one folder; each method reads one network, mapped from disk, on the CPU."""

    def __init__(self, folder: Path) -> None:
        """Find the files.

        Args:
            folder: with `pipeline.yaml`, or one in which `checkpoints/` has it.

        Raises:
            WeightsError: there is no such folder, or it holds none of the files.
        """
        self.folder = _root(folder)
        self._pipeline = slat_config.read_settings(self.folder / "pipeline.yaml")

    def settings(self) -> PipelineSettings:
        return config.pipeline_settings(self._pipeline)

    def structure_condition(self) -> ConditionEmbedder:
        return self._condition("ss_generator", prenorm=False)

    def latent_condition(self) -> ConditionEmbedder:
        return self._condition("slat_generator", prenorm=True)

    def structure_flow(self) -> StructureFlow:
        file = self._read("ss_generator", FLOW_PREFIX)
        return file.load(config.structure_flow_params, StructureFlow)

    def structure_decoder(self) -> StructureDecoder:
        file = self._read("ss_decoder")
        return file.load(slat_config.structure_decoder_params, StructureDecoder)

    def latent_flow(self) -> LatentFlow:
        return self._read("slat_generator", FLOW_PREFIX).load(config.latent_flow_params, LatentFlow)

    def gaussian_decoder(self, splats_per_voxel: Literal[4, 32] = 32) -> GaussianDecoder:
        stem = "slat_decoder_gs" if splats_per_voxel == 32 else "slat_decoder_gs_4"
        return self._read(stem).load(slat_config.gaussian_decoder_params, GaussianDecoder)

    def mesh_decoder(self) -> MeshDecoder:
        file = self._read("slat_decoder_mesh")
        return file.load(slat_config.mesh_decoder_params, MeshDecoder)

    def weight_file(self, stem: str) -> Path:
        """Return the path where a network's weights are, or should be."""
        converted = self.folder / f"{stem}.safetensors"
        return converted if converted.is_file() else self._named(stem, "ckpt", ".ckpt")

    def settings_file(self, stem: str) -> Path:
        """Return the path of a network's settings, if there are any."""
        return self._named(stem, "config", ".yaml")

    def tensors(self, stem: str) -> dict[str, Tensor]:
        """All tensors of a file that belong to a network, by their full names.

        Raises:
            WeightsError: the file is missing or damaged, or holds anything unknown.
        """
        path = self.weight_file(stem)
        tensors = read_state_dict(path, member="state_dict")
        ignored = _IGNORED.get(stem)
        own_tensors = {k: v for k, v in tensors.items() if not (ignored and k.startswith(ignored))}
        unknown = [k for k in own_tensors if not k.startswith(_PREFIXES[stem])]
        if unknown:
            raise WeightsError(
                f"{path} holds {len(unknown)} tensors that belong to no network, such as "
                f"{unknown[0]!r}. "
                f"Expected names that begin with {' or '.join(_PREFIXES[stem])}. Check that it is "
                f"the file that its name says."
            )
        return own_tensors

    def _named(self, stem: str, kind: str, suffix: str) -> Path:
        name = self._pipeline.values.get(f"{stem}_{kind}_path", f"{stem}{suffix}")
        return self.folder / str(name)

    def _read(self, stem: str, prefix: str = "") -> NetworkFile:
        tensors = under_prefix(self.tensors(stem), prefix)
        if not tensors:
            raise WeightsError(
                f"{self.weight_file(stem)} holds no tensor under {prefix!r}. "
                f"Check that it is the file that its name says, or fetch it again."
            )
        settings = slat_config.read_settings(self.settings_file(stem))
        return NetworkFile(tensors, settings, self.weight_file(stem))

    def _condition(self, stem: str, *, prenorm: bool) -> ConditionEmbedder:
        sizes = partial(config.condition_params, prenorm=prenorm)
        return self._read(stem, _CONDITION).load(sizes, ConditionEmbedder)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sam3dModels(SlatModels):
    """Everything one reconstruction needs.

    Attributes:
        structure_condition, structure_flow: the first stage, which ends in `structure_decoder`.
        latent_condition: the second stage's, whose flow is `latent_flow`.
    """

    structure_condition: ConditionEmbedder
    structure_flow: StructureFlow
    latent_condition: ConditionEmbedder

    @property
    def image_size(self) -> int:
        """Side of the pictures that the condition embedders see."""
        dino = self.structure_condition.params.dino
        return dino.side * dino.patch

    @property
    def structure_side(self) -> int:
        return self.structure_flow.params.resolution


def load_models(folder: Path, *, splats_per_voxel: Literal[4, 32] = 32) -> Sam3dModels:
    """Load all networks of a checkpoint folder on the CPU, in the types of the files.

    The four copies of DINOv2 that the published files hold share memory where they are equal.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    files = CheckpointFolder(folder)
    structure_condition, latent_condition = files.structure_condition(), files.latent_condition()
    first, *others = (
        embedder.backbone
        for condition in (structure_condition, latent_condition)
        for embedder in condition.dino_embedders
    )
    for other in others:
        _share_equal(first, other)
    return Sam3dModels(
        settings=files.settings(),
        structure_condition=structure_condition,
        structure_flow=files.structure_flow(),
        structure_decoder=files.structure_decoder(),
        latent_condition=latent_condition,
        latent_flow=files.latent_flow(),
        gaussian_decoder=files.gaussian_decoder(splats_per_voxel),
        mesh_decoder=files.mesh_decoder(),
    )


def _root(folder: Path) -> Path:
    for root in (folder, folder / "checkpoints"):
        if any((root / f"ss_generator{suffix}").is_file() for suffix in (".safetensors", ".ckpt")):
            return root
    raise WeightsError(
        f"No SAM 3D Objects checkpoints in {folder}: it should hold pipeline.yaml, "
        f"ss_generator.ckpt and others. They are gated at "
        f"https://huggingface.co/facebook/sam-3d-objects; once your request is granted, "
        f"`scenelift models download` fetches them."
    )


def _share_equal(reference: nn.Module, other: nn.Module) -> None:
    """Let a module's parameters be the reference's where their values are equal."""
    twins = dict(reference.named_parameters())
    for name, parameter in other.named_parameters():
        twin = twins.get(name)
        if twin is not None and twin.dtype == parameter.dtype and torch.equal(twin, parameter):
            parameter.data = twin.data
