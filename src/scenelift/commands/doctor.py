"""`scenelift doctor`: what this machine has, which backends can run, and what the others lack."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from typing import Any

import typer

from scenelift.commands import options as opt
from scenelift.commands.shell import print_json, problems
from scenelift.registry import BackendOptions, Registry

__all__ = ["doctor"]

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
    "spconv-triton",
)


def doctor(
    quality: opt.QualityOption = "auto",
    weights: opt.WeightsOption = None,
    device: opt.DeviceOption = "auto",
    json: opt.JsonOption = False,
) -> None:
    """Show what can run here and what is missing.

    Exits with 0 when the asked quality can run, with 4 when it cannot.

    Example: scenelift doctor --quality embedded
    """
    with problems(json):
        from scenelift.config import choose_backends
        from scenelift.errors import SetupError

        options = BackendOptions(weights=weights, device=device)
        findings = examine(options)
        try:
            choice = choose_backends(quality, options)
            findings["quality"] = {"asked": quality, "can_run": True, "uses": choice.quality}
            verdict = f"Quality {quality!r} can run here (it uses {choice.quality!r})."
        except SetupError as exc:
            findings["quality"] = {"asked": quality, "can_run": False, "reason": str(exc)}
            verdict = str(exc)
    if json:
        print_json(findings)
    else:
        _show(findings)
        typer.echo(f"\n{verdict}")
    if not findings["quality"]["can_run"]:
        raise typer.Exit(4)


def examine(options: BackendOptions) -> dict[str, Any]:
    """Facts about machine, packages, backends and weights, ready for JSON."""
    from scenelift.config import QUALITIES, lacking
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS
    from scenelift.weights.home import scenelift_home

    home = scenelift_home()
    existing = next(p for p in (home, *home.parents) if p.exists())
    return {
        "machine": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cpu_threads": len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count(),
            "memory_bytes": _memory_bytes(),
            "home": str(home),
            "free_disk_bytes": shutil.disk_usage(existing).free,
        },
        "packages": {name: _version(name) for name in PACKAGES},
        "backends": {
            registry.role: _backends(registry, options)
            for registry in (SEGMENTERS, POINT_MAPPERS, RECONSTRUCTORS)
        },
        "qualities": {name: lacking(names, options) for name, names in QUALITIES.items()},
        "weights": _weights(options),
    }


def _backends(registry: Registry[Any], options: BackendOptions) -> dict[str, Any]:
    entries = {name: registry.entry(name) for name in registry.names()}
    return {
        name: {"lacks": entry.lacks(options), "licence": entry.licence}
        for name, entry in entries.items()
    }


def _weights(options: BackendOptions) -> list[dict[str, Any]]:
    from scenelift.weights import embedded

    return [
        {"bundle": "embedded", "name": s.name, "present": s.present, "role": s.role}
        for s in embedded.status(options.weights)
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


def _show(findings: dict[str, Any]) -> None:
    machine = findings["machine"]
    memory = machine["memory_bytes"]
    typer.echo(f"{machine['system']}, Python {machine['python']}")
    typer.echo(
        f"{machine['cpu_threads']} CPU threads"
        + (f", {memory / 2**30:.0f} GiB of memory" if memory else "")
        + f", {machine['free_disk_bytes'] / 2**30:.0f} GiB free for {machine['home']}"
    )
    typer.echo("\nPackages")
    for name, version in findings["packages"].items():
        typer.echo(f"  {name:18} {version or 'not installed'}")
    for role, backends in findings["backends"].items():
        typer.echo(f"\n{role.capitalize()}s")
        for name, entry in backends.items():
            state = "ready" if not entry["lacks"] else "; ".join(entry["lacks"])
            typer.echo(f"  {name:18} {state}\n  {'':18} licence: {entry['licence']}")
    typer.echo("\nWeights")
    for entry in findings["weights"]:
        state = "present" if entry["present"] else "missing"
        typer.echo(f"  {entry['bundle']}/{entry['name']:28} {state:8} {entry['role']}")
