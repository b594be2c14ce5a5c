"""What a checkpoint folder's YAML files say that the weights do not.

Sizes are read from the tensors, which cannot be wrong about them. The YAML files are data: class
names in them are ignored, what leaves no trace in the tensors is taken from them, and what
contradicts the tensors, or asks for a variant that this code does not have, is refused. A folder
without YAML files means the published values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from scenelift.errors import WeightsError
from scenelift.layers.blocks import BlockParams
from scenelift.sam3d.condition import ConditionParams
from scenelift.sam3d.structure_flow import StructureFlowParams
from scenelift.slat.gaussian_decoder import GaussianDecoderParams, GaussianHeadParams
from scenelift.slat.latent_flow import LatentFlowParams
from scenelift.slat.mesh_decoder import MeshDecoderParams
from scenelift.slat.sampling import SamplingParams
from scenelift.slat.structure_decoder import StructureVAEParams

__all__ = [
    "PipelineSettings",
    "Section",
    "condition_params",
    "gaussian_decoder_params",
    "latent_flow_params",
    "mesh_decoder_params",
    "pipeline_settings",
    "read_yaml",
    "structure_decoder_params",
    "structure_flow_params",
]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a YAML file, or nothing: then every value is its default.

    Attributes:
        values: what the part holds.
        source: file and place, for messages.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def at(self, path: str) -> Section:
        """The part below, by keys with dots between."""
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
        """Refuse a section that says anything else about these keys; it may say nothing.

        Raises:
            WeightsError: a key has another value.
        """
        for key, wanted in values.items():
            found = self.values.get(key, wanted)
            if isinstance(found, list):
                found = tuple(found)
            if found != wanted:
                raise WeightsError(
                    f"{self.source}: {key} is {found!r}, but the weights and this code are for "
                    f"{wanted!r}. Check that the files of this folder belong together."
                )


def read_yaml(path: Path) -> Section:
    """Content of a YAML file; an empty section where there is no file.

    Raises:
        WeightsError: the file is no YAML table.
    """
    if not path.is_file():
        return Section(source=path.name)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise WeightsError(f"{path} is no readable YAML file: {exc}") from exc
    if not isinstance(values, Mapping):
        raise WeightsError(f"{path} should hold a table of settings.")
    return Section(values, path.name)


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Settings of the whole; the defaults are the published ones.

    Attributes:
        structure_sampling: how the first stage's flow is followed.
        latent_sampling: how the second stage's is.
        latent_mean: of each channel of a structured latent,
        latent_std: and its standard deviation: the flow's result is normalised by these.
        prune_interior: whether voxels that cannot be seen are left out.
    """

    structure_sampling: SamplingParams = field(default_factory=SamplingParams)
    latent_sampling: SamplingParams = field(
        default_factory=lambda: SamplingParams(rescale=1.0, guidance=1.0)
    )
    latent_mean: tuple[float, ...] = (
        0.12211431,
        0.37204156,
        -1.26521907,
        -2.05276058,
        -3.10432536,
        -0.11294304,
        -0.85146744,
        0.45506954,
    )
    latent_std: tuple[float, ...] = (
        2.37326008,
        2.13174402,
        2.2413953,
        2.30589401,
        2.1191894,
        1.8969511,
        2.41684989,
        2.08374642,
    )
    prune_interior: bool = True


def pipeline_settings(pipeline: Section, *, time_scale: float = 1000.0) -> PipelineSettings:
    """Settings that a `pipeline.yaml` asks for."""
    pipeline.expect(pose_decoder_name="ScaleShiftInvariant")
    pruning = pipeline.integer("downsample_ss_dist", 1)
    if pruning not in (0, 1):
        raise WeightsError(
            f"{pipeline.source}: downsample_ss_dist should be 0 or 1, not {pruning}."
        )
    published = PipelineSettings()
    return PipelineSettings(
        structure_sampling=_sampling(pipeline, "ss", published.structure_sampling, time_scale),
        latent_sampling=_sampling(pipeline, "slat", published.latent_sampling, time_scale),
        latent_mean=pipeline.numbers("slat_mean", published.latent_mean),
        latent_std=pipeline.numbers("slat_std", published.latent_std),
        prune_interior=pruning == 1,
    )


def _sampling(
    pipeline: Section, stage: str, published: SamplingParams, time_scale: float
) -> SamplingParams:
    start, end = pipeline.numbers(
        f"{stage}_cfg_interval", tuple(time_scale * t for t in published.guided)
    )
    return SamplingParams(
        steps=pipeline.integer(f"{stage}_inference_steps", published.steps),
        rescale=pipeline.number(f"{stage}_rescale_t", published.rescale),
        guidance=pipeline.number(f"{stage}_cfg_strength", published.guidance),
        guided=(start / time_scale, end / time_scale),
    )


def structure_flow_params(tensors: Mapping[str, Tensor], settings: Section) -> StructureFlowParams:
    """Sizes of the first stage's flow; `settings` is the content of `ss_generator.yaml`."""
    params = StructureFlowParams.from_state_dict(tensors)
    generator = settings.at("module.generator.backbone")
    network = generator.at("reverse_fn.backbone")
    _expect_block(network, params.block, params.blocks)
    network.expect(
        in_channels=params.shape_channels,
        out_channels=params.shape_channels,
        resolution=params.resolution,
        patch_size=1,
        is_shortcut_model=True,
    )
    return dataclasses.replace(params, time_scale=generator.number("time_scale", params.time_scale))


def latent_flow_params(tensors: Mapping[str, Tensor], settings: Section) -> LatentFlowParams:
    """Sizes of the second stage's flow; `settings` is the content of `slat_generator.yaml`."""
    params = LatentFlowParams.from_state_dict(tensors)
    generator = settings.at("module.generator.backbone")
    network = generator.at("reverse_fn.backbone")
    _expect_block(network, params.block, params.blocks)
    network.expect(
        in_channels=params.latent_channels,
        out_channels=params.latent_channels,
        io_block_channels=(params.io_channels,),
        num_io_res_blocks=params.io_blocks,
        patch_size=2,
        use_skip_connection=True,
    )
    return dataclasses.replace(params, time_scale=generator.number("time_scale", params.time_scale))


def _expect_block(network: Section, block: BlockParams, blocks: int) -> None:
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
        force_zeros_cond=True,
    )


def condition_params(
    tensors: Mapping[str, Tensor], settings: Section, *, prenorm: bool
) -> ConditionParams:
    """Sizes of a stage's condition embedder; `settings` is the content of the generator's YAML.

    Args:
        tensors: the embedder's.
        settings: where they say nothing of it,
        prenorm: says which tokens are taken from DINOv2.
    """
    fuser = settings.at("module.condition_embedder.backbone")
    fuser.expect(use_pos_embedding="learned", projection_net_hidden_dim_multiplier=4.0)
    arguments = _embedders(fuser)
    for section in arguments[:2]:
        prenorm = bool(section.values.get("prenorm_features", False))
        section.expect(normalize_images=True)
    params = ConditionParams.from_state_dict(tensors, prenorm=prenorm)
    for section in arguments[:2]:
        section.expect(input_size=params.dino.side * params.dino.patch)
    for section in arguments[2:]:
        if params.points is None:
            raise WeightsError(f"{section.source} names a third embedder; the weights have two.")
        section.expect(
            embed_dim=params.points.width,
            input_size=params.points.side * params.points.window,
            patch_size=params.points.window,
            remap_output="linear",
        )
    return params


def _embedders(fuser: Section) -> list[Section]:
    """Arguments of the embedders, whose entries are pairs of arguments and inputs."""
    source = f"{fuser.source} embedder_list"
    entries = fuser.values.get("embedder_list") or []
    if not all(isinstance(e, list) and e and isinstance(e[0], Mapping) for e in entries):
        raise WeightsError(f"{source} should be pairs of settings and inputs.")
    return [Section(entry[0], source) for entry in entries]


def structure_decoder_params(
    tensors: Mapping[str, Tensor], settings: Section
) -> StructureVAEParams:
    """Sizes of the structure decoder; `settings` is the content of `ss_decoder.yaml`."""
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
    """Sizes of a Gaussian decoder; `settings` is the content of `slat_decoder_gs.yaml`."""
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
    """Sizes of the mesh decoder; `settings` is the content of `slat_decoder_mesh.yaml`."""
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
