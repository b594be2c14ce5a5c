"""Gather what `scenelift doctor` shows: facts about this machine, ready for JSON."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scenelift.errors import WeightsError
from scenelift.options import BackendOptions
from scenelift.platforms import untested
from scenelift.registry import Registry

__all__ = ["check_embedded", "devices", "examine"]

PACKAGES = (
    "scenelift",
    "numpy",
    "scipy",
    "scikit-image",
    "numba",
    "onnxruntime",
    "pillow",
    "trimesh",
    "torch",
    "torchvision",
    "transformers",
    "safetensors",
    "huggingface-hub",
)


def examine(options: BackendOptions, *, deep: bool = False) -> dict[str, Any]:
    """Examine machine, devices, packages, backends and weights; run the embedded model once.

    Args:
        options: the weights folder and the device that are asked for.
        deep: read every byte of the weights, instead of names, sizes and dates.
    """
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.qualities import QUALITIES, lacking
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS
    from scenelift.weights.home import weights_folder

    return {
        "machine": _machine(),
        "devices": devices(options.device),
        "packages": {name: _version(name) for name in PACKAGES},
        "backends": {
            registry.role: _backends(registry, options)
            for registry in (SEGMENTERS, POINT_MAPPERS, RECONSTRUCTORS)
        },
        "qualities": {name: lacking(names, options) for name, names in QUALITIES.items()},
        "weights_folder": str(weights_folder(options.weights)),
        "weights": _weights(options.weights, deep=deep),
        "embedded": check_embedded(options.weights),
    }


def devices(requested: str = "auto") -> dict[str, Any]:
    """List PyTorch's devices; PyTorch is imported if it is installed.

    Args:
        requested: value of `--device`.

    Returns:
        `found`: name, title and memory in bytes of each; `requested`; and `problem`, "" where the
        device that is asked for is one of those found.
    """
    rows: list[dict[str, Any]] = [
        {"name": "cpu", "title": platform.processor() or platform.machine(), "memory_bytes": None}
    ]
    note = ""
    if importlib.util.find_spec("torch") is None:
        note = "PyTorch is not installed (pip install 'scenelift[full]')"
    else:
        import torch

        for k in range(torch.cuda.device_count()):
            card = torch.cuda.get_device_properties(k)
            rows.append(
                {"name": f"cuda:{k}", "title": card.name, "memory_bytes": card.total_memory}
            )
        if torch.backends.mps.is_available():
            memory = torch.mps.recommended_max_memory()
            rows.append({"name": "mps", "title": "Apple GPU", "memory_bytes": memory})
        if len(rows) == 1:
            note = f"PyTorch {torch.__version__} sees no GPU"
    names = {device["name"] for device in rows}
    name = {"cuda": "cuda:0"}.get(requested, requested)
    problem = ""
    if requested != "auto" and name not in names:
        problem = f"there is no device {requested!r} here, only {', '.join(sorted(names))}"
        problem += f"; {note}" if note else ""
    return {"found": rows, "note": note, "asked": requested, "problem": problem}


def check_embedded(weights: Path | None = None) -> dict[str, Any]:
    """Load the embedded models that are there, and compute the features of one picture.

    Returns:
        `works`; `models` that were loaded; seconds to load them and for one 224×224 forward pass
        of DINOv2, which every run needs; and `problem`, "" when it works.
    """
    from scenelift.weights import embedded

    models: list[str] = []
    load_seconds = forward_seconds = 0.0
    try:
        embedded.path("dinov2", weights)  # says how to get it where it is missing
        start = time.perf_counter()
        sessions = {
            status.name: _session(status.name, weights)
            for status in embedded.status(weights)
            if status.present and embedded.ARTEFACTS[status.name].files[0].endswith(".onnx")
        }
        load_seconds, models = time.perf_counter() - start, list(sessions)
        forward_seconds = _forward(sessions["dinov2"])
        problem = ""
    except (WeightsError, ImportError) as exc:
        problem = str(exc)
    return {
        "works": not problem,
        "models": models,
        "load_seconds": round(load_seconds, 3),
        "forward_seconds": round(forward_seconds, 3),
        "problem": problem,
    }


def _session(name: str, weights: Path | None) -> Any:
    from scenelift.weights.onnx_session import session

    return session(name, weights)


def _forward(dinov2: Any) -> float:
    """Time one forward pass on a synthetic picture; raise WeightsError if values are not finite."""
    import numpy as np

    ramp = np.linspace(-2, 2, 224, dtype=np.float32)  # ImageNet-normalised values
    picture = np.broadcast_to(ramp, (1, 3, 224, 224)).copy()
    start = time.perf_counter()
    (features,) = dinov2.run(["feat"], {"image": picture})
    seconds = time.perf_counter() - start
    tokens = 1 + (224 // 14) ** 2
    if features.shape != (1, tokens, 384) or not np.isfinite(features).all():
        raise WeightsError(
            f"DINOv2 computed {features.shape} with {int((~np.isfinite(features)).sum())} values "
            f"that are not finite, instead of (1, {tokens}, 384). "
            "`scenelift models verify` shows whether its file is damaged."
        )
    return seconds


def _machine() -> dict[str, Any]:
    from scenelift.weights.home import scenelift_home

    home = scenelift_home()
    existing = next(p for p in (home, *home.parents) if p.exists())
    return {
        "system": platform.platform(),
        "untested": untested(),
        "python": platform.python_version(),
        "cpu_threads": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "home": str(home),
        "free_disk_bytes": shutil.disk_usage(existing).free,
    }


def _backends(registry: Registry[Any], options: BackendOptions) -> dict[str, Any]:
    entries = {name: registry.entry(name) for name in registry.names()}
    return {
        name: {"lacks": entry.lacks(options), "licence": entry.licence}
        for name, entry in entries.items()
    }


def _weights(weights: Path | None, *, deep: bool) -> list[dict[str, Any]]:
    from scenelift.weights.bundles import BUNDLES

    return [
        {"bundle": bundle.name, **asdict(status)}
        for bundle in BUNDLES.values()
        for status in bundle.status(weights, verify=deep)
    ]


def _memory_bytes() -> int | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
