"""Load the published `model.pt` of either version of MoGe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenelift.errors import WeightsError
from scenelift.models.moge.metric import MetricMoGe, MetricMoGeParams
from scenelift.models.moge.network import MoGe, MoGeParams
from scenelift.weights.state_dicts import load_module, read_pickle, read_state_dict

__all__ = ["MoGeSettings", "load_metric_moge", "load_moge"]

_PATCH_AREA = 14 * 14


@dataclass(frozen=True, kw_only=True)
class MoGeSettings:
    """Settings that the weights do not contain; the defaults are those of the published moge-vitl.

    Attributes:
        tokens: how many patches the transformer sees at the finest level it was trained for.
        mask_threshold: above it, a pixel's mask says that there is a point.
    """

    tokens: int = 2551
    mask_threshold: float = 0.5


def load_moge(path: Path) -> tuple[MoGe, MoGeSettings]:
    """Load version 1 on the CPU.

    Args:
        path: `model.pt`, which holds `model_config` and `model`, or a `.safetensors` file of the
            latter, which means the published settings.

    Raises:
        WeightsError: the file is missing, damaged, or of another model.
    """
    settings, tensors = MoGeSettings(), read_state_dict(path, member="model")
    if path.suffix != ".safetensors":
        settings = _settings(path, read_pickle(path).get("model_config"))
    try:
        params = MoGeParams.from_state_dict(tensors)
    except (KeyError, IndexError, ZeroDivisionError) as exc:
        raise WeightsError(
            f"{path} holds no MoGe v1: {exc} is missing. Version 2 has other weights; take "
            f"model.pt of https://huggingface.co/Ruicheng/moge-vitl."
        ) from exc
    return load_module(lambda: MoGe(params), tensors, source=str(path)), settings


def load_metric_moge(path: Path) -> MetricMoGe:
    """Load version 2 on the CPU. All sizes come from the file's own `model_config`.

    Args:
        path: `model.pt`, which holds `model_config` and `model`.

    Raises:
        WeightsError: the file is missing, damaged, or of another model, or a tensor is missing or
            left over.
    """
    content = read_pickle(path)
    config = content.get("model_config") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping) or "encoder" not in config:
        raise WeightsError(
            f"{path} holds no MoGe-2: it has no model_config with an encoder. Version 1 has other "
            f"weights; take model.pt of https://huggingface.co/Ruicheng/moge-2-vitl-normal."
        )
    tensors = read_state_dict(path, member="model")
    params = MetricMoGeParams.from_config(config, tensors, source=str(path))
    return load_module(lambda: MetricMoGe(params), tensors, source=str(path))


def _settings(path: Path, model_config: Any) -> MoGeSettings:
    """Read the settings from the published file's configuration."""
    if model_config is None:
        return MoGeSettings()
    if not isinstance(model_config, Mapping):
        raise WeightsError(f"{path}: model_config should be a table of settings.")
    remap = model_config.get("remap_output", "exp")
    if remap != "exp":
        raise WeightsError(f"{path}: remap_output is {remap!r}; this code is for 'exp'.")
    published = MoGeSettings()
    tokens = published.tokens
    if "num_tokens_range" in model_config:
        tokens = int(model_config["num_tokens_range"][1])
    elif "trained_area_range" in model_config:  # in pixels
        tokens = round(model_config["trained_area_range"][1] / _PATCH_AREA)
    threshold = float(model_config.get("mask_threshold", published.mask_threshold))
    return MoGeSettings(tokens=tokens, mask_threshold=threshold)
