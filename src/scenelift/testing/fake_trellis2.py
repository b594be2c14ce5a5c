"""Write TRELLIS.2 and DINOv3 in their published layout, with made-up weights.

    python -m scenelift.testing.fake_trellis2 DIR --size tiny|full [--seed N] [--pixal3d]

makes `DIR/pbr/trellis2`, `DIR/pbr/trellis-structure` and `DIR/pbr/dinov3-large`, which
`--weights DIR` takes; with `--pixal3d` also `DIR/pbr/pixal3d` and `DIR/pbr/naf`. `tiny` is a few
megabytes and runs on a laptop in seconds; `full` has the published sizes (16 GB) for measurements.

What the tiny model makes of a photo is a box: its structure decoder sees the border of its grid,
its shape decoder the border of the structure (`plant_shell`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.dinov3 import DinoV3, DinoV3Params
from scenelift.models.pixal3d.checkpoints import NAF_FILE
from scenelift.models.pixal3d.naf import NAF
from scenelift.models.slat.precision import to_half
from scenelift.models.slat.sampling import SamplingParams
from scenelift.models.slat.structure_decoder import StructureDecoder, StructureVAEParams
from scenelift.models.trellis2.checkpoints import (
    DINO_FILE,
    PUBLISHED_STRUCTURE_DECODER,
    ROLES,
)
from scenelift.models.trellis2.config import PUBLISHED, Statistics
from scenelift.models.trellis2.decoder import VoxelDecoder, VoxelDecoderParams
from scenelift.models.trellis2.flow import VoxelFlow, VoxelFlowParams
from scenelift.testing.fake_checkpoints import draw
from scenelift.testing.fake_commands import command_of, show_sizes
from scenelift.testing.fake_configs import structure_decoder_config
from scenelift.testing.fake_trellis import write_json

__all__ = ["FULL2", "TINY2", "Sizes2", "plant_border", "plant_shell", "write_trellis2"]


@dataclass(frozen=True, kw_only=True)
class Sizes2:
    """Sizes of all networks; the defaults are the published ones."""

    flow: VoxelFlowParams = field(default_factory=VoxelFlowParams)
    side: int = 16
    structure_decoder: StructureVAEParams = field(default_factory=StructureVAEParams)
    decoder: VoxelDecoderParams = field(default_factory=VoxelDecoderParams)
    dino: DinoV3Params = field(default_factory=DinoV3Params)
    naf_width: int = 128


FULL2 = Sizes2()
TINY2 = Sizes2(
    flow=VoxelFlowParams(
        block=BlockParams(
            width=48,
            heads=3,
            condition_width=32,
            mlp_ratio=2.0,
            qk_rms_norm_cross=True,
            shared_modulation=True,
        ),
        blocks=2,
    ),
    side=4,
    structure_decoder=StructureVAEParams(channels=(16, 8, 8), blocks=1, middle_blocks=1),
    decoder=VoxelDecoderParams(channels=(32, 16), blocks=(1, 0)),
    dino=DinoV3Params(width=32, blocks=1, heads=2, hidden=64, patch=16),
    naf_width=16,
)


def write_trellis2(
    folder: Path, sizes: Sizes2, *, seed: int = 0, pixal3d: bool = False
) -> Iterator[Path]:
    """Write the folders, one network in memory at a time.

    Args:
        folder: of all weights; made where it does not exist.
        sizes: of the networks.
        seed: of the weights.
        pixal3d: write Pixal3D as well.

    Yields:
        The path of each file, once it is written.
    """
    home = folder / "pbr"
    yield from _write_model(home / "trellis2", sizes, seed, _published_flow(sizes))
    if pixal3d:
        width = sizes.dino.width
        pixel = {"structure": width, "latent": 2 * width}
        yield from _write_model(home / "pixal3d", sizes, seed, _pixel_flow(sizes, pixel))
        naf = draw("naf", lambda: NAF(sizes.naf_width), seed=seed)
        path = home / "naf" / NAF_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(naf, path)
        yield path
    decoder = home / "trellis-structure" / "/".join(PUBLISHED_STRUCTURE_DECODER.split("/")[2:])
    yield from _write_network(
        decoder,
        lambda: StructureDecoder(sizes.structure_decoder),
        structure_decoder_config(sizes.structure_decoder),
        seed=seed,
        plant=plant_border,
        store=to_half,
    )
    dino = draw("dinov3", lambda: DinoV3(sizes.dino), seed=seed)
    path = home / "dinov3-large" / DINO_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dino, path)
    yield path
    d = sizes.dino
    yield write_json(
        path.with_name("config.json"),
        {
            "hidden_size": d.width,
            "num_hidden_layers": d.blocks,
            "num_attention_heads": d.heads,
            "intermediate_size": d.hidden,
            "patch_size": d.patch,
            "num_register_tokens": d.registers,
            "rope_theta": 100.0,
            "key_bias": False,
            "use_gated_mlp": False,
        },
    )


Flow = Callable[[int, int, str], VoxelFlowParams]
"""Channels in and out, and "structure" or "latent" -> sizes of a flow."""


def _published_flow(sizes: Sizes2) -> Flow:
    return lambda i, o, _stage: replace(sizes.flow, in_channels=i, out_channels=o)


def _pixel_flow(sizes: Sizes2, widths: dict[str, int]) -> Flow:
    def params(i: int, o: int, stage: str) -> VoxelFlowParams:
        block = replace(sizes.flow.block, pixel_width=widths[stage])
        return replace(sizes.flow, block=block, in_channels=i, out_channels=o)

    return params


def _write_model(folder: Path, sizes: Sizes2, seed: int, flow: Flow) -> Iterator[Path]:
    yield write_json(folder / "pipeline.json", _pipeline())
    latent = sizes.decoder.latent_channels
    channels = {
        "sparse_structure_flow_model": (8, 8, "structure"),
        "shape_slat_flow_model_512": (latent, latent, "latent"),
        "shape_slat_flow_model_1024": (latent, latent, "latent"),
        "tex_slat_flow_model_512": (2 * latent, latent, "latent"),
        "tex_slat_flow_model_1024": (2 * latent, latent, "latent"),
    }
    for role, (i, o, stage) in channels.items():
        params = flow(i, o, stage)
        yield from _write_network(
            folder / ROLES[role],
            lambda params=params: VoxelFlow(params),
            _flow_config(params, sizes.side),
            seed=seed,
            store=lambda tensors: {name: t.bfloat16() for name, t in tensors.items()},
        )
    shape = sizes.decoder
    texture = replace(shape, out_channels=6, decides=False)
    for role, params, plant in (
        ("shape_slat_decoder", shape, plant_shell),
        ("tex_slat_decoder", texture, None),
    ):
        yield from _write_network(
            folder / ROLES[role],
            lambda params=params: VoxelDecoder(params),
            _decoder_config(params),
            seed=seed,
            plant=plant if shape.finer == 2 else None,
            store=lambda tensors: {n: t.half() for n, t in tensors.items()},
        )


def _write_network(
    path: Path,
    build: Callable[[], nn.Module],
    arguments: dict[str, Any],
    *,
    seed: int,
    plant: Callable[[dict[str, Tensor]], None] | None = None,
    store: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = path.with_name(f"{path.name}.json")
    yield write_json(settings, {"name": "made-up", "args": arguments})
    tensors = draw(path.name, build, seed=seed)
    if plant is not None:
        plant(tensors)
    weights = path.with_name(f"{path.name}.safetensors")
    save_file(store(tensors), weights)
    yield weights


def plant_border(decoder: dict[str, Tensor]) -> None:
    """Make the structure decoder's logits positive away from the border of the latent's grid.

    Its first layer writes a constant, whose sum over a cell's neighbours is smaller at the border.
    """
    names = sorted(n for n in decoder if n.endswith(".conv.weight"))  # of the up-sampling layers
    decoder["input_layer.weight"][0] = 0
    decoder["input_layer.bias"][0] = 1.0
    first, *others = names
    decoder[first][:8] = 0
    decoder[first][:8, 0] = 10.0 / 27
    decoder[first.replace("weight", "bias")][:8] = -8.0
    for name in (*others, "out_layer.2.weight"):
        copies = 8 if name in others else 1  # a cell's eight children lie in eight rows
        decoder[name][:copies] = 0
        decoder[name][:copies, 0, 1, 1, 1] = 30.0 if name == "out_layer.2.weight" else 1.0
    decoder["out_layer.2.bias"].fill_(-25)


def plant_shell(decoder: dict[str, Tensor]) -> None:
    """Let a shape decoder of one split keep the outermost children of what it is given.

    A block writes into six channels whether a voxel has a neighbour on each side; a child lives
    where one on its own side is missing. All edges of the grid are crossed, so that a shell one
    voxel thick is a closed surface, with its vertices in the middle of the voxels.
    """
    width = len(decoder["from_latent.bias"])
    sides = [(a, s) for a in range(3) for s in (0, 2)]  # axis, place along it in the kernel
    constant = width - 1
    for row in (*range(6), constant):
        decoder["from_latent.weight"][row] = 0
        decoder["from_latent.bias"][row] = float(row == constant)
    conv, bias = decoder["blocks.0.0.conv.weight"], decoder["blocks.0.0.conv.bias"]
    conv.zero_()
    bias.zero_()
    for k, (axis, step) in enumerate(sides):
        cell = [1, 1, 1]
        cell[axis] = step
        conv[k, cell[0], cell[1], cell[2], constant] = 1
        conv[6 + k, cell[0], cell[1], cell[2], constant] = -1  # so that the mean is zero
    decoder["blocks.0.0.norm.weight"].fill_(1)
    decoder["blocks.0.0.norm.bias"].zero_()
    # Two units for each: their difference is 10 where there is a neighbour, however many there are.
    up, down = decoder["blocks.0.0.mlp.0.weight"], decoder["blocks.0.0.mlp.2.weight"]
    up.zero_()
    down.zero_()
    decoder["blocks.0.0.mlp.0.bias"].zero_()
    decoder["blocks.0.0.mlp.2.bias"].zero_()
    for k in range(6):
        up[2 * k, k] = up[2 * k + 1, k] = 20
        decoder["blocks.0.0.mlp.0.bias"][2 * k + 1] = -10
        down[k, 2 * k], down[k, 2 * k + 1] = 0.1, -0.1
    lives = decoder["blocks.0.1.to_subdiv.weight"]
    lives.zero_()
    decoder["blocks.0.1.to_subdiv.bias"].fill_(2.5)
    for child in range(8):
        for axis in range(3):
            lives[child, 2 * axis + (child >> axis & 1)] = -1
    out = decoder["output_layer.weight"]
    out.zero_()
    decoder["output_layer.bias"].zero_()
    decoder["output_layer.bias"][3:6] = 1


def _pipeline() -> dict[str, Any]:
    def sampler(params: SamplingParams) -> dict[str, Any]:
        start, end = params.guided
        return {
            "name": "made-up",
            "args": {"sigma_min": 1e-5},
            "params": {
                "steps": params.steps,
                "guidance_strength": params.guidance + 1,
                "guidance_rescale": params.contrast,
                "guidance_interval": [round(1 - end, 12), round(1 - start, 12)],
                "rescale_t": params.rescale,
            },
        }

    def numbers(of: Statistics) -> dict[str, Any]:
        return {"mean": list(of.mean), "std": list(of.std)}

    return {
        "name": "made-up",
        "args": {
            "models": ROLES,
            "sparse_structure_sampler": sampler(PUBLISHED.structure_sampling),
            "shape_slat_sampler": sampler(PUBLISHED.latent_sampling),
            "tex_slat_sampler": sampler(PUBLISHED.texture_sampling),
            "shape_slat_normalization": numbers(PUBLISHED.shape),
            "tex_slat_normalization": numbers(PUBLISHED.texture),
            "default_pipeline_type": "1024_cascade",
        },
    }


def _flow_config(params: VoxelFlowParams, side: int) -> dict[str, Any]:
    block = params.block
    config: dict[str, Any] = {
        "resolution": side,
        "in_channels": params.in_channels,
        "out_channels": params.out_channels,
        "model_channels": block.width,
        "cond_channels": block.condition_width,
        "num_blocks": params.blocks,
        "num_heads": block.heads,
        # A hidden width in four decimals, as published: rounded up, and cut off when it is used.
        "mlp_ratio": -int(-block.mlp_ratio * 10_000 // 1) / 10_000,
        "pe_mode": "rope",
        "share_mod": True,
        "initialization": "scaled",
        "qk_rms_norm": True,
        "qk_rms_norm_cross": True,
        "dtype": "bfloat16",
    }
    if block.pixel_width is not None:
        config["image_attn_mode"] = "proj"
        if block.pixel_width != block.condition_width:
            config["proj_in_channels"] = block.pixel_width
    return config


def _decoder_config(params: VoxelDecoderParams) -> dict[str, Any]:
    return {
        "model_channels": list(params.channels),
        "latent_channels": params.latent_channels,
        "num_blocks": list(params.blocks),
        "block_type": ["SparseConvNeXtBlock3d"] * len(params.channels),
        "use_fp16": True,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = command_of("fake_trellis2", __doc__)
    parser.add_argument("--pixal3d", action="store_true", help="write Pixal3D and NAF as well")
    options = parser.parse_args(arguments)
    sizes = {"tiny": TINY2, "full": FULL2}[options.size]
    return show_sizes(
        write_trellis2(options.folder, sizes, seed=options.seed, pixal3d=options.pixal3d)
    )


if __name__ == "__main__":
    sys.exit(main())
