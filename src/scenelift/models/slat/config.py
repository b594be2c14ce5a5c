"""Reads what the weights do not contain from settings files: the part that both models share.

Sizes are read from the tensors, which cannot be wrong about them. Settings files are data: class
names in them are ignored, what leaves no trace in the tensors is taken from them, and what
contradicts the tensors, or asks for a variant that this code does not have, is refused. Without
such files the published values are meant. The argument names are those of TRELLIS's files, which
SAM 3D Objects has kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from scenelift.errors import WeightsError
from scenelift.models.layers.blocks import BlockParams
from scenelift.models.slat.gaussian_decoder import GaussianDecoderParams, GaussianHeadParams
from scenelift.models.slat.latent_flow import LatentFlowParams
from scenelift.models.slat.mesh_decoder import MeshDecoderParams
from scenelift.models.slat.sampling import SamplingParams
from scenelift.models.slat.structure_decoder import StructureVAEParams

__all__ = [
    "PipelineSettings",
    "Section",
    "expect_block",
    "gaussian_decoder_params",
    "latent_flow_params",
    "mesh_decoder_params",
    "read_settings",
    "structure_decoder_params",
]


MOST = 1e30


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a settings file, or an empty one: then every value is its default.

    Attributes:
        values: what the part holds.
        source: file and place, for messages.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def at(self, path: str) -> Section:
        """Return the section below, by keys with dots between."""
        section = self
        for key in path.split("."):
            values = section.values.get(key) or {}
            if not isinstance(values, Mapping):
                raise WeightsError(f"{section.source}: {key} should be a table of settings.")
            section = Section(values, f"{section.source} {key}".strip())
        return section

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WeightsError(f"{self.source}: {key} should be a number, it is {value!r}.")
        # Compared as it is: a whole number may be larger than any float.
        if not -MOST <= value <= MOST:
            raise WeightsError(f"{self.source}: {key} is {str(value)[:40]}, beyond any setting.")
        return float(value)

    def integer(self, key: str, default: int) -> int:
        value = self.number(key, default)
        if value != int(value):
            raise WeightsError(f"{self.source}: {key} should be a whole number, it is {value!r}.")
        return int(value)

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """A list of as many numbers as the default has."""
        values = self.values.get(key, default)
        if not isinstance(values, list | tuple) or len(values) != len(default):
            raise WeightsError(f"{self.source}: {key} should be {len(default)} numbers.")
        numbered = Section(
            dict(zip(map(str, range(len(values))), values, strict=True)), self.source
        )
        return tuple(numbered.number(str(i), 0.0) for i in range(len(values)))

    def expect(self, **values: Any) -> None:
        """Refuse a section with other values for these keys; a key may be missing.

        Raises:
            WeightsError: a key has another value.
        """
        for key, expected in values.items():
            actual = self.values.get(key, expected)
            if isinstance(actual, list):
                actual = tuple(actual)
            if actual != expected:
                raise WeightsError(
                    f"{self.source}: {key} is {actual!r}, but the weights and this code are for "
                    f"{expected!r}. Check that the files of this folder belong together."
                )


def read_settings(path: Path) -> Section:
    """Content of a YAML or JSON file; an empty section where there is no file.

    Raises:
        WeightsError: the file is no table of settings.
    """
    if not path.is_file():
        return Section(source=path.name)
    try:
        text = path.read_text(encoding="utf-8")
        # JSON has numbers, such as 9e-4, that YAML takes for words.
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as exc:
        raise WeightsError(f"{path} is no readable {path.suffix[1:].upper()} file: {exc}") from exc
    if not isinstance(values, Mapping):
        raise WeightsError(f"{path} should hold a table of settings.")
    return Section(values, path.name)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Settings of the whole model.

    Attributes:
        structure_sampling: how the first stage's flow is followed.
        latent_sampling: how the second stage's is.
        latent_mean: of each channel of a structured latent,
        latent_std: and its standard deviation: the flow's result is normalised by these.
        prune_interior: whether voxels that cannot be seen are left out.
        most_voxels: how many may go on to the second stage; None for all.
    """

    structure_sampling: SamplingParams
    latent_sampling: SamplingParams
    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]
    prune_interior: bool
    most_voxels: int | None

    @property
    def texture_sampling(self) -> None:
        """Sampling of a third stage: None, because these models have none."""


def latent_flow_params(tensors: Mapping[str, Tensor], network: Section) -> LatentFlowParams:
    """Sizes of the second stage's flow; `network` has its constructor's arguments."""
    params = LatentFlowParams.from_state_dict(tensors)
    expect_block(network, params.block, params.blocks)
    network.expect(
        in_channels=params.latent_channels,
        out_channels=params.latent_channels,
        io_block_channels=(params.io_channels,),
        num_io_res_blocks=params.io_blocks,
        patch_size=2,
        use_skip_connection=True,
    )
    return params


def expect_block(network: Section, block: BlockParams, blocks: int) -> None:
    """Refuse a flow whose settings describe other blocks than those implemented here."""
    network.expect(
        model_channels=block.width,
        cond_channels=block.condition_width,
        num_heads=block.heads,
        mlp_ratio=block.mlp_ratio,
        num_blocks=blocks,
        qk_rms_norm=block.qk_rms_norm,
        pe_mode="ape",
        share_mod=False,
        qk_rms_norm_cross=False,
    )


def structure_decoder_params(
    tensors: Mapping[str, Tensor], settings: Section
) -> StructureVAEParams:
    """Sizes of the structure decoder; `settings` has its arguments."""
    params = StructureVAEParams.from_state_dict(tensors)
    settings.expect(
        channels=params.channels,
        latent_channels=params.latent_channels,
        num_res_blocks=params.blocks,
        num_res_blocks_middle=params.middle_blocks,
        out_channels=1,
        norm_type="layer",
    )
    return params


def gaussian_decoder_params(
    tensors: Mapping[str, Tensor], settings: Section
) -> GaussianDecoderParams:
    """Sizes of a Gaussian decoder; `settings` has its arguments."""
    published = GaussianHeadParams()
    head = settings.at("representation_config")
    rates = head.at("lr")
    rates.expect(_xyz=1, _features_dc=1, _opacity=1, _scaling=1)
    params = GaussianDecoderParams.from_state_dict(
        tensors,
        heads=settings.integer("num_heads", GaussianDecoderParams().torso.heads),
        window=settings.integer("window_size", GaussianDecoderParams().torso.window),
        head=GaussianHeadParams(
            voxel_size=head.number("voxel_size", published.voxel_size),
            rotation_gain=rates.number("_rotation", published.rotation_gain),
            scale_bias=head.number("scaling_bias", published.scale_bias),
            opacity_bias=head.number("opacity_bias", published.opacity_bias),
            kernel=head.number("3d_filter_kernel_size", published.kernel),
        ),
    )
    head.expect(num_gaussians=params.gaussians, perturb_offset=True, scaling_activation="softplus")
    _expect_torso(settings, params)
    return params


def mesh_decoder_params(tensors: Mapping[str, Tensor], settings: Section) -> MeshDecoderParams:
    """Sizes of the mesh decoder; `settings` has its arguments."""
    published = MeshDecoderParams().torso
    params = MeshDecoderParams.from_state_dict(
        tensors,
        heads=settings.integer("num_heads", published.heads),
        window=settings.integer("window_size", published.window),
    )
    settings.at("representation_config").expect(use_color=True)
    _expect_torso(settings, params)
    return params


def _expect_torso(settings: Section, params: GaussianDecoderParams | MeshDecoderParams) -> None:
    torso = params.torso
    settings.expect(
        model_channels=torso.width,
        latent_channels=torso.latent_channels,
        num_blocks=torso.blocks,
        mlp_ratio=torso.mlp_ratio,
        attn_mode="swin",
        pe_mode="ape",
        qk_rms_norm=False,
    )
