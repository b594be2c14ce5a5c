"""The published sizes of MoGe-2, as its files' `model_config` states them, and smaller ones.

With random weights, they stand for the published files: whatever loads them loads those, and takes
as long.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenelift.models.layers.dino import DinoParams, VisionTransformer
from scenelift.models.moge.metric import MetricMoGe, MetricMoGeParams
from scenelift.testing.fake_weights import draw_weights

__all__ = [
    "PARAMETERS",
    "PUBLISHED",
    "TINY",
    "plant_metric_plane",
    "shapes_of",
    "write_moge2",
    "write_tiny_moge2",
]

PARAMETERS = {
    "moge-2-vitl": 326_209_221,
    "moge-2-vitl-normal": 330_901_544,
    "moge-2-vitb-normal": 104_743_592,
    "moge-2-vits-normal": 35_103_656,
}
"""By repository: how many numbers its weights are."""

_SLOPE = 0.6  # of the planted ground: the logarithm of its distance over the view plane's v
_BLOCKS = {"dinov2_vits14": 12, "dinov2_vitb14": 12, "dinov2_vitl14": 24}


def _config(
    backbone: str, taps: Sequence[int], widths: Sequence[int], *, refine: int, normal: bool = True
) -> dict[str, Any]:
    """Build a `model_config`; the neck has `refine` residual blocks a level, a head one."""
    common = {
        "dim_res_blocks": list(widths),
        "res_block_in_norm": "none",
        "res_block_hidden_norm": "none",
        "resamplers": ["conv_transpose"] * 3 + ["bilinear"],
    }

    def head(channels: int) -> dict[str, Any]:
        out = [None] * 4 + [channels]
        blocks = [0, 1, 1, 1, 0]
        return common | {"dim_in": list(widths), "dim_out": out, "num_res_blocks": blocks}

    config: dict[str, Any] = {
        "encoder": {
            "backbone": backbone,
            "intermediate_layers": list(taps),
            "dim_out": widths[0],
        },
        "neck": common
        | {
            "dim_in": [widths[0] + 2, 2, 2, 2, 2],
            "dim_out": None,
            "num_res_blocks": [0, refine, refine, refine, 0],
        },
        "points_head": head(3),
        "mask_head": head(1),
        "scale_head": {"dims": [widths[0]] * 3 + [1]},
        "remap_output": "exp",
        "num_tokens_range": [1200, 3600],
    }
    return config | ({"normal_head": head(3)} if normal else {})


def _large(*, normal: bool) -> dict[str, Any]:
    widths = [1024, 256, 128, 64, 32]
    return _config("dinov2_vitl14", [5, 11, 17, 23], widths, refine=2, normal=normal)


# That these are the published ones is known from their numbers of parameters.
PUBLISHED: Mapping[str, dict[str, Any]] = {
    "moge-2-vitl": _large(normal=False),
    "moge-2-vitl-normal": _large(normal=True),
    "moge-2-vitb-normal": _config("dinov2_vitb14", [5, 11], [768, 256, 128, 64, 32], refine=1),
    "moge-2-vits-normal": _config("dinov2_vits14", [5, 11], [384, 256, 128, 64, 32], refine=1),
}
"""By repository."""

TINY = _config("dinov2_tiny", [0, 1], [64, 8, 6, 4, 4], refine=1) | {"num_tokens_range": [12, 48]}
"""Of two blocks of width 64, for tests."""


def shapes_of(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """List names and shapes of the tensors that belong to a `model_config`."""
    width = config["scale_head"]["dims"][0]
    blocks = _BLOCKS.get(config["encoder"]["backbone"], 2)
    backbone = DinoParams(width=width, blocks=blocks, registers=0)
    with torch.device("meta"):
        # The transformer's sizes are read from its tensors, so it comes first.
        tensors = {
            f"encoder.backbone.{name}": tensor
            for name, tensor in VisionTransformer(backbone).state_dict().items()
        }
        params = MetricMoGeParams.from_config(config, tensors, source="sizes")
        state = MetricMoGe(params).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def write_moge2(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Path:
    """Write a file of the published form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model_config": dict(config), "model": dict(tensors)}, path)
    return path


def write_tiny_moge2(path: Path, *, metres: float = 2.0) -> Path:
    """Write a `TINY` one that sees ground, so many metres away in the middle."""
    tensors = draw_weights(shapes_of(TINY), seed=0)
    plant_metric_plane(tensors, metres=metres)
    return write_moge2(path, TINY, tensors)


def plant_metric_plane(tensors: dict[str, Tensor], *, metres: float = 2.0) -> None:
    """Make the network see ground everywhere: near below, far above, a unit away in the middle.

    Its camera's focal length is half the picture's diagonal.

    Args:
        tensors: of the network, changed in place.
        metres: how many a unit of its points is.
    """
    # Level 4 of the neck hands the view plane's u and v on, and so does that of the points' head.
    for stack in ("neck", "points_head"):
        for part in ("input_blocks.4", "resamplers.3.1"):
            tensors[f"{stack}.{part}.weight"][:2] = 0
            tensors[f"{stack}.{part}.bias"][:2] = 0
        for k in range(2):
            tensors[f"{stack}.input_blocks.4.weight"][k, k] = 1
    points = tensors["points_head.output_blocks.4.weight"]  # x / z, y / z, ln z
    points.zero_()
    points[0, 0] = points[1, 1] = 1
    points[2, 1] = -_SLOPE
    tensors["points_head.output_blocks.4.bias"].zero_()
    tensors["mask_head.output_blocks.4.weight"] *= 0.01
    tensors["mask_head.output_blocks.4.bias"].fill_(4)
    if "normal_head.output_blocks.4.bias" in tensors:
        tensors["normal_head.output_blocks.4.weight"] *= 0.01
        tensors["normal_head.output_blocks.4.bias"].copy_(torch.tensor([0.0, -1.0, -0.5]))
    last = max(name for name in tensors if name.startswith("scale_head.") and "weight" in name)
    tensors[last].zero_()
    tensors[last.replace("weight", "bias")].fill_(math.log(metres))
