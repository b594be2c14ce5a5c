"""Decode structured latents into Gaussian splats.

Every voxel carries the same number of splats. Around its centre they start from the points of a
Hammersley set, which fill the voxel evenly, and the decoder moves them from there.

Shape letters in this file: N voxels, G splats of a voxel, K = N · G splats, voxel by voxel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from scenelift.models.layers.norms import LayerNorm32
from scenelift.models.layers.sparse import SparseTensor
from scenelift.models.slat.latent_torso import LatentTorso, TorsoParams
from scenelift.types import Gaussians

__all__ = [
    "GaussianDecoder",
    "GaussianDecoderParams",
    "GaussianHeadParams",
    "RawGaussians",
    "hammersley_offsets",
]


@dataclass(frozen=True, kw_only=True)
class GaussianHeadParams:
    """How raw outputs become splats; the defaults are the published model's.

    Attributes:
        voxel_size: how far a splat may wander, in voxels from face to face of its reach.
        rotation_gain: what raw rotations are multiplied by.
        scale_bias: scale of a splat whose raw scale is 0, before the smoothing kernel.
        opacity_bias: opacity of a splat whose raw opacity is 0.
        kernel: standard deviation of the smoothing kernel, the least scale a splat can have.
    """

    voxel_size: float = 1.5
    rotation_gain: float = 0.1
    scale_bias: float = 0.004
    opacity_bias: float = 0.1
    kernel: float = 0.0009


@dataclass(frozen=True, kw_only=True)
class GaussianDecoderParams:
    """Sizes of the decoder; the defaults are the published model's.

    Attributes:
        torso: sizes of the transformer.
        gaussians: splats of a voxel.
        head: how raw outputs become splats.
    """

    torso: TorsoParams = field(default_factory=TorsoParams)
    gaussians: int = 32
    head: GaussianHeadParams = field(default_factory=GaussianHeadParams)

    @classmethod
    def from_state_dict(
        cls,
        tensors: Mapping[str, Tensor],
        *,
        heads: int = 12,
        window: int = 8,
        head: GaussianHeadParams | None = None,
    ) -> GaussianDecoderParams:
        """Sizes of the decoder that a state dict belongs to."""
        return cls(
            torso=TorsoParams.from_state_dict(tensors, heads=heads, window=window),
            gaussians=len(tensors["offset_perturbation"]),
            head=head or GaussianHeadParams(),
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RawGaussians:
    """Splats before activation, in the published object frame (z up).

    Attributes:
        means: float32 [K, 3], in [−0.5, 0.5]³ but for the reach beyond the outermost voxels.
        sh0: float32 [K, 3].
        scales: float32 [K, 3], before softplus.
        rotations: float32 [K, 4], w, x, y, z, to be added to the identity.
        opacities: float32 [K], before the sigmoid.
        head: the activations' constants.
    """

    means: Tensor
    sh0: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    head: GaussianHeadParams

    def activated_scales(self) -> Tensor:  # [K, 3]
        """Standard deviations: a softplus, convolved with the smoothing kernel."""
        # The inverse of softplus at the wanted bias.
        bias = self.head.scale_bias + math.log(-math.expm1(-self.head.scale_bias))
        return (F.softplus(self.scales + bias).square() + self.head.kernel**2).sqrt()

    def activated_rotations(self) -> Tensor:  # [K, 4]
        """Unit quaternions."""
        identity = self.rotations.new_tensor([1.0, 0.0, 0.0, 0.0])
        return F.normalize(self.rotations + identity, dim=1)

    def activated_opacities(self) -> Tensor:  # [K]
        """Opacities in 0…1."""
        bias = math.log(self.head.opacity_bias / (1 - self.head.opacity_bias))
        return (self.opacities + bias).sigmoid()

    def activate(self) -> Gaussians:
        """The splats as the rest of the package knows them, still in the published frame."""

        def to_numpy(x: Tensor) -> NDArray[np.float32]:
            return x.float().cpu().numpy()

        return Gaussians(
            means=to_numpy(self.means),
            scales=to_numpy(self.activated_scales()),
            rotations=to_numpy(self.activated_rotations()),
            opacities=to_numpy(self.activated_opacities()),
            sh0=to_numpy(self.sh0),
            kernel=self.head.kernel,
        )


class GaussianDecoder(LatentTorso):
    """A transformer, then one linear layer that writes all splats of a voxel."""

    offset_perturbation: Tensor

    def __init__(self, params: GaussianDecoderParams) -> None:
        super().__init__(params.torso)
        self.params = params
        self.out_norm = LayerNorm32(params.torso.width, eps=1e-5)
        channels = sum(count for _, count in _HEADS)
        self.out_layer = nn.Linear(params.torso.width, channels * params.gaussians)
        # Part of the checkpoint although it follows from the number of splats.
        self.register_buffer("offset_perturbation", hammersley_offsets(params.gaussians))

    def forward(self, latent: SparseTensor) -> RawGaussians:
        h = self.attend(latent).to(self.out_layer.weight.dtype)
        return self.splats(self.out_layer(self.out_norm(h)).float(), latent)

    def splats(
        self,
        raw: Tensor,  # [N, 14 · G] float32
        latent: SparseTensor,
    ) -> RawGaussians:
        """Split the last layer's output and put the splats where their voxels are."""
        G, head = self.params.gaussians, self.params.head
        parts = raw.split([count * G for _, count in _HEADS], dim=1)
        heads = {
            name: part.unflatten(1, (G, count))
            for (name, count), part in zip(_HEADS, parts, strict=True)
        }
        resolution = latent.voxels.resolution
        centres = (latent.voxels.coords[:, None, 1:].float() + 0.5) / resolution  # [N, 1, 3]
        reach = 0.5 * head.voxel_size / resolution
        offsets = torch.tanh(heads["means"] + self.offset_perturbation.float()) * reach
        return RawGaussians(
            means=(centres + offsets - 0.5).flatten(0, 1),
            sh0=heads["sh0"].flatten(0, 1),
            scales=heads["scales"].flatten(0, 1),
            rotations=heads["rotations"].flatten(0, 1) * head.rotation_gain,
            opacities=heads["opacities"].flatten(),
            head=head,
        )


# What the last layer writes: name and values of a splat. All of one kind lie together.
_HEADS = (("means", 3), ("sh0", 3), ("scales", 3), ("rotations", 4), ("opacities", 1))

# Offsets reach ±0.75 voxels through a tanh; the set fills the voxel itself, ±0.5.
_FILL = 1.5


def hammersley_offsets(count: int) -> Tensor:  # [count, 3]
    """Where the splats of a voxel start, before the decoder's tanh."""
    points = [[i / count, _radical_inverse(i, 2), _radical_inverse(i, 3)] for i in range(count)]
    return torch.atanh((2 * torch.tensor(points) - 1) / _FILL)


def _radical_inverse(i: int, base: int) -> float:
    """The digits of i in a base, mirrored at the point: 6 = 110₂ gives 0.011₂."""
    value, place = 0.0, 1.0
    while i:
        i, digit = divmod(i, base)
        place /= base
        value += digit * place
    return value
