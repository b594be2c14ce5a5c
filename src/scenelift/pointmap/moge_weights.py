"""Locate MoGe's weights and list what is missing, without importing what the network needs."""

from __future__ import annotations

from pathlib import Path

from scenelift.lacks import Lack, lacking_packages, lacking_weights_of
from scenelift.options import BackendOptions
from scenelift.weights.locate import home_of, locate

__all__ = ["METRIC_SIZES", "lacks", "metric_lacks", "metric_weight_file", "weight_file"]

# Backends of MoGe-2, and the published sizes that each takes, the first that is there.
METRIC_SIZES = {
    "moge-2": (
        "moge-2-vitl-normal",
        "moge-2-vitl",
        "moge-2-vitb-normal",
        "moge-2-vits-normal",
    ),
    "moge-2-small": ("moge-2-vits-normal",),
}


def weight_file(options: BackendOptions) -> Path:
    """Return the path of MoGe's weights, whether the file exists or not."""
    folder = locate("moge", options.weights) or home_of("moge", options.weights)
    converted = folder / "model.safetensors"
    return converted if converted.is_file() else folder / "model.pt"


def lacks(options: BackendOptions) -> list[Lack]:
    """List what MoGe lacks on this machine."""
    if not weight_file(options).is_file():
        return [*_lacking_packages(), lacking_weights_of("MoGe", "scenelift models download full")]
    return _lacking_packages()


def metric_weight_file(name: str, options: BackendOptions) -> Path:
    """Return the path of a MoGe-2 backend's weights, whether the file exists or not.

    Args:
        name: one of `METRIC_SIZES`.
        options: the folder to look in first.
    """
    sizes = METRIC_SIZES[name]
    for size in sizes:
        folder = locate(size, options.weights)
        if folder is not None:
            return folder / "model.pt"
    return home_of(sizes[0], options.weights) / "model.pt"


def metric_lacks(name: str, options: BackendOptions) -> list[Lack]:
    """List what a MoGe-2 backend lacks on this machine."""
    if not metric_weight_file(name, options).is_file():
        bundle = "light" if name == "moge-2-small" else "open"
        command = f"scenelift models download {bundle}"
        return [*_lacking_packages(), lacking_weights_of("MoGe-2", command)]
    return _lacking_packages()


def _lacking_packages() -> list[Lack]:
    return lacking_packages("torch", "safetensors")
