"""Where MoGe's weights are, and what is missing: without importing what the network needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from scenelift.registry import BackendOptions
from scenelift.weights import hub_models

__all__ = ["lacks", "weight_file"]


def weight_file(options: BackendOptions) -> Path:
    """Where MoGe's weights are, or should be."""
    folder = hub_models.folder("moge", options.weights) or hub_models.home_of(
        "moge", options.weights
    )
    converted = folder / "model.safetensors"
    return converted if converted.is_file() else folder / "model.pt"


def lacks(options: BackendOptions) -> list[str]:
    """What this backend needs and does not find."""
    missing = [name for name in ("torch", "safetensors") if not importlib.util.find_spec(name)]
    if missing:
        return [f"{', '.join(missing)} not installed: pip install 'scenelift[full]'"]
    path = weight_file(options)
    if not path.is_file():
        return ["no weights of MoGe: scenelift models download full (or open)"]
    return []
