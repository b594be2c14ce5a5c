"""Reads what the weights do not contain from `pipeline.json` and the networks' JSON files.

See `scenelift.models.slat.config` for how settings and tensors are reconciled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from scenelift.errors import WeightsError
from scenelift.models.slat.config import Section
from scenelift.models.slat.sampling import SamplingParams
from scenelift.models.trellis2.decoder import VoxelDecoderParams
from scenelift.models.trellis2.flow import VoxelFlowParams

__all__ = [
    "PUBLISHED",
    "STRUCTURE_SIDE",
    "Statistics",
    "Trellis2Settings",
    "decoder_params",
    "flow_params",
    "pipeline_settings",
]

# Cells along a side of the structure's latent cube, and of each channel of it.
STRUCTURE_SIDE = 16
STRUCTURE_CHANNELS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Mean and standard deviation of each channel of a latent."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def restored(self, x: Tensor) -> Tensor:  # [N, C]
        """Scale the latents that a flow ends with to those that decoders take."""
        return x * x.new_tensor(self.std) + x.new_tensor(self.mean)

    def normalised(self, x: Tensor) -> Tensor:  # [N, C]
        """The inverse of `restored`."""
        return (x - x.new_tensor(self.mean)) / x.new_tensor(self.std)


@dataclass(frozen=True, kw_only=True)
class Trellis2Settings:
    """Settings of the whole model.

    Attributes:
        structure_sampling, latent_sampling, texture_sampling: how the flows of the three stages
            are followed.
        shape, texture: statistics of the latents.
    """

    structure_sampling: SamplingParams
    latent_sampling: SamplingParams
    texture_sampling: SamplingParams
    shape: Statistics
    texture: Statistics


PUBLISHED = Trellis2Settings(
    structure_sampling=SamplingParams(
        steps=12,
        rescale=5.0,
        guidance=6.5,
        guided=(0.0, 0.4),
        contrast=0.7,
        spread_of_sample=True,
        toward_noise=True,
    ),
    latent_sampling=SamplingParams(
        steps=12,
        rescale=3.0,
        guidance=6.5,
        guided=(0.0, 0.4),
        contrast=0.5,
        toward_noise=True,
    ),
    texture_sampling=SamplingParams(
        steps=12, rescale=3.0, guidance=0.0, guided=(0.1, 0.4), toward_noise=True
    ),
    shape=Statistics(
        mean=(
            *(0.781296, 0.018091, -0.495192, -0.558457, 1.060530, 0.093252, 1.518149, -0.933218),
            *(-0.732996, 2.604095, -0.118341, -2.143904, 0.495076, -2.179512, -2.130751, -0.996944),
            *(0.261421, -2.217463, 1.260067, -0.150213, 3.790713, 1.481266, -1.046058, -1.523667),
            *(-0.059621, 2.220780, 1.621212, 0.877230, 0.567247, -3.175944, -3.186688, 1.578665),
        ),
        std=(
            *(5.972266, 4.706852, 5.445010, 5.209927, 5.320220, 4.547237, 5.020802, 5.444004),
            *(5.226681, 5.683095, 4.831436, 5.286469, 5.652043, 5.367606, 5.525084, 4.730578),
            *(4.805265, 5.124013, 5.530808, 5.619001, 5.103930, 5.417670, 5.269677, 5.547194),
            *(5.634698, 5.235274, 6.110351, 5.511298, 6.237273, 4.879207, 5.347008, 5.405691),
        ),
    ),
    texture=Statistics(
        mean=(
            *(3.501659, 2.212398, 2.226094, 0.251093, -0.026248, -0.687364, 0.439898, -0.928075),
            *(0.029398, -0.339596, -0.869527, 1.038479, -0.972385, 0.126042, -1.129303, 0.455149),
            *(-1.209521, 2.069067, 0.544735, 2.569128, -0.323407, 2.293000, -1.925608, -1.217717),
            *(1.213905, 0.971588, -0.023631, 0.106750, 2.021786, 0.250524, -0.662387, -0.768862),
        ),
        std=(
            *(2.665652, 2.743913, 2.765121, 2.595319, 3.037293, 2.291316, 2.144656, 2.911822),
            *(2.969419, 2.501689, 2.154811, 3.163343, 2.621215, 2.381943, 3.186697, 3.021588),
            *(2.295916, 3.234985, 3.233086, 2.260140, 2.874801, 2.810596, 3.292720, 2.674999),
            *(2.680878, 2.372054, 2.451546, 2.353556, 2.995195, 2.379849, 2.786195, 2.775190),
        ),
    ),
)
"""What the published `pipeline.json` says."""


def pipeline_settings(pipeline: Section) -> Trellis2Settings:
    """Settings that a `pipeline.json` asks for."""
    arguments = pipeline.at("args")
    return Trellis2Settings(
        structure_sampling=_sampling(
            arguments.at("sparse_structure_sampler"), PUBLISHED.structure_sampling
        ),
        latent_sampling=_sampling(arguments.at("shape_slat_sampler"), PUBLISHED.latent_sampling),
        texture_sampling=_sampling(arguments.at("tex_slat_sampler"), PUBLISHED.texture_sampling),
        shape=_statistics(arguments.at("shape_slat_normalization"), PUBLISHED.shape),
        texture=_statistics(arguments.at("tex_slat_normalization"), PUBLISHED.texture),
    )


def _sampling(sampler: Section, published: SamplingParams) -> SamplingParams:
    sampler.at("args").expect(sigma_min=1e-5)
    params = sampler.at("params")
    # Their times are 1 at the noise, ours 0; their strength is that of the condition's part.
    start, end = published.guided
    first, last = params.numbers("guidance_interval", (1 - end, 1 - start))
    return SamplingParams(
        steps=params.integer("steps", published.steps),
        rescale=params.number("rescale_t", published.rescale),
        guidance=params.number("guidance_strength", published.guidance + 1) - 1,
        guided=(1 - last, 1 - first),
        contrast=params.number("guidance_rescale", published.contrast),
        spread_of_sample=published.spread_of_sample,
        toward_noise=True,
    )


def _statistics(section: Section, published: Statistics) -> Statistics:
    return Statistics(
        mean=section.numbers("mean", published.mean), std=section.numbers("std", published.std)
    )


def flow_params(tensors: Mapping[str, Tensor], network: Section) -> VoxelFlowParams:
    """Sizes of a flow; `network` has its constructor's arguments."""
    params = VoxelFlowParams.from_state_dict(tensors)
    block = params.block
    network.expect(
        model_channels=block.width,
        cond_channels=block.condition_width,
        num_heads=block.heads,
        num_blocks=params.blocks,
        in_channels=params.in_channels,
        out_channels=params.out_channels,
        pe_mode="rope",
        share_mod=True,
        qk_rms_norm=True,
        qk_rms_norm_cross=block.qk_rms_norm_cross,
    )
    # Their hidden width is rounded down from a ratio with few decimals.
    hidden = round(block.width * block.mlp_ratio)
    ratio = network.number("mlp_ratio", block.mlp_ratio)
    if abs(int(block.width * ratio + 1e-6) - hidden) > 0:
        raise WeightsError(
            f"{network.source}: mlp_ratio is {ratio}, but the weights are for {hidden} channels. "
            f"Check that the files of this folder belong together."
        )
    pixels = block.pixel_width
    if pixels is None:
        network.expect(image_attn_mode="cross")
    else:
        network.expect(image_attn_mode="proj")
        network.expect(
            proj_in_channels=network.integer("proj_in_channels", block.condition_width)
            if pixels == block.condition_width
            else pixels
        )
    return params


def decoder_params(tensors: Mapping[str, Tensor], network: Section) -> VoxelDecoderParams:
    """Sizes of a decoder; `network` has its constructor's arguments."""
    params = VoxelDecoderParams.from_state_dict(tensors)
    network.expect(
        model_channels=params.channels,
        latent_channels=params.latent_channels,
        num_blocks=params.blocks,
        voxel_margin=0.5,
    )
    return params
