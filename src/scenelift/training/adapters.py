"""Low-rank adapters: a head may change the frozen backbone it sees through, a little.

LoRA (https://arxiv.org/abs/2106.09685): y = W x + b + (x · down) · up, with W and b frozen. `up`
begins with zeros, so that training begins with the features as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from scenelift.training.backbone import BLOCKS, Backbone
from scenelift.training.network import Head
from scenelift.weights.dinov2_adapters import LAYERS

__all__ = ["ADAPTERS", "AdaptedHead", "Adapters", "by_block", "noisy", "of_blocks"]

ADAPTERS = "adapters."
"""What the names of their weights begin with."""

FEATURE_NOISE = 0.06
"""Of a token's root mean square: what 8-bit activations add at run time (measured 0.04 to 0.09)."""


class Adapters(nn.Module):
    """The thin matrices of all blocks: of each kind of linear layer, those of 12 blocks in one."""

    def __init__(self, backbone: Backbone, rank: int) -> None:
        super().__init__()
        shapes = {_key(name): _matrices(backbone, name).shape for name in LAYERS}
        self.down = nn.ParameterDict(
            {
                key: torch.randn(BLOCKS, ins, rank) / math.sqrt(ins)
                for key, (_, _, ins) in shapes.items()
            }
        )
        self.up = nn.ParameterDict(
            {key: torch.zeros(BLOCKS, rank, outs) for key, (_, outs, _) in shapes.items()}
        )

    def matrices(self, backbone: Backbone) -> dict[str, Tensor]:
        """Compute the adapted matrices, under the names that the vision transformer has for them.

        The sum is one product with tokens instead of three, and all blocks' sums are one kernel.
        """
        device = self.up[_key(next(iter(LAYERS)))].device.type
        narrow = torch.is_autocast_enabled(device)
        whole = {}
        for name in LAYERS:
            frozen, key = _matrices(backbone, name), _key(name)
            with torch.autocast(device, enabled=False):  # what is added is small beside W
                every = torch.baddbmm(frozen, self.up[key].mT, self.down[key].mT)
            if narrow:
                every = every.to(torch.get_autocast_dtype(device))
            for i, matrix in enumerate(every.unbind()):
                whole[f"blocks.{i}.{name}.weight"] = matrix
        return whole


class AdaptedHead(nn.Module):
    """A head with adapters of a frozen backbone, which is neither trained nor saved."""

    def __init__(self, head: Head, backbone: Backbone, rank: int) -> None:
        super().__init__()
        self.head = head
        self.adapters = Adapters(backbone, rank)
        self._frozen = (backbone,)  # a tuple hides it from parameters() and state_dict()

    def forward(
        self,
        levels: Sequence[Tensor],  # [B, 3, 14h, 14w]: the normalised picture alone
        photo: Tensor,  # [B, 3, 8h, 8w]
        hints: Tensor,  # [B, E, 8h, 8w]
    ) -> tuple[Tensor, Tensor]:
        """Run backbone and head; in training, with noise on the features."""
        (picture,), (backbone,) = levels, self._frozen
        device = picture.device.type
        narrow = picture.is_cuda or torch.is_autocast_enabled(device)
        with torch.autocast(device, torch.bfloat16, enabled=narrow):
            features = backbone.adapted(picture, self.adapters.matrices(backbone))
        features = [level.float() for level in features]
        if self.training:
            features = [noisy(level) for level in features]
        return self.head(features, photo, hints)


def noisy(level: Tensor, generator: torch.Generator | None = None) -> Tensor:  # [B, N, 384]
    """Add what 8-bit activations add at home."""
    size = level.detach().square().mean(-1, keepdim=True).sqrt()
    noise = torch.randn(level.shape, generator=generator, device=level.device)
    return torch.addcmul(level, size, noise, value=FEATURE_NOISE)


def by_block(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the adapters out of a head's weights.

    Returns:
        `blocks.I.LINEAR.down` [in, rank] and `blocks.I.LINEAR.up` [rank, out]; empty where the
        head has none.
    """
    return {
        f"blocks.{i}.{name}.{part}": matrix
        for name in LAYERS
        for part in ("down", "up")
        if f"{ADAPTERS}{part}.{_key(name)}" in weights
        for i, matrix in enumerate(weights[f"{ADAPTERS}{part}.{_key(name)}"].unbind())
    }


def of_blocks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `by_block`: return adapters under the names of a head's weights."""
    return {
        f"{ADAPTERS}{part}.{_key(name)}": torch.stack(
            [tensors[f"blocks.{i}.{name}.{part}"] for i in range(BLOCKS)]
        )
        for name in LAYERS
        for part in ("down", "up")
    }


def _matrices(backbone: Backbone, name: str) -> Tensor:  # [BLOCKS, out, in]
    names = [f"blocks.{i}.{name}.weight" for i in range(BLOCKS)]
    return torch.stack([backbone.vit.get_parameter(each) for each in names])


def _key(name: str) -> str:
    return name.replace(".", "_")
