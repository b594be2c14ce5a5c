"""Second stage: structured latents on the voxels of an object, from photo and mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.models.layers.sparse import Voxels
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.slat.config import PipelineSettings
from scenelift.models.slat.latent_flow import LatentFlow, latent_noise
from scenelift.training.flows.examples import Example, Truth
from scenelift.training.flows.matching import (
    MatchingOptions,
    draw_times,
    drop_conditions,
    mix,
)

__all__ = ["LatentTask"]


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    tokens: Tensor  # [1, S, C]
    voxels: Voxels  # N
    data: Tensor  # [N, C], normalised
    noise: Tensor  # [N, C]
    time: Tensor  # [1]

    @property
    def state(self) -> Tensor:  # [N, C]
        return mix(self.data[None], self.noise[None], self.time)[0]


class _Velocity(nn.Module):
    """The flow over a batch and its conditions: several GPUs use every parameter once a step."""

    def __init__(self, flow: LatentFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, batch: Sequence[_Item]) -> list[Tensor]:  # each [N, C]
        return [
            self.flow(item.state, item.time, item.voxels, self.flow.remember(item.tokens))
            for item in batch
        ]


class LatentTask:
    """A `Task` of the training loop; a batch's objects go through the network one by one.

    Args:
        flow: what is trained, on its device.
        condition: frozen embedder of the stage, on the same device.
        examples: to train on.
        held_out: to evaluate on.
        image_size: side of the embedder's pictures.
        resolution: cells along a side of the voxels' cube.
        settings: of the checkpoint, for the latents' normalisation.
        options: of flow matching.
    """

    def __init__(
        self,
        flow: LatentFlow,
        condition: ConditionEmbedder,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        *,
        image_size: int,
        resolution: int,
        settings: PipelineSettings,
        options: MatchingOptions,
    ) -> None:
        self.network: nn.Module = _Velocity(flow)
        self._params, self._condition = flow.params, condition
        self._examples, self._held_out = examples, held_out
        self._size, self._resolution, self._options = image_size, resolution, options
        self._mean = torch.tensor(settings.latent_mean)
        self._std = torch.tensor(settings.latent_std)

    def batch(self, size: int, generator: torch.Generator) -> list[_Item]:
        rows = torch.randint(
            len(self._examples), (size,), generator=generator, device=generator.device
        )
        drop = self._options.drop_condition
        return [self._of(self._examples[i], generator, drop) for i in rows.tolist()]

    def loss(self, network: nn.Module, batch: list[_Item]) -> tuple[Tensor, Mapping[str, Tensor]]:
        losses = [
            F.mse_loss(velocity.float(), item.data - item.noise)
            for velocity, item in zip(network(batch), batch, strict=True)
        ]
        return torch.stack(losses).mean(), {}

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute the held-out examples' mean loss, with the same noise and times every time."""
        generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
        items = [self._of(example, generator, 0.0) for example in self._held_out]
        return {"held-out loss": float(self.loss(network, items)[0])} if items else {}

    @torch.no_grad()
    def _of(self, example: Example, generator: torch.Generator, drop: float) -> _Item:
        device, channels = generator.device, self._params.latent_channels
        truth = example.truth()
        coords = _coords(truth, self._resolution)
        latents = truth.tensor("latents", len(coords), channels).float()
        tokens = self._condition.embed(example.view(self._size, device)).float()
        return _Item(
            tokens=drop_conditions(tokens, drop, generator),
            voxels=Voxels(F.pad(coords, (1, 0)).to(device), self._resolution),
            data=((latents - self._mean) / self._std).to(device),
            noise=latent_noise(self._params, len(coords), generator),
            time=draw_times(1, self._options, generator),
        )


def _coords(truth: Truth, resolution: int) -> Tensor:  # int32 [N, 3]
    coords = truth.tensor("coords", None, 3).int()
    if not len(coords) or int(coords.min()) < 0 or int(coords.max()) >= resolution:
        raise InputError(
            f"{truth.path}: coords should be cells from 0 to {resolution - 1}, at least one."
        )
    if len(coords.unique(dim=0)) != len(coords):
        raise InputError(f"{truth.path}: coords name a voxel twice.")
    return coords
