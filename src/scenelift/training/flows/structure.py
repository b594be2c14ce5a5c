"""First stage: coarse shape and pose from photo, mask and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenelift.errors import InputError
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.sam3d.pose import encode_pose
from scenelift.models.sam3d.preprocess import ConditionImages
from scenelift.models.sam3d.structure_flow import StructureFlow, StructureLatents, structure_noise
from scenelift.models.slat.structure_decoder import StructureEncoder
from scenelift.training.flows.examples import Example, Truth
from scenelift.training.flows.matching import (
    MatchingOptions,
    draw_times,
    drop_conditions,
    mix,
)

__all__ = ["LOSS_WEIGHTS", "StructureTask"]

LOSS_WEIGHTS: Mapping[str, float] = {
    "rotation": 1.0,
    "scale": 1.0,
    "shape": 1.0,
    "translation": 1.0,
    "translation_scale": 0.0,
}
"""Of each latent's mean squared error. The last one has no part in the pose that is decoded, and
what the published training aimed at there is unknown: it is left as it was."""


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    tokens: Tensor  # [B, S, C]
    data: StructureLatents
    noise: StructureLatents
    time: Tensor  # [B]


class _Velocity(nn.Module):
    """The flow with its condition projected inside, so that several GPUs see every parameter."""

    def __init__(self, flow: StructureFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, state: StructureLatents, time: Tensor, tokens: Tensor) -> StructureLatents:
        return self.flow(state, time, self.flow.remember(tokens), step=torch.zeros_like(time))


class StructureTask:
    """A `Task` of the training loop.

    Args:
        flow: what is trained, on its device.
        condition: frozen embedder of the stage, on the same device.
        examples: to train on.
        held_out: to evaluate on.
        image_size: side of the embedder's pictures.
        options: of flow matching.
        encoder: makes the latent cube of examples that have voxels only.
    """

    def __init__(
        self,
        flow: StructureFlow,
        condition: ConditionEmbedder,
        examples: Sequence[Example],
        held_out: Sequence[Example],
        *,
        image_size: int,
        options: MatchingOptions,
        encoder: StructureEncoder | None = None,
    ) -> None:
        self.network: nn.Module = _Velocity(flow)
        self._params = flow.params
        self._condition, self._encoder = condition, encoder
        self._examples, self._held_out = examples, held_out
        self._size, self._options = image_size, options

    def batch(self, size: int, generator: torch.Generator) -> _Batch:
        device = generator.device
        rows = torch.randint(
            len(self._examples), (size,), generator=generator, device=device
        ).tolist()
        silent = torch.rand(size, generator=generator, device=device) < self._options.drop_points
        batch = self._of([self._examples[i] for i in rows], silent.tolist(), generator)
        tokens = drop_conditions(batch.tokens, self._options.drop_condition, generator)
        return _Batch(tokens, batch.data, batch.noise, batch.time)

    def loss(self, network: nn.Module, batch: _Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        state = StructureLatents(
            *(mix(d, n, batch.time) for d, n in zip(batch.data, batch.noise, strict=True))
        )
        velocity: StructureLatents = network(state, batch.time, batch.tokens)
        parts = {
            name: F.mse_loss(v.float(), d - n)
            for name, v, d, n in zip(
                StructureLatents._fields, velocity, batch.data, batch.noise, strict=True
            )
        }
        weighted = torch.stack([LOSS_WEIGHTS[name] * part for name, part in parts.items()])
        return weighted.sum(), {name: p for name, p in parts.items() if LOSS_WEIGHTS[name]}

    def evaluate(self, network: nn.Module) -> Mapping[str, float]:
        """Compute the held-out examples' mean loss, with the same noise and times every time."""
        generator = torch.Generator(next(network.parameters()).device).manual_seed(0)
        losses = [
            self.loss(network, self._of([example], [False], generator))[0]
            for example in self._held_out
        ]
        return {"held-out loss": float(torch.stack(losses).mean())} if losses else {}

    @torch.no_grad()
    def _of(
        self, examples: Sequence[Example], silent: Sequence[bool], generator: torch.Generator
    ) -> _Batch:
        device = generator.device
        tokens, data = [], []
        for example, without_points in zip(examples, silent, strict=True):
            truth = example.truth()
            view = example.view(self._size, device, points=truth.tensor("points", None, None, 3))
            tokens.append(self._condition.embed(view, use_points=not without_points))
            pose = encode_pose(truth.pose, *_normalisation(view))
            rotation, scale, translation = (
                torch.tensor(part, dtype=torch.float32, device=device).view(1, 1, -1)
                for part in pose
            )
            data.append(
                StructureLatents(
                    rotation=rotation,
                    scale=scale,
                    shape=self._shape(truth, device),
                    translation=translation,
                    translation_scale=torch.zeros(1, 1, 1, device=device),
                )
            )
        return _Batch(
            tokens=torch.cat(tokens).float(),
            data=StructureLatents(*(torch.cat(parts) for parts in zip(*data, strict=True))),
            noise=structure_noise(self._params, generator, len(examples)),
            time=draw_times(len(examples), self._options, generator),
        )

    def _shape(self, truth: Truth, device: torch.device) -> Tensor:  # [1, L, C]
        side, channels = self._params.resolution, self._params.shape_channels
        if "structure" in truth:
            cube = truth.tensor("structure", channels, side, side, side).to(device)[None]
        elif self._encoder is None:
            raise InputError(
                f"{truth.path} has voxels but no latent cube ('structure'). Give the encoder that "
                f"makes one with --encoder: TRELLIS's ss_enc_conv3d_16l8_fp16.safetensors fits."
            )
        else:
            cube = self._encoder(_grid(truth, 4 * side).to(device))[0]
        return cube.float().flatten(2).transpose(1, 2)


def _normalisation(view: ConditionImages) -> tuple[Tensor, Tensor]:  # 2 × [3]
    if view.points is None:
        raise ValueError("the first stage is trained on views with points")
    return view.points.scale.cpu(), view.points.shift.cpu()


def _grid(truth: Truth, side: int) -> Tensor:  # [1, 1, side, side, side]
    cells = truth.tensor("voxels", None, 3).long()
    if not len(cells) or int(cells.min()) < 0 or int(cells.max()) >= side:
        raise InputError(
            f"{truth.path}: voxels should be cells from 0 to {side - 1}, at least one."
        )
    grid = torch.zeros(1, 1, side, side, side)
    grid[0, 0, cells[:, 0], cells[:, 1], cells[:, 2]] = 1
    return grid
