"""Reads what the weights do not contain from `pipeline.yaml` and the generators' YAML files.

See `scenelift.models.slat.config` for how settings and tensors are reconciled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from scenelift.errors import WeightsError
from scenelift.models.sam3d.condition import ConditionParams
from scenelift.models.slat import config as slat_config
from scenelift.models.slat.config import PipelineSettings, Section, expect_block
from scenelift.models.slat.latent_flow import LatentFlowParams
from scenelift.models.slat.sampling import SamplingParams
from scenelift.models.slat.structure_flow import StructureFlowParams

__all__ = [
    "PUBLISHED",
    "condition_params",
    "latent_flow_params",
    "pipeline_settings",
    "structure_flow_params",
]

PUBLISHED = PipelineSettings(
    structure_sampling=SamplingParams(),
    latent_sampling=SamplingParams(rescale=1.0, guidance=1.0),
    latent_mean=(
        *(0.12211431, 0.37204156, -1.26521907, -2.05276058),
        *(-3.10432536, -0.11294304, -0.85146744, 0.45506954),
    ),
    latent_std=(
        *(2.37326008, 2.13174402, 2.2413953, 2.30589401),
        *(2.1191894, 1.8969511, 2.41684989, 2.08374642),
    ),
    prune_interior=True,
    # The second stage saw no more in training.
    most_voxels=42_000,
)
"""What the published `pipeline.yaml` says."""


def pipeline_settings(pipeline: Section, *, time_scale: float = 1000.0) -> PipelineSettings:
    """Settings that a `pipeline.yaml` asks for."""
    pipeline.expect(pose_decoder_name="ScaleShiftInvariant")
    pruning = pipeline.integer("downsample_ss_dist", 1)
    if pruning not in (0, 1):
        raise WeightsError(
            f"{pipeline.source}: downsample_ss_dist should be 0 or 1, not {pruning}."
        )
    published = PUBLISHED
    return dataclasses.replace(
        published,
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
    params = StructureFlowParams.from_state_dict(
        tensors, stream="shape.", ends="latent_mapping.shape."
    )
    generator = settings.at("module.generator.backbone")
    network = generator.at("reverse_fn.backbone")
    expect_block(network, params.block, params.blocks)
    network.expect(
        force_zeros_cond=True,
        in_channels=params.shape_channels,
        out_channels=params.shape_channels,
        resolution=params.resolution,
        patch_size=1,
        is_shortcut_model=True,
    )
    return dataclasses.replace(params, time_scale=generator.number("time_scale", params.time_scale))


def latent_flow_params(tensors: Mapping[str, Tensor], settings: Section) -> LatentFlowParams:
    """Sizes of the second stage's flow; `settings` is the content of `slat_generator.yaml`."""
    generator = settings.at("module.generator.backbone")
    network = generator.at("reverse_fn.backbone")
    network.expect(force_zeros_cond=True)
    params = slat_config.latent_flow_params(tensors, network)
    return dataclasses.replace(params, time_scale=generator.number("time_scale", params.time_scale))


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
    """Read the arguments of the embedders, whose entries are pairs of arguments and inputs."""
    source = f"{fuser.source} embedder_list"
    entries = fuser.values.get("embedder_list") or []
    if not all(isinstance(e, list) and e and isinstance(e[0], Mapping) for e in entries):
        raise WeightsError(f"{source} should be pairs of settings and inputs.")
    return [Section(entry[0], source) for entry in entries]
