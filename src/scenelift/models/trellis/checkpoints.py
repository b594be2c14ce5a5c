"""Load TRELLIS-image-large: its repository's folder, and DINOv2 as its publisher gives it.

    pipeline.json            settings; names the other files
    ckpts/NAME.json          arguments of a network
    ckpts/NAME.safetensors   its weights

Tensors have the names of the networks' own, so there is nothing to map but DINOv2's prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scenelift.models.layers.dino import DinoEmbedder
from scenelift.models.slat import config as slat_config
from scenelift.models.slat.checkpoints import NetworkFile, PipelineFolder, SlatModels
from scenelift.models.slat.config import PipelineSettings, Section
from scenelift.models.slat.gaussian_decoder import GaussianDecoder
from scenelift.models.slat.latent_flow import LatentFlow
from scenelift.models.slat.mesh_decoder import MeshDecoder
from scenelift.models.trellis import config
from scenelift.models.trellis.structure_flow import StructureFlow
from scenelift.weights.state_dicts import read_state_dict

__all__ = ["DINO_FILE", "ROLES", "TrellisFolder", "TrellisModels", "load_models"]

# DINOv2 ViT-L/14 with registers, as its publisher calls it.
DINO_FILE = "dinov2_vitl14_reg4_pretrain.pth"

# What `pipeline.json` calls the networks that we need, and what its publishers call their files.
ROLES = {
    "sparse_structure_flow_model": "ckpts/ss_flow_img_dit_L_16l8_fp16",
    "sparse_structure_decoder": "ckpts/ss_dec_conv3d_16l8_fp16",
    "slat_flow_model": "ckpts/slat_flow_img_dit_L_64l8p2_fp16",
    "slat_decoder_gs": "ckpts/slat_dec_gs_swin8_B_64l8gs32_fp16",
    "slat_decoder_mesh": "ckpts/slat_dec_mesh_swin8_B_64l8m256c_fp16",
}


class TrellisFolder(PipelineFolder):
    """The files of one folder; each method reads one network, mapped from disk, on the CPU."""

    def __init__(self, folder: Path, dino: Path) -> None:
        """Find the files.

        Args:
            folder: with `pipeline.json`.
            dino: the file of DINOv2 ViT-L/14 with registers.
        """
        super().__init__(folder, ROLES)
        self.dino = dino

    def settings(self) -> PipelineSettings:
        return config.pipeline_settings(self._pipeline)

    def image_embedder(self) -> DinoEmbedder:
        tensors = {f"backbone.{k}": v for k, v in read_state_dict(self.dino).items()}
        file = NetworkFile(tensors, Section(source=self.dino.name), self.dino)
        return file.load(config.image_embedder_params, partial(DinoEmbedder, prenorm=True))

    def structure_flow(self) -> StructureFlow:
        file = self._read("sparse_structure_flow_model")
        return file.load(config.structure_flow_params, StructureFlow)

    def latent_flow(self) -> LatentFlow:
        return self._read("slat_flow_model").load(slat_config.latent_flow_params, LatentFlow)

    def gaussian_decoder(self) -> GaussianDecoder:
        file = self._read("slat_decoder_gs")
        return file.load(slat_config.gaussian_decoder_params, GaussianDecoder)

    def mesh_decoder(self) -> MeshDecoder:
        return self._read("slat_decoder_mesh").load(slat_config.mesh_decoder_params, MeshDecoder)

    def weight_files(self) -> list[Path]:
        """All files with weights, in a fixed order."""
        return [*(self._path(role, ".safetensors") for role in ROLES), self.dino]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrellisModels(SlatModels):
    """Everything one reconstruction needs.

    Attributes:
        image_embedder: turns a picture into the condition of both stages.
        structure_flow: the first stage, which ends in `structure_decoder`.
    """

    image_embedder: DinoEmbedder
    structure_flow: StructureFlow

    @property
    def image_size(self) -> int:
        """Side of the pictures that the embedder sees."""
        dino = self.image_embedder.backbone.params
        return dino.side * dino.patch

    @property
    def structure_side(self) -> int:
        return self.structure_flow.params.resolution


def load_models(files: TrellisFolder) -> TrellisModels:
    """Load all networks on the CPU, in the types of the files.

    Raises:
        WeightsError: a file is missing, damaged or of another model.
    """
    return TrellisModels(
        settings=files.settings(),
        image_embedder=files.image_embedder(),
        structure_flow=files.structure_flow(),
        structure_decoder=files.structure_decoder(),
        latent_flow=files.latent_flow(),
        gaussian_decoder=files.gaussian_decoder(),
        mesh_decoder=files.mesh_decoder(),
    )
