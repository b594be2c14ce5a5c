"""SAM 3D Objects with random weights, drawn where they are to run, and inputs of its size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from scenelift.models.layers.blocks import BlockParams
from scenelift.models.layers.dino import DinoParams
from scenelift.models.layers.embeddings import absolute_position_embedding
from scenelift.models.layers.sparse import Voxels
from scenelift.models.sam3d.condition import ConditionParams
from scenelift.models.sam3d.pointpatch import PointPatchParams
from scenelift.models.slat.acceleration import prepare
from scenelift.models.slat.gaussian_decoder import GaussianDecoderParams, hammersley_offsets
from scenelift.models.slat.latent_flow import LatentFlowParams
from scenelift.models.slat.latent_torso import TorsoParams
from scenelift.models.slat.mesh_decoder import MeshDecoderParams
from scenelift.models.slat.structure_decoder import StructureVAEParams
from scenelift.models.slat.structure_flow import StructureFlowParams

__all__ = ["FULL", "TINY", "Size", "draw", "shell"]

N = TypeVar("N", bound=nn.Module)

# Radii of the shell that the voxels fill, in sides of the cube.
_SHELL = (0.33, 0.39)

# Last layers of residual branches: small, so that a deep random network stays near the identity.
_BRANCH_ENDS = (
    *("to_out.weight", "mlp.2.weight", "attn.proj.weight", "mlp.fc2.weight", "conv2.weight"),
    *("adaLN_modulation.1.weight", "conv2.conv.weight", "layers.5.weight"),
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of all networks; the defaults are the published ones.

    Attributes:
        compared_blocks: blocks of the flows in the comparison with a CPU, else of the same size.
        compared_tokens: tokens of its condition.
    """

    structure: StructureFlowParams = field(default_factory=StructureFlowParams)
    latent: LatentFlowParams = field(default_factory=LatentFlowParams)
    structure_condition: ConditionParams = field(default_factory=ConditionParams)
    latent_condition: ConditionParams = field(
        default_factory=lambda: ConditionParams(prenorm=True, points=None)
    )
    structure_decoder: StructureVAEParams = field(default_factory=StructureVAEParams)
    gaussians: GaussianDecoderParams = field(default_factory=GaussianDecoderParams)
    mesh: MeshDecoderParams = field(default_factory=MeshDecoderParams)
    compared_blocks: int = 3
    compared_tokens: int = 1024

    @property
    def resolution(self) -> int:
        """Voxels along a side of the cube."""
        doublings = len(self.structure_decoder.channels) - 1
        return self.structure.resolution * 2**doublings


def _tiny() -> Size:
    block = BlockParams(width=48, heads=3, condition_width=24, mlp_ratio=2.0)
    dino = DinoParams(width=64, blocks=2, side=3)
    points = PointPatchParams(width=32, side=4, window=2, heads=2)
    torso = TorsoParams(width=64, blocks=2, heads=2, mlp_ratio=2.0)
    return Size(
        structure=StructureFlowParams(block=block, blocks=2, resolution=4),
        latent=LatentFlowParams(block=block, blocks=2, io_channels=16),
        structure_condition=ConditionParams(width=24, dino=dino, points=points),
        latent_condition=ConditionParams(width=24, dino=dino, prenorm=True, points=None),
        structure_decoder=StructureVAEParams(channels=(32, 16, 8), blocks=1, middle_blocks=1),
        gaussians=GaussianDecoderParams(torso=torso, gaussians=4),
        mesh=MeshDecoderParams(torso=torso, upsampled=(32, 32)),
        compared_blocks=2,
        compared_tokens=16,
    )


FULL, TINY = Size(), _tiny()


def shell(resolution: int, device: torch.device) -> Voxels:
    """Make voxels of a hollow ball: 25 864 of them at the published resolution of 64."""
    side = torch.arange(resolution, device=device)
    cells = torch.cartesian_prod(side, side, side)
    radius = ((cells + 0.5) / resolution - 0.5).norm(dim=1)
    cells = cells[(radius > _SHELL[0]) & (radius < _SHELL[1])]
    return Voxels(torch.cat([torch.zeros_like(cells[:, :1]), cells], 1).int(), resolution)


@torch.no_grad()
def draw(
    build: Callable[[], N],
    device: torch.device,
    *,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    compile: bool = False,
) -> N:
    """Build a network with random weights on a device, and prepare it to run there."""
    with torch.device("meta"):
        network = build()
    network.to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in network.named_parameters():
        parameter.normal_(generator=generator)
        if name.endswith("gamma") or (parameter.ndim == 1 and name.endswith("weight")):
            parameter.mul_(0.1).add_(1)
        elif name.endswith("latent_mapping.shape.pos_emb"):
            side = torch.arange(round(len(parameter) ** (1 / 3)), device=device)
            cells = torch.cartesian_prod(side, side, side)
            parameter.copy_(absolute_position_embedding(cells, parameter.shape[1]))
        elif parameter.ndim <= 1:
            parameter.mul_(0.02)
        else:
            scale = 0.2 if name.endswith(_BRANCH_ENDS) else 1.0
            parameter.mul_(scale / math.sqrt(parameter[0].numel()))
    for name, buffer in network.named_buffers():
        assert name.endswith(("offset_perturbation", "periods"))
        offsets = name.endswith("offset_perturbation")
        # Angles follow from a formula, whatever the file's periods are.
        buffer.copy_(hammersley_offsets(len(buffer)) if offsets else torch.zeros(len(buffer)))
    return prepare(network, device, dtype=dtype, compile=compile)
