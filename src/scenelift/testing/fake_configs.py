"""Configuration of made-up checkpoints, with the published keys."""

from __future__ import annotations

from typing import Any

from scenelift.models.sam3d.condition import ConditionParams
from scenelift.models.slat.gaussian_decoder import GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlowParams
from scenelift.models.slat.latent_torso import TorsoParams
from scenelift.models.slat.structure_decoder import StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams

__all__ = [
    "Config",
    "gaussian_decoder_config",
    "latent_generator_config",
    "latent_transformer_config",
    "mesh_decoder_config",
    "pipeline_config",
    "structure_decoder_config",
    "structure_generator_config",
    "structure_transformer_config",
]

Config = dict[str, Any]

_NETWORKS = (
    *("ss_generator", "slat_generator", "ss_decoder"),
    *("slat_decoder_gs", "slat_decoder_gs_4", "slat_decoder_mesh"),
)

# Statistics of the structured latents, from the published pipeline file.
_LATENT_MEAN = (
    *(0.12211431, 0.37204156, -1.26521907, -2.05276058),
    *(-3.10432536, -0.11294304, -0.85146744, 0.45506954),
)
_LATENT_STD = (
    *(2.37326008, 2.13174402, 2.2413953, 2.30589401),
    *(2.1191894, 1.8969511, 2.41684989, 2.08374642),
)


def pipeline_config(picture_size: int) -> Config:
    """Build the file that names the others; pictures are resized to `picture_size` pixels."""
    files: Config = {}
    for name in _NETWORKS:
        files[f"{name}_config_path"] = f"{name}.yaml"
        files[f"{name}_ckpt_path"] = f"{name}.ckpt"
    crop = {"box_size_factor": 1.2, "padding_factor": 0.0}
    image: Config = {"transforms": [{}, {"size": picture_size}]}
    nearest: Config = {"transforms": [{}, {"size": picture_size, "interpolation": 0}]}
    return files | {
        "dtype": "float16",
        "version": "made-up",
        "slat_cfg_strength": 1,
        "slat_rescale_t": 1,
        "downsample_ss_dist": 1,
        "pose_decoder_name": "ScaleShiftInvariant",
        "ss_preprocessor": {
            "img_mask_pointmap_joint_transform": [{}, crop],
            "img_transform": image,
            "mask_transform": nearest,
            "pointmap_transform": nearest,
            "normalize_pointmap": True,
        },
        "slat_preprocessor": {
            "img_mask_joint_transform": [crop],
            "img_transform": image,
            "mask_transform": nearest,
        },
        "slat_mean": list(_LATENT_MEAN),
        "slat_std": list(_LATENT_STD),
    }


def structure_generator_config(flow: StructureFlowParams, condition: ConditionParams) -> Config:
    width = flow.block.width
    channels = {"6drotation_normalized": 6, "scale": 3, "translation": 3, "translation_scale": 1}
    mapping: Config = {
        name: {
            "in_channels": count,
            "model_channels": width,
            "pos_embedder": {"model_channels": width, "token_len": 1},
        }
        for name, count in channels.items()
    }
    mapping["shape"] = {
        "in_channels": flow.shape_channels,
        "model_channels": width,
        "pos_embedder": {"model_channels": width, "patch_size": 1, "resolution": flow.resolution},
    }
    transformer = structure_transformer_config(flow) | {
        "force_zeros_cond": True,
        "use_fp16": False,
        "is_shortcut_model": True,
        "latent_mapping": mapping,
        "latent_share_transformer": {
            "6drotation_normalized": [
                *("6drotation_normalized", "translation", "scale", "translation_scale")
            ]
        },
    }
    return _generator(
        {"inference_steps": 2, "rescale_t": 1},
        {"strength": 2.0, "interval": [0, 500], "p_unconditional": 0.1},
        transformer,
        condition,
    )


def latent_generator_config(
    flow: LatentFlowParams, condition: ConditionParams, resolution: int
) -> Config:
    transformer = latent_transformer_config(flow, resolution) | {"force_zeros_cond": True}
    guidance = {"strength": 0.0, "p_unconditional": 0.0}
    return _generator({"inference_steps": 12}, guidance, transformer, condition)


def structure_decoder_config(params: StructureVAEParams) -> Config:
    return {
        "channels": list(params.channels),
        "latent_channels": params.latent_channels,
        "out_channels": 1,
        "num_res_blocks": params.blocks,
        "num_res_blocks_middle": params.middle_blocks,
        "reshape_input_to_cube": False,
    }


def gaussian_decoder_config(params: GaussianDecoderParams, resolution: int) -> Config:
    head = params.head
    return _torso(params.torso, resolution) | {
        "representation_config": {
            "num_gaussians": params.gaussians,
            "voxel_size": head.voxel_size,
            "perturb_offset": True,
            "lr": {
                "_xyz": 1.0,
                "_features_dc": 1.0,
                "_opacity": 1.0,
                "_scaling": 1.0,
                "_rotation": head.rotation_gain,
            },
            "2d_filter_kernel_size": 0.1,
            "3d_filter_kernel_size": head.kernel,
            "scaling_bias": head.scale_bias,
            "opacity_bias": head.opacity_bias,
            "scaling_activation": "softplus",
        }
    }


def mesh_decoder_config(torso: TorsoParams, resolution: int) -> Config:
    return _torso(torso, resolution) | {"representation_config": {"use_color": True}}


def _torso(params: TorsoParams, resolution: int) -> Config:
    return {
        "resolution": resolution,
        "model_channels": params.width,
        "latent_channels": params.latent_channels,
        "num_blocks": params.blocks,
        "num_heads": params.heads,
        "mlp_ratio": params.mlp_ratio,
        "attn_mode": "swin",
        "window_size": params.window,
        "use_fp16": True,
    }


def _transformer(
    flow: StructureFlowParams | LatentFlowParams, channels: int, resolution: int
) -> Config:
    block = flow.block
    return {
        "resolution": resolution,
        "in_channels": channels,
        "out_channels": channels,
        "model_channels": block.width,
        "cond_channels": block.condition_width,
        "num_blocks": flow.blocks,
        "num_heads": block.heads,
        "mlp_ratio": block.mlp_ratio,
        "pe_mode": "ape",
        "qk_rms_norm": block.qk_rms_norm,
        "use_fp16": True,
    }


def structure_transformer_config(flow: StructureFlowParams) -> Config:
    """Build the arguments of the first stage's transformer, in both models."""
    return _transformer(flow, flow.shape_channels, flow.resolution) | {"patch_size": 1}


def latent_transformer_config(flow: LatentFlowParams, resolution: int) -> Config:
    """Build the arguments of the second stage's transformer, in both models."""
    return _transformer(flow, flow.latent_channels, resolution) | {
        "patch_size": 2,
        "num_io_res_blocks": flow.io_blocks,
        "io_block_channels": [flow.io_channels],
    }


def _generator(
    flow: Config, guidance: Config, transformer: Config, condition: ConditionParams
) -> Config:
    return {
        "module": {
            "generator": {
                "backbone": {"sigma_min": 0.0, "time_scale": 1000.0}
                | flow
                | {
                    "reverse_fn": {"unconditional_handling": "add_flag"}
                    | guidance
                    | {"backbone": transformer}
                }
            },
            "condition_embedder": {"backbone": _condition(condition)},
        }
    }


def _condition(params: ConditionParams) -> Config:
    dino: Config = {
        "dino_model": "dinov2_vitl14_reg",
        "input_size": params.dino.side * params.dino.patch,
        "normalize_images": True,
    }
    if params.prenorm:
        dino["prenorm_features"] = True
    embedders: list[list[Any]] = [
        [dino, [["image", "cropped"], ["rgb_image", "full"]]],
        [dict(dino), [["mask", "cropped"], ["rgb_image_mask", "full"]]],
    ]
    if params.points is not None:
        points = {
            "embed_dim": params.points.width,
            "input_size": params.points.side * params.points.window,
            "patch_size": params.points.window,
            "remap_output": "linear",
        }
        embedders.append([points, [["pointmap", "cropped"], ["rgb_pointmap", "full"]]])
    return {
        "embedder_list": embedders,
        "projection_net_hidden_dim_multiplier": 4.0,
        "use_pos_embedding": "learned",
    }
