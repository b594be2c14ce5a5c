"""Write a checkpoint folder with the published layout and made-up weights.

    python -m scenelift.testing.fake_checkpoints DIR --size tiny|full [--seed N]

`tiny` is a few megabytes and runs on a laptop in seconds; `full` has the published sizes (14 GB)
for measurements. The files are read by the same loader as the published ones. What the models
make of a photo is a blob: see `fake_weights`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.dino import DinoParams
from scenelift.models.moge.network import MoGe, MoGeParams
from scenelift.models.sam3d.condition import ConditionEmbedder, ConditionParams
from scenelift.models.sam3d.pointpatch import PointPatchParams
from scenelift.models.sam3d.structure_flow import StructureFlow
from scenelift.models.slat.gaussian_decoder import GaussianDecoder, GaussianDecoderParams
from scenelift.models.slat.latent_flow import LatentFlow, LatentFlowParams
from scenelift.models.slat.latent_torso import TorsoParams
from scenelift.models.slat.mesh_decoder import MeshDecoder, MeshDecoderParams
from scenelift.models.slat.structure_decoder import StructureDecoder, StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams
from scenelift.testing import fake_configs as configs
from scenelift.testing.fake_commands import command_of, show_sizes
from scenelift.testing.fake_weights import (
    draw_weights,
    plant_decoder_path,
    plant_object,
    plant_outside,
    plant_plane,
)

__all__ = ["FULL", "MOGE_FILE", "TINY", "Sizes", "draw", "main", "write_checkpoints"]

MOGE_FILE = Path("moge") / "model.pt"

_GENERATOR = "_base_models.generator.reverse_fn.backbone."
_CONDITION = "_base_models.condition_embedder."
_DECODER_COPY = "_base_models.decoder."


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of all networks; the defaults are the published ones."""

    structure_flow: StructureFlowParams = field(default_factory=StructureFlowParams)
    structure_condition: ConditionParams = field(default_factory=ConditionParams)
    structure_decoder: StructureVAEParams = field(default_factory=StructureVAEParams)
    latent_flow: LatentFlowParams = field(default_factory=LatentFlowParams)
    latent_condition: ConditionParams = field(
        default_factory=lambda: ConditionParams(prenorm=True, points=None)
    )
    torso: TorsoParams = field(default_factory=TorsoParams)
    upsampled: tuple[int, ...] = (192, 96)
    moge: MoGeParams = field(default_factory=MoGeParams)
    moge_area: tuple[int, int] = (250_000, 500_000)

    @property
    def resolution(self) -> int:
        """The voxel grid's resolution: two doublings of the structure's latent."""
        return 4 * self.structure_flow.resolution


FULL = Sizes()

_TINY_BLOCK = BlockParams(width=48, heads=2, condition_width=64, mlp_ratio=2)
_TINY_DINO = DinoParams(width=64, blocks=1, side=4)
TINY = Sizes(
    structure_flow=StructureFlowParams(block=_TINY_BLOCK, blocks=2, resolution=4),
    structure_condition=ConditionParams(
        width=64, dino=_TINY_DINO, points=PointPatchParams(width=32, side=4)
    ),
    structure_decoder=StructureVAEParams(channels=(16, 8, 8), blocks=1, middle_blocks=1),
    latent_flow=LatentFlowParams(block=_TINY_BLOCK, blocks=2, io_channels=16),
    latent_condition=ConditionParams(width=64, dino=_TINY_DINO, prenorm=True, points=None),
    torso=TorsoParams(width=64, blocks=2, heads=2, mlp_ratio=2),
    upsampled=(32, 32),
    moge=MoGeParams(
        backbone=DinoParams(width=64, blocks=4, side=4, registers=0),
        projection=32,
        upsampling=(32, 16, 16),
        residual_blocks=1,
    ),
    moge_area=(10_000, 20_000),
)


def write_checkpoints(folder: Path, sizes: Sizes, *, seed: int = 0) -> Iterator[Path]:
    """Write the folder, one network in memory at a time.

    Args:
        folder: made where it does not exist; files of the same names are replaced.
        sizes: of the networks.
        seed: of the weights.

    Yields:
        The path of each file, once it is written.
    """
    writer = _Writer(folder, seed)
    n = sizes.resolution
    dino = sizes.structure_condition.dino
    yield writer.config("pipeline", configs.pipeline_config(dino.side * dino.patch))

    few, many = (GaussianDecoderParams(torso=sizes.torso, gaussians=g) for g in (4, 32))
    mesh = MeshDecoderParams(torso=sizes.torso, upsampled=sizes.upsampled)
    for name, config in {
        "ss_generator": configs.structure_generator_config(
            sizes.structure_flow, sizes.structure_condition
        ),
        "slat_generator": configs.latent_generator_config(
            sizes.latent_flow, sizes.latent_condition, n
        ),
        "ss_decoder": configs.structure_decoder_config(sizes.structure_decoder),
        "slat_decoder_gs": configs.gaussian_decoder_config(many, n),
        "slat_decoder_gs_4": configs.gaussian_decoder_config(few, n),
        "slat_decoder_mesh": configs.mesh_decoder_config(sizes.torso, n),
    }.items():
        yield writer.config(name, config)

    decoder = writer.draw("ss_decoder", lambda: StructureDecoder(sizes.structure_decoder))
    plant_decoder_path(decoder)
    yield writer.weights("ss_decoder.ckpt", _halved(decoder, _in_structure_torso))

    flow = writer.draw("ss_flow", lambda: StructureFlow(sizes.structure_flow))
    plant_object(flow)
    condition = writer.draw("ss_condition", lambda: ConditionEmbedder(sizes.structure_condition))
    tensors = {_GENERATOR: flow, _CONDITION: condition, _DECODER_COPY: decoder}
    yield writer.weights("ss_generator.ckpt", {"state_dict": _prefixed(tensors)})
    del flow, condition, decoder, tensors

    flow = writer.draw("slat_flow", lambda: LatentFlow(sizes.latent_flow))
    condition = writer.draw("slat_condition", lambda: ConditionEmbedder(sizes.latent_condition))
    tensors = {_GENERATOR: flow, _CONDITION: condition}
    yield writer.weights("slat_generator.ckpt", {"state_dict": _prefixed(tensors)})
    del flow, condition, tensors

    for name, params in (("slat_decoder_gs", many), ("slat_decoder_gs_4", few)):
        splats = writer.draw(name, lambda params=params: GaussianDecoder(params))
        yield writer.weights(f"{name}.ckpt", _halved(splats, _in_blocks))
    surface = writer.draw("slat_decoder_mesh", lambda: MeshDecoder(mesh))
    plant_outside(surface)
    yield writer.weights("slat_decoder_mesh.ckpt", surface)

    moge = writer.draw("moge", lambda: MoGe(sizes.moge))
    plant_plane(moge)
    yield writer.weights(str(MOGE_FILE), {"model_config": _moge_config(sizes), "model": moge})


def draw(name: str, build: Callable[[], nn.Module], *, seed: int) -> dict[str, Tensor]:
    """Draw weights for the module that `build` makes, under its state dict's names.

    Networks of another name get other weights.
    """
    with torch.device("meta"):
        shapes = {f"{name}/{k}": tuple(v.shape) for k, v in build().state_dict().items()}
    weights = draw_weights(shapes, seed=seed)
    return {k.removeprefix(f"{name}/"): v for k, v in weights.items()}


class _Writer:
    """Draws weights and writes files of one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed

    def draw(self, name: str, build: Callable[[], nn.Module]) -> dict[str, Tensor]:
        return draw(name, build, seed=self.seed)

    def config(self, name: str, content: Mapping[str, Any]) -> Path:
        path = self._path(f"{name}.yaml")
        path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        return path

    def weights(self, name: str, content: Any) -> Path:
        path = self._path(name)
        torch.save(content, path)
        return path

    def _path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _prefixed(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {prefix + name: t for prefix, part in parts.items() for name, t in part.items()}


def _halved(tensors: Mapping[str, Tensor], names: Callable[[str], bool]) -> dict[str, Tensor]:
    """Convert tensors to half precision as the published decoders have some of theirs."""
    return {name: t.half() if names(name) else t for name, t in tensors.items()}


def _in_blocks(name: str) -> bool:
    return name.startswith("blocks.")


def _in_structure_torso(name: str) -> bool:
    return name.startswith(("blocks.", "middle_block.")) and ".norm" not in name


def _moge_config(sizes: Sizes) -> dict[str, Any]:
    moge = sizes.moge
    return {
        "encoder": "dinov2_vitl14",
        "remap_output": "exp",
        "intermediate_layers": moge.layers,
        "dim_proj": moge.projection,
        "dim_upsample": list(moge.upsampling),
        "dim_times_res_block_hidden": moge.hidden_ratio,
        "num_res_blocks": moge.residual_blocks,
        "last_conv_channels": moge.last_channels,
        "last_conv_size": moge.last_kernel,
        "trained_area_range": list(sizes.moge_area),
        "mask_threshold": 0.5,
    }


def main(arguments: list[str] | None = None) -> int:
    options = command_of("fake_checkpoints", __doc__).parse_args(arguments)
    sizes = {"tiny": TINY, "full": FULL}[options.size]
    return show_sizes(write_checkpoints(options.folder, sizes, seed=options.seed))


if __name__ == "__main__":
    sys.exit(main())
