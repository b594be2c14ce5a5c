"""The convolutional pyramid that MoGe-2's neck and heads are: from coarse features to fine ones.

Shape letters in this file: B batch, C channels, h, w rows and columns of the first level; every
further level has twice as many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from torch import Tensor, nn

from scenelift.errors import WeightsError
from scenelift.models.moge.parts import Norm, ResidualBlock, conv

__all__ = ["Stack", "StackParams"]

_RESAMPLERS = ("conv_transpose", "bilinear")


@dataclass(frozen=True, kw_only=True)
class StackParams:
    """Sizes of a pyramid, with one entry for each level, the coarsest first.

    Attributes:
        inputs: channels that come in from outside; None where a level has no input.
        widths: channels inside.
        outputs: channels that go out; None where what is inside goes out as it is.
        blocks: residual blocks.
        resamplers: how each level but the last becomes the next: "conv_transpose" or "bilinear".
        hidden_ratio: hidden channels of a residual block, over its channels.
        in_norm: of a residual block's first convolution.
        hidden_norm: of its second.
    """

    inputs: tuple[int | None, ...]
    widths: tuple[int, ...]
    outputs: tuple[int | None, ...]
    blocks: tuple[int, ...]
    resamplers: tuple[str, ...]
    hidden_ratio: int = 1
    in_norm: Norm = "layer_norm"
    hidden_norm: Norm = "group_norm"

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, source: str) -> StackParams:
        """Read the sizes from a published configuration's table.

        Args:
            config: the table of the neck or of a head.
            source: what it is part of, for the message.

        Raises:
            WeightsError: a size is missing, or it asks for what no known checkpoint has.
        """
        try:
            widths = tuple(int(width) for width in config["dim_res_blocks"])
            levels = len(widths)
            params = cls(
                inputs=_each(config["dim_in"], levels),
                widths=widths,
                outputs=_each(config.get("dim_out"), levels),
                blocks=_each(config.get("num_res_blocks", 1), levels),
                resamplers=_each(config["resamplers"], levels - 1),
                hidden_ratio=int(config.get("dim_times_res_block_hidden", 1)),
                in_norm=config.get("res_block_in_norm", "layer_norm"),
                hidden_norm=config.get("res_block_hidden_norm", "group_norm"),
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise WeightsError(f"{source}: its sizes cannot be read ({exc!r}).") from exc
        activation = config.get("activation", "relu")
        for what, value, choices in (
            *(("resampler", resampler, _RESAMPLERS) for resampler in params.resamplers),
            ("norm", params.in_norm, get_args(Norm)),
            ("norm", params.hidden_norm, get_args(Norm)),
            ("activation", activation, ("relu",)),
        ):
            if value not in choices:
                raise WeightsError(
                    f"{source}: the {what} {value!r} is of no published MoGe-2 and is not "
                    f"implemented. Known: {', '.join(choices)}."
                )
        return params


def _each(value: Any, levels: int) -> tuple[Any, ...]:
    """Return one value for each level, from a list or from one value for all."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (value,) * levels
    if len(value) != levels:
        raise ValueError(f"{len(value)} values for {levels} levels")
    return tuple(value)


class Stack(nn.Module):
    """A pyramid: each level adds its input to the coarser level's output, and refines it."""

    def __init__(self, params: StackParams) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList(
            nn.Identity() if channels is None else nn.Conv2d(channels, width, 1)
            for channels, width in zip(params.inputs, params.widths, strict=True)
        )
        self.res_blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(
                        width,
                        params.hidden_ratio * width,
                        in_norm=params.in_norm,
                        hidden_norm=params.hidden_norm,
                    )
                    for _ in range(count)
                )
            )
            for width, count in zip(params.widths, params.blocks, strict=True)
        )
        self.resamplers = nn.ModuleList(
            _resampler(kind, *params.widths[level : level + 2])
            for level, kind in enumerate(params.resamplers)
        )
        self.output_blocks = nn.ModuleList(
            nn.Identity() if channels is None else nn.Conv2d(width, channels, 1)
            for width, channels in zip(params.widths, params.outputs, strict=True)
        )

    def forward(
        self,
        features: Sequence[Tensor],  # level k: [B, C, h · 2^k, w · 2^k]
    ) -> list[Tensor]:  # likewise
        """Return the output of every level."""
        x, out = self.input_blocks[0](features[0]), []
        for level, refine in enumerate(self.res_blocks):
            if level:
                x = self.resamplers[level - 1](x) + self.input_blocks[level](features[level])
            x = refine(x)
            out.append(self.output_blocks[level](x))
        return out


def _resampler(kind: str, channels: int, out_channels: int) -> nn.Sequential:
    """Build the layer that doubles rows and columns."""
    if kind == "conv_transpose":
        double: nn.Module = nn.ConvTranspose2d(channels, out_channels, 2, stride=2)
        return nn.Sequential(double, conv(out_channels, out_channels))
    double = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(double, conv(channels, out_channels))
