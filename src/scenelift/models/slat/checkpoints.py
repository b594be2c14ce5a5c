"""Loads networks from files, strictly; and the networks that models have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from scenelift.errors import WeightsError
from scenelift.models.slat.config import (
    PipelineSettings,
    Section,
    read_settings,
    structure_decoder_params,
)
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import LatentFlow
from scenelift.models.slat.mesh_decoder import MeshDecoder
from scenelift.models.slat.sampling import SamplingSettings
from scenelift.models.slat.structure_decoder import StructureDecoder
from scenelift.weights.state_dicts import StateDict, load_module, read_state_dict

__all__ = ["NetworkFile", "PipelineFolder", "SlatModels", "StructureModels"]

M = TypeVar("M", bound=nn.Module)
P = TypeVar("P")


@dataclass(frozen=True, slots=True, eq=False)
class NetworkFile:
    """The tensors and settings of one network, as its files have them.

    Attributes:
        tensors: its state dict, mapped from disk.
        settings: its arguments, where its model has them in a file.
        path: where the tensors are, for messages.
    """

    tensors: StateDict
    settings: Section
    path: Path

    def load(self, sizes: Callable[[StateDict, Section], P], build: Callable[[P], M]) -> M:
        """Build the network around its tensors, on the CPU.

        Args:
            sizes: reads its sizes from the tensors, and checks the settings against them.
            build: makes the network of those sizes.

        Raises:
            WeightsError: the tensors and settings are not those of one such network.
        """
        try:
            params = sizes(self.tensors, self.settings)
        except (KeyError, IndexError, ValueError) as exc:
            raise WeightsError(
                f"The weights that belong to {self.settings.source} lack {exc}, or it has another "
                f"shape. Check that the file is the one its name says, or fetch it again."
            ) from exc
        return load_module(lambda: build(params), self.tensors, source=str(self.path))


class PipelineFolder:
    """A folder whose `pipeline.json` names networks: for each a `.json` and a `.safetensors`.

    Args:
        folder: with `pipeline.json`.
        roles: what it calls the networks, and what their publishers call their files.
    """

    def __init__(self, folder: Path, roles: Mapping[str, str]) -> None:
        self.folder = folder
        self._pipeline = read_settings(folder / "pipeline.json")
        self._names = {**roles, **self._pipeline.at("args.models").values}

    def structure_decoder(self) -> StructureDecoder:
        file = self._read("sparse_structure_decoder")
        return file.load(structure_decoder_params, StructureDecoder)

    def _read(self, role: str) -> NetworkFile:
        path = self._path(role, ".safetensors")
        return NetworkFile(read_state_dict(path), self._settings(role), path)

    def _settings(self, role: str) -> Section:
        return read_settings(self._path(role, ".json")).at("args")

    def _path(self, role: str, suffix: str) -> Path:
        name = str(self._names[role])
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise WeightsError(
                f"{self.folder / 'pipeline.json'} names {name!r} for {role}, which is no file of "
                f"its folder. Fetch it again."
            )
        return self.folder / f"{name}{suffix}"


@dataclass(frozen=True, kw_only=True, eq=False)
class StructureModels(ABC):
    """The networks of the first stage, on the host, which all models have.

    Attributes:
        settings: of the whole.
        structure_flow: from noise to the structure's latent cube, each model's own.
        structure_decoder: from the structure's latent cube to occupied voxels.
    """

    settings: SamplingSettings
    structure_flow: nn.Module
    structure_decoder: StructureDecoder

    @property
    @abstractmethod
    def accelerable(self) -> tuple[nn.Module, ...]:
        """The networks that devices have faster ways for: flows, and decoders on voxels."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side of the pictures that the model looks at, in pixels."""

    @property
    @abstractmethod
    def structure_side(self) -> int:
        """Cells along a side of the structure's latent cube."""

    @property
    def resolution(self) -> int:
        """Voxels along a side of the object's cube, as the structure's decoder makes them."""
        return self.structure_side * 2 ** (len(self.structure_decoder.params.channels) - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class SlatModels(StructureModels):
    """The networks that SAM 3D Objects and TRELLIS have, on the host.

    Attributes:
        latent_flow: from noise on the structure's voxels to structured latents.
        gaussian_decoder, mesh_decoder: from structured latents to splats and to a mesh.
    """

    settings: PipelineSettings
    latent_flow: LatentFlow
    gaussian_decoder: GaussianDecoder
    mesh_decoder: MeshDecoder

    @property
    def accelerable(self) -> tuple[nn.Module, ...]:
        return self.structure_flow, self.latent_flow, self.mesh_decoder
