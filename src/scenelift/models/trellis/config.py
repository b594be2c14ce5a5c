"""Reads what the weights do not contain from `pipeline.json` and the networks' JSON files.

See `scenelift.models.slat.config` for how settings and tensors are reconciled.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from scenelift.models.layers.dino import DinoParams
from scenelift.models.slat.config import PipelineSettings, Section, expect_block
from scenelift.models.slat.sampling import SamplingParams
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.weights.state_dicts import under_prefix

__all__ = ["PUBLISHED", "image_embedder_params", "pipeline_settings", "structure_flow_params"]

_SAMPLING = SamplingParams(guidance=5.0, toward_noise=True)

PUBLISHED = PipelineSettings(
    structure_sampling=_SAMPLING,
    latent_sampling=_SAMPLING,
    latent_mean=(
        *(-2.1687545776367188, -0.004347046371549368, -0.13352349400520325),
        *(-0.08418072760105133, -0.5271206498146057, 0.7238689064979553),
        *(-1.1414450407028198, 1.2039363384246826),
    ),
    latent_std=(
        *(2.377650737762451, 2.386378288269043, 2.124418020248413),
        *(2.1748552322387695, 2.663944721221924, 2.371192216873169),
        *(2.6217446327209473, 2.684523105621338),
    ),
    prune_interior=False,
    most_voxels=None,
)
"""What the published `pipeline.json` says."""


def pipeline_settings(pipeline: Section) -> PipelineSettings:
    """Settings that a `pipeline.json` asks for."""
    arguments = pipeline.at("args")
    arguments.expect(image_cond_model="dinov2_vitl14_reg")
    statistics = arguments.at("slat_normalization")
    return PipelineSettings(
        structure_sampling=_sampling(arguments.at("sparse_structure_sampler.params")),
        latent_sampling=_sampling(arguments.at("slat_sampler.params")),
        latent_mean=statistics.numbers("mean", PUBLISHED.latent_mean),
        latent_std=statistics.numbers("std", PUBLISHED.latent_std),
        prune_interior=PUBLISHED.prune_interior,
        most_voxels=PUBLISHED.most_voxels,
    )


def _sampling(params: Section) -> SamplingParams:
    # Their times are 1 at the noise, ours 0.
    first, last = params.numbers("cfg_interval", (0.5, 1.0))
    return SamplingParams(
        steps=params.integer("steps", _SAMPLING.steps),
        rescale=params.number("rescale_t", _SAMPLING.rescale),
        guidance=params.number("cfg_strength", _SAMPLING.guidance),
        guided=(1 - last, 1 - first),
        toward_noise=True,
    )


def structure_flow_params(tensors: Mapping[str, Tensor], network: Section) -> StructureFlowParams:
    """Sizes of the first stage's flow; `network` has its constructor's arguments."""
    params = StructureFlowParams.from_state_dict(tensors)
    expect_block(network, params.block, params.blocks)
    network.expect(
        in_channels=params.shape_channels,
        out_channels=params.shape_channels,
        resolution=params.resolution,
        patch_size=1,
    )
    return params


def image_embedder_params(tensors: Mapping[str, Tensor], network: Section) -> DinoParams:
    """Sizes of DINOv2, whose tensors are under `backbone.`; nothing else says anything of it."""
    return DinoParams.from_state_dict(under_prefix(tensors, "backbone."))
