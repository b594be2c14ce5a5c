"""Read options that people write as text: memory, heights, densities, formats."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from scenelift.errors import InputError, SetupError
from scenelift.formats import EXTRA_FORMATS
from scenelift.prompts import parse_boxes, parse_points, show_box, show_point
from scenelift.types import BoxPrompt, PointPrompt

__all__ = [
    "EXTRA_FORMATS",
    "UNLIMITED",
    "Density",
    "KnownLength",
    "read_boxes",
    "read_bytes",
    "read_densities",
    "read_device",
    "read_few_splats",
    "read_formats",
    "read_known",
    "read_points",
    "show_boxes",
    "show_bytes",
    "show_densities",
    "show_few_splats",
    "show_known",
    "show_points",
]

UNLIMITED = sys.maxsize
"""Bytes of `--vram max`."""

LEAST_MEMORY = 10**6
"""Bytes: what is less is a number whose unit was left out."""

HEAVIEST = 100_000
"""kg/m³: osmium has 22 590, and what is far beyond that is a slip of units."""

_MEMORY = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_DENSITIES = {"": 1.0, "kg/m3": 1.0, "kg/m³": 1.0, "g/cm3": 1000.0, "g/cm³": 1000.0}
_LENGTHS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLength:
    """The true height of something in the photo, in metres: what `--known "door=2.0m"` says."""

    label: str
    metres: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """How heavy a cubic metre of a thing is: what `--density "cup=900kg/m3"` says."""

    label: str
    kg_per_m3: float


def read_bytes(text: str) -> int:
    """Read an amount of memory such as "8GB", "7.5 GiB", "6000MB" or "max", in bytes.

    Raises:
        InputError: it is not an amount of memory, or one that nothing fits in.
    """
    if text.strip().lower() == "max":
        return UNLIMITED
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b)?\s*", text.lower())
    size = round(float(match[1]) * _MEMORY[match[2] or ""]) if match else 0
    if size < LEAST_MEMORY:  # "8" is a slip for 8GB
        raise InputError(
            f"{text!r} is not an amount of memory. Give one such as 8GB or 7.5GiB, or max."
        )
    return size


def show_bytes(size: int) -> str:
    """Write an amount of memory exactly, as `read_bytes` reads it, in the largest whole unit."""
    if size == UNLIMITED:
        return "max"
    for unit in ("GB", "GiB", "MB", "MiB"):
        if size % _MEMORY[unit.lower()] == 0:
            return f"{size // _MEMORY[unit.lower()]}{unit}"
    return str(size)


def read_known(texts: Sequence[str] | None) -> tuple[KnownLength, ...]:
    """Read known heights: each is a label, =, and a height with its unit.

    Raises:
        InputError: one is not that, or no height.
    """
    lengths: list[KnownLength] = []
    for text in texts or []:
        label, _, height = text.rpartition("=")
        match = re.fullmatch(r"\s*([0-9]*[.,]?[0-9]+)\s*([a-z]+)\s*", height.lower())
        if not (label.strip() and match and match[2] in _LENGTHS):
            raise InputError(
                f"{text!r} does not give a known height. Give a label and a height with its unit "
                f'({", ".join(_LENGTHS)}), for example --known "door=2.0m".'
            )
        metres = float(match[1].replace(",", ".")) * _LENGTHS[match[2]]
        if not metres > 0:
            raise InputError(f"The height in {text!r} must be more than 0.")
        lengths.append(KnownLength(label=label.strip(), metres=metres))
    return tuple(lengths)


def show_known(lengths: Sequence[KnownLength]) -> list[str]:
    """Write known heights exactly, as `read_known` reads them."""
    return [f"{k.label}={Decimal(repr(k.metres)):f}m" for k in lengths]


def read_densities(texts: Sequence[str] | None) -> tuple[Density, ...]:
    """Read densities: each is a label or a word of labels, =, and kg/m³ (or another unit).

    Raises:
        InputError: one is not that, or no density.
    """
    densities: list[Density] = []
    for text in texts or []:
        label, _, value = text.rpartition("=")
        match = re.fullmatch(r"\s*([0-9]*[.,]?[0-9]+)\s*(\S*)\s*", value.lower())
        if not (label.strip() and match and match[2] in _DENSITIES):
            raise InputError(
                f"{text!r} does not give a density. Give a label and kilograms in a cubic "
                'metre, for example --density "cup=900kg/m3" (or g/cm3).'
            )
        density = float(match[1].replace(",", ".")) * _DENSITIES[match[2]]
        if not 0 < density < HEAVIEST:
            raise InputError(
                f"The density in {text!r} must be more than 0 and less than {HEAVIEST:,} kg/m³."
            )
        densities.append(Density(label=label.strip(), kg_per_m3=density))
    return tuple(densities)


def show_densities(densities: Sequence[Density]) -> list[str]:
    """Write densities exactly, as `read_densities` reads them."""
    return [f"{d.label}={Decimal(repr(d.kg_per_m3)):f}kg/m3" for d in densities]


def read_formats(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Read the names of further file formats: a list, or a text with commas.

    Raises:
        InputError: one of them is unknown.
        SetupError: one needs a package that is not installed.
    """
    texts = [value] if isinstance(value, str) else value or []
    names = (name.strip().lower() for text in texts for name in text.replace(";", ",").split(","))
    formats = tuple(dict.fromkeys(name for name in names if name))
    for name in formats:
        if name not in EXTRA_FORMATS:
            raise InputError(f"{name!r} is not a known format. Known: {', '.join(EXTRA_FORMATS)}.")
        for module, extra in EXTRA_FORMATS[name].packages:
            if find_spec(module) is None:
                raise SetupError(
                    f"The format {name} needs a package: pip install 'scenelift[{extra}]'."
                )
    return formats


def read_boxes(texts: Sequence[str], *, positive: bool = True) -> tuple[BoxPrompt, ...]:
    """Read boxes of a prompt, by `prompts.parse_boxes`."""
    return parse_boxes(texts, positive=positive)


def show_boxes(boxes: Sequence[BoxPrompt]) -> list[str]:
    """Write boxes as `read_boxes` reads them."""
    return [show_box(box) for box in boxes]


def read_points(texts: Sequence[str], *, positive: bool = True) -> tuple[PointPrompt, ...]:
    """Read points of a prompt, by `prompts.parse_points`."""
    return parse_points(texts, positive=positive)


def show_points(points: Sequence[PointPrompt]) -> list[str]:
    """Write points as `read_points` reads them."""
    return [show_point(point) for point in points]


def read_device(device: Any) -> str:
    """Read a device as PyTorch names it: "CPU" is "cpu", 1 is "cuda:1", None is "auto".

    Raises:
        InputError: it is not a device.
    """
    name = device
    if device is None:
        name = "auto"
    elif not isinstance(device, bool) and hasattr(device, "__index__") and int(device) >= 0:
        name = f"cuda:{int(device)}"
    elif type(device).__module__.partition(".")[0] == "torch":
        name = str(device)
    if isinstance(name, str):
        name = re.sub(r"\bgpu\b", "cuda", "".join(name.lower().split()))
        if re.fullmatch(
            r"auto|(?:cpu|mps|xpu)(?::\d+)?|cuda:all|cuda(?::\d+)?(?:,cuda:\d+)*", name
        ):
            return name
    raise InputError(
        f"device is {device!r}; expected auto, cpu, cuda, cuda:1, several such as cuda:0,cuda:1, "
        "cuda:all, or mps."
    )


def read_few_splats(few: bool) -> int:
    """Read the number of splats per voxel: 4 or 32."""
    return 4 if few else 32


def show_few_splats(count: int) -> bool:
    """Write a number of splats as `read_few_splats` reads it."""
    return count == 4
