"""Converts the published checkpoints of SAM 3D Objects to safetensors, once.

The result loads faster, holds no pickle, has the large matrices in the precision they are computed
in, and stores DINOv2 once: the published files have four copies of that frozen network.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from scenelift.errors import InputError, OutputError, WeightsError
from scenelift.io.files import TEMPORARY_PREFIX, sha256_of
from scenelift.models.sam3d.checkpoints import CheckpointFolder
from scenelift.models.slat.precision import to_half
from scenelift.progress import Reporter
from scenelift.weights import published, seals
from scenelift.weights.locate import home_of, places
from scenelift.weights.tensor_files import write_tensors

__all__ = ["PRECISIONS", "convert"]

PRECISIONS = ("fp16", "fp32")

_BACKBONE = ".backbone."  # of DINOv2 inside a condition embedder: what follows is its tensor's name
_CONDITION = "_base_models.condition_embedder."


def convert(
    report: Reporter,
    weights: Path | None = None,
    *,
    precision: str = "fp16",
    out: Path | None = None,
) -> Path:
    """Write the weights as safetensors beside the published ones, which stay.

    Args:
        report: progress; raises Cancelled between tensors.
        weights: folder of all weights in place of the cache.
        precision: "fp16" stores the large matrices as float16, which is what they are computed in
            on a GPU; "fp32" leaves every tensor in its published type.
        out: where to write; without it, where `locate` looks first.

    Returns:
        The folder.

    Raises:
        InputError: an unknown precision.
        WeightsError: there is nothing to convert, a file is damaged, the disk is too full,
            or another process is converting.
        OutputError: `out` is the folder to convert, or cannot be written.
        Cancelled: the user stopped it; nothing is left of the conversion.
    """
    if precision not in PRECISIONS:
        raise InputError(f"There is no precision {precision!r}. Known: {', '.join(PRECISIONS)}.")
    source = _published(weights)
    out = home_of("sam3d-safetensors", weights) if out is None else out
    if out.resolve() == source.resolve():
        raise OutputError(f"{out} is the folder to convert: choose another one for the result.")
    names = [f.name for f in published.MODELS["sam3d"].files if (source / f.name).is_file()]
    stems = [Path(name).stem for name in names if name.endswith(".ckpt")]
    total = sum((source / f"{stem}.ckpt").stat().st_size for stem in stems)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # A whole folder appears at once, so that half a conversion is never taken for one.
        with (
            FileLock(out.parent / ".convert.lock", timeout=0),
            _workplace(out.parent) as temporary,
        ):
            _require_space(out.parent, total, precision)
            output = temporary / "made"
            output.mkdir()
            _write_all(CheckpointFolder(source), stems, output, precision, total, report)
            for name in names:
                if not name.endswith(".ckpt"):
                    shutil.copyfile(source / name, output / name)
            hashes = {path.name: sha256_of(path) for path in output.glob("*.yaml")}
            seals.write(output, hashes, precision=precision)
            if out.exists():
                out.replace(temporary / "before")
            output.replace(out)
    except Timeout as exc:
        raise WeightsError(
            f"Another process is converting into {out.parent}. Wait for it, or stop it."
        ) from exc
    except OSError as exc:
        raise OutputError(f"Cannot write to {out}: {exc.strerror or exc}.") from exc
    report.at("convert").send("stage_finished", fraction=1.0)
    return out


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Context: make a temporary folder, and first delete those of killed conversions."""
    prefix = f"{TEMPORARY_PREFIX}convert-"
    for leftover in folder.glob(f"{prefix}*"):  # nobody else's: we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as temporary:
        yield Path(temporary)


def _published(weights: Path | None) -> Path:
    """Find the folder with the published files, converted before or not."""
    for place in places("sam3d", weights):
        if (place / "ss_generator.ckpt").is_file():
            return place
    raise WeightsError(
        "There are no published checkpoints of SAM 3D Objects to convert. `scenelift models "
        "download full --only sam3d` fetches them; --weights DIR names a folder that has them."
    )


def _require_space(folder: Path, total: int, precision: str) -> None:
    bytes_required = total // 2 if precision == "fp16" else total
    free = shutil.disk_usage(folder).free
    if free < bytes_required:
        raise WeightsError(
            f"The conversion takes about {bytes_required / 1e9:.1f} GB and {folder} has "
            f"{free / 1e9:.1f} GB free. Free some space, or choose another folder with --out."
        )


def _write_all(
    files: CheckpointFolder,
    stems: list[str],
    output: Path,
    precision: str,
    total: int,
    report: Reporter,
) -> None:
    report = report.at("convert")
    backbone: dict[str, tuple[str, Tensor]] = {}  # of the first copy: where it is, its value
    expected = total // 2 if precision == "fp16" else total
    byte_count, stem = 0, ""

    def count(size: int) -> None:
        nonlocal byte_count
        byte_count += size
        report.update(byte_count, expected, f"{stem}, {byte_count / 1e9:.1f} GB written")

    for stem in stems:
        count(0)
        tensors = files.tensors(stem)
        digest = write_tensors(
            output / f"{stem}.safetensors",
            tensors,
            types=_types(tensors, precision),
            same_as=_twins(f"{stem}.safetensors", tensors, backbone, report),
            on_bytes=count,
        )
        seals.write(output, {f"{stem}.safetensors": digest})


def _types(tensors: Mapping[str, Tensor], precision: str) -> dict[str, torch.dtype]:
    if precision == "fp16":  # `to_half` decides by names and shapes: no value is needed
        tensors = to_half({name: torch.empty_like(t, device="meta") for name, t in tensors.items()})
    return {name: tensor.dtype for name, tensor in tensors.items()}


def _twins(
    file: str,
    tensors: Mapping[str, Tensor],
    backbone: dict[str, tuple[str, Tensor]],
    report: Reporter,
) -> dict[str, str]:
    """Find tensors of DINOv2 that equal those of the first copy.

    The first copy's tensors are added to `backbone` when they are met.
    """
    same_as = {}
    for name, tensor in sorted(tensors.items()):
        if not name.startswith(_CONDITION) or _BACKBONE not in name:
            continue
        report.check()
        part = name.partition(_BACKBONE)[2]
        place, first = backbone.setdefault(part, (f"{file}:{name}", tensor))
        if first is not tensor and first.dtype == tensor.dtype and torch.equal(first, tensor):
            same_as[name] = place
    return same_as
