"""Load TRELLIS.2-4B: its repository's folder, TRELLIS's structure decoder, and DINOv3.

    pipeline.json            settings; names the other files
    ckpts/NAME.json          arguments of a network
    ckpts/NAME.safetensors   its weights

Only the networks that a kind of run needs are read. Tensors have the networks' own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from scenelift.models.layers.dinov3 import DinoV3, DinoV3Params, from_timm
from scenelift.models.slat import config as slat_config
from scenelift.models.slat.checkpoints import NetworkFile, PipelineFolder, StructureModels
from scenelift.models.slat.config import Section
from scenelift.models.trellis2 import config
from scenelift.models.trellis2.config import Trellis2Settings
from scenelift.models.trellis2.decoder import VoxelDecoder
from scenelift.models.trellis2.flow import VoxelFlow
from scenelift.options import VoxelKind
from scenelift.weights.state_dicts import read_state_dict

__all__ = [
    "DINO_FILE",
    "PUBLISHED_STRUCTURE_DECODER",
    "ROLES",
    "Trellis2Folder",
    "Trellis2Models",
    "load_models",
    "roles_of",
]

DINO_FILE = "model.safetensors"

# TRELLIS-image-large's own file, which the other repository names and does not hold.
PUBLISHED_STRUCTURE_DECODER = "microsoft/TRELLIS-image-large/ckpts/ss_dec_conv3d_16l8_fp16"

# What `pipeline.json` calls the networks, and what their publishers call the files.
ROLES = {
    "sparse_structure_flow_model": "ckpts/ss_flow_img_dit_1_3B_64_bf16",
    "sparse_structure_decoder": PUBLISHED_STRUCTURE_DECODER,
    "shape_slat_flow_model_512": "ckpts/slat_flow_img2shape_dit_1_3B_512_bf16",
    "shape_slat_flow_model_1024": "ckpts/slat_flow_img2shape_dit_1_3B_1024_bf16",
    "tex_slat_flow_model_512": "ckpts/slat_flow_imgshape2tex_dit_1_3B_512_bf16",
    "tex_slat_flow_model_1024": "ckpts/slat_flow_imgshape2tex_dit_1_3B_1024_bf16",
    "shape_slat_decoder": "ckpts/shape_dec_next_dc_f16c32_fp16",
    "tex_slat_decoder": "ckpts/tex_dec_next_dc_f16c32_fp16",
}


def roles_of(kind: VoxelKind) -> tuple[str, ...]:
    """The networks that a kind of run needs."""
    fine = "512" if kind == "512" else "1024"
    coarse = ("shape_slat_flow_model_512",) if kind.endswith("cascade") else ()
    return (
        *("sparse_structure_flow_model", "sparse_structure_decoder", *coarse),
        *(f"shape_slat_flow_model_{fine}", f"tex_slat_flow_model_{fine}"),
        *("shape_slat_decoder", "tex_slat_decoder"),
    )


class Trellis2Folder(PipelineFolder):
    """The files of one folder; each method reads one network, mapped from disk, on the CPU."""

    def __init__(
        self, folder: Path, dino: Path, *, others: Mapping[str, Path] | None = None
    ) -> None:
        """Find the files.

        Args:
            folder: with `pipeline.json`.
            dino: the folder of DINOv3 ViT-L/16, with its publisher's file or timm's.
            others: folders of repositories that `pipeline.json` may name files of, by owner/name.
        """
        super().__init__(folder, ROLES)
        self.dino, self._others = dino, dict(others or {})

    def settings(self) -> Trellis2Settings:
        return config.pipeline_settings(self._pipeline)

    def image_embedder(self) -> DinoV3:
        path = self.dino / DINO_FILE
        tensors = read_state_dict(path)
        if "cls_token" in tensors:
            tensors = from_timm(tensors)
        settings = slat_config.read_settings(self.dino / "config.json")
        return NetworkFile(tensors, settings, path).load(_dino_params, DinoV3)

    def structure_flow(self) -> VoxelFlow:
        file = self._read("sparse_structure_flow_model")
        return file.load(config.flow_params, partial(VoxelFlow, varying_tokens=False))

    def structure_side(self) -> int:
        settings = self._settings("sparse_structure_flow_model")
        return settings.integer("resolution", config.STRUCTURE_SIDE)

    def latent_flow(self, role: str) -> VoxelFlow:
        return self._read(role).load(config.flow_params, VoxelFlow)

    def decoder(self, role: str) -> VoxelDecoder:
        return self._read(role).load(config.decoder_params, VoxelDecoder)

    def weight_files(self, kind: VoxelKind) -> list[Path]:
        """All files with weights that a kind of run reads, in a fixed order."""
        roles = roles_of(kind)
        return [*(self._path(role, ".safetensors") for role in roles), self.dino / DINO_FILE]

    def _read(self, role: str) -> NetworkFile:
        file = super()._read(role)
        # Some files hold a table of angles, which follows from the grid.
        own = {name: tensor for name, tensor in file.tensors.items() if name != "rope_phases"}
        return replace(file, tensors=own)

    def _path(self, role: str, suffix: str) -> Path:
        path = super()._path(role, suffix)
        if path.is_file():
            return path
        owner, _, rest = str(self._names[role]).partition("/")
        repository, _, file = rest.partition("/")
        other = self._others.get(f"{owner}/{repository}")
        return path if other is None or not file else other / f"{file}{suffix}"


def _dino_params(tensors: Mapping[str, Tensor], settings: Section) -> DinoV3Params:
    heads = settings.integer("num_attention_heads", 0) or None
    params = DinoV3Params.from_state_dict(tensors, heads=heads)
    settings.expect(
        hidden_size=params.width,
        num_hidden_layers=params.blocks,
        intermediate_size=params.hidden,
        patch_size=params.patch,
        num_register_tokens=params.registers,
        rope_theta=100.0,
        key_bias=False,
        use_gated_mlp=False,
    )
    return params


@dataclass(frozen=True, kw_only=True, eq=False)
class Trellis2Models(StructureModels):
    """Everything one reconstruction needs.

    Attributes:
        kind: what is run with it.
        image_embedder: turns a picture into the condition of all stages.
        side: cells along a side of the structure's latent cube.
        coarse_flow: from noise on coarse voxels to the latents of a coarse shape; None where there
            is no cascade.
        shape_flow, texture_flow: from noise on voxels to the latents of shape and texture.
        shape_decoder, texture_decoder: from latents to numbers on fine voxels.
    """

    settings: Trellis2Settings
    kind: VoxelKind
    image_embedder: DinoV3
    structure_flow: VoxelFlow
    side: int
    coarse_flow: VoxelFlow | None
    shape_flow: VoxelFlow
    texture_flow: VoxelFlow
    shape_decoder: VoxelDecoder
    texture_decoder: VoxelDecoder

    @property
    def accelerable(self) -> tuple[nn.Module, ...]:
        flows = (self.structure_flow, self.coarse_flow, self.shape_flow, self.texture_flow)
        return (
            *(flow for flow in flows if flow is not None),
            self.shape_decoder,
            self.texture_decoder,
        )

    @property
    def image_size(self) -> int:
        """Side of the smaller picture that the embedder sees; the larger has twice as many."""
        return self.image_embedder.params.patch * 2 * self.side

    @property
    def structure_side(self) -> int:
        return self.side


def load_models(files: Trellis2Folder, kind: VoxelKind) -> Trellis2Models:
    """Load the networks of a kind of run on the CPU, in the types of the files.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    fine = "512" if kind == "512" else "1024"
    return Trellis2Models(
        settings=files.settings(),
        kind=kind,
        image_embedder=files.image_embedder(),
        structure_flow=files.structure_flow(),
        structure_decoder=files.structure_decoder(),
        side=files.structure_side(),
        coarse_flow=(
            files.latent_flow("shape_slat_flow_model_512") if kind.endswith("cascade") else None
        ),
        shape_flow=files.latent_flow(f"shape_slat_flow_model_{fine}"),
        texture_flow=files.latent_flow(f"tex_slat_flow_model_{fine}"),
        shape_decoder=files.decoder("shape_slat_decoder"),
        texture_decoder=files.decoder("tex_slat_decoder"),
    )
