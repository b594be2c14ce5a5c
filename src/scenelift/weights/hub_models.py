"""Finds published models on this machine, checks and fetches them.

    <weights>/full/sam3d/               pipeline.yaml, six more .yaml, six .ckpt: as published
    <weights>/full/sam3d-safetensors/   the same, converted (`scenelift models convert full`)
    <weights>/full/sam3/                config.json, model.safetensors, processor and tokenizer
    <weights>/full/moge/model.pt
    <weights>/open/trellis/             pipeline.json, ckpts/: as published
    <weights>/open/dinov2-large/        dinov2_vitl14_reg4_pretrain.pth
    <weights>/open/grounding-dino/      config.json, model.safetensors, processor and tokenizer
    <weights>/open/sam2.1/              config.json, model.safetensors, processor
    <weights>/open/moge-2-vitl-normal/  model.pt; for full too. Other sizes lie beside it
    <weights>/light/                    grounding-dino-tiny/, sam2.1-tiny/, moge-2-vits-normal/

`locate` finds a model there and in a few other places. Nothing here imports PyTorch.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from scenelift.errors import InputError, WeightsError
from scenelift.io.files import sha256_of
from scenelift.progress import Reporter
from scenelift.weights import published, seals
from scenelift.weights.artefact import ArtefactStatus
from scenelift.weights.home import weights_folder
from scenelift.weights.hub import fetch, missing_bytes, sha256_in_steps
from scenelift.weights.locate import home_of, hub_cache
from scenelift.weights.locate import locate as folder
from scenelift.weights.published import Model, of_quality

__all__ = ["HubBundle", "folder", "home_of", "spoken_size"]

SPARE_BYTES = 200_000_000  # left free on the disk
INSTEAD = (
    "If the files are on another machine, copy them into a folder and give it with --weights DIR, "
    "or put them under the folder that SCENELIFT_HOME names. --quality embedded works without them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubBundle:
    """The published models of a quality, which are fetched together.

    Attributes:
        quality: its name.
    """

    quality: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its models in `published.MODELS`, in the order of the pipeline."""
        return of_quality(self.quality)

    @property
    def models(self) -> tuple[Model, ...]:
        return tuple(published.MODELS[name] for name in self.names)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(model.size for model in self.models)

    def status(self, weights: Path | None = None, *, verify: bool = False) -> list[ArtefactStatus]:
        """Return the status of every model; with `verify`, every byte is read and compared.

        Without it, sizes are looked at, and whether they and the dates are those of the last time.
        """
        return [
            _status(model, weights, verify=verify, essential=self.quality not in model.optional_in)
            for model in self.models
        ]

    def download(
        self, report: Reporter, weights: Path | None = None, only: Sequence[str] | None = None
    ) -> list[str]:
        """Fetch what is missing, and check it.

        Args:
            report: progress in bytes; raises Cancelled.
            weights: folder of all weights in place of the cache.
            only: names of models; all without it.

        Returns:
            Why each model that could not be had could not, and last what else there is to do.
            Empty: everything is there.

        Raises:
            InputError: a name in `only` is none of a model.
            SetupError: the package that talks to the hub is not installed.
            WeightsError: the disk is too full, or another process is fetching into the same folder.
            Cancelled: the user stopped it. What has arrived is kept, down to half a file.
        """
        unknown = [name for name in only or () if name not in self.names]
        if unknown:
            raise InputError(_not_fetched(unknown[0], weights) or _unknown(unknown[0], self.names))
        models = [model for model in self.models if only is None or model.name in only]
        return _download([m for m in models if _needs_fetching(m, weights)], report, weights)


def _not_fetched(name: str, weights: Path | None) -> str:
    """Say why nothing fetches a model of the catalogue, and what to do; empty if it is none."""
    model = published.MODELS.get(name)
    if model is None or model.qualities:
        return ""
    return (
        f"Nothing fetches {name}. Its licence: {model.licence}. Read the terms at "
        f"{model.repository.url}; if they allow what you want to do, put its files into "
        f"{home_of(name, weights)}."
    )


def _unknown(name: str, names: Sequence[str]) -> str:
    return f"No model is called {name!r}. Known: {', '.join(names)}."


def _download(waiting: Sequence[Model], report: Reporter, weights: Path | None) -> list[str]:
    if not waiting:
        return []
    report = report.at("weights")
    root = weights_folder(weights)
    total = sum(
        missing_bytes(file, model.repository, home_of(model.name, weights))
        for model in waiting
        for file in model.files
    )
    free = shutil.disk_usage(_make_folder(root)).free
    if free < total + SPARE_BYTES:
        raise WeightsError(
            f"{spoken_size(total)} are to be fetched and {root} has {spoken_size(free)} free. Free "
            "some space, or choose another folder with --weights or the variable SCENELIFT_HOME."
        )

    progress = _Progress(report, total)
    failures = []
    for model in waiting:
        target = home_of(model.name, weights)
        # Before the first byte: who does not agree can still stop it.
        report.note(f"Fetching {model.name}. Licence: {model.licence}, {model.repository.url}.")
        try:
            with FileLock(_make_folder(target) / ".lock", timeout=0):
                _fetch_model(model, target, progress)
        except Timeout as exc:
            raise WeightsError(
                f"Another process is fetching into {target}. Wait for it, or stop it."
            ) from exc
        except WeightsError as exc:
            failures.append(f"{model.name} ({model.purpose}): {exc}")
        else:
            report.note(f"Fetched {model.name}.")
    if failures:
        return [*failures, INSTEAD]
    report.send("stage_finished", fraction=1.0)
    return []


class _Progress:
    """Counts how many bytes of all have arrived."""

    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._bytes, self._what = report, total, 0, ""
        self.check = report.check

    def starts(self, what: str) -> None:
        self._what = what
        self.arrived(0)

    def arrived(self, size: int) -> None:
        self._bytes += size
        amount = f"{spoken_size(self._bytes)} of {spoken_size(self._total)}"
        self._report.update(self._bytes, self._total, f"{self._what}, {amount}")


def _fetch_model(model: Model, target: Path, progress: _Progress) -> None:
    """Fetch the files of a model that are missing or damaged."""
    sealed = seals.read(target)
    for file in model.files:
        path, digest = target / file.name, ""
        if path.is_file() and file.name in sealed and sealed[file.name].fits(path):
            continue
        if path.is_file():
            progress.starts(f"checking {model.name}/{file.name}")
            digest = sha256_in_steps(path, progress.check)
            if not file.sha256 or not digest.startswith(file.sha256):
                path.unlink()
        if not path.is_file():
            progress.starts(f"{model.name}/{file.name}")
            digest = fetch(file, model.repository, target, progress.arrived, progress.check)
        if digest:
            seals.write(
                target,
                {file.name: digest},
                repository=model.repository.name,
                revision=model.repository.revision,
            )


def _make_folder(folder: Path) -> Path:
    """Return the folder, made where it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(
            f"Cannot use {folder}: {exc.strerror or exc}. Choose another folder with --weights or "
            "the variable SCENELIFT_HOME."
        ) from exc
    return folder


def _needs_fetching(model: Model, weights: Path | None) -> bool:
    location = folder(model.name, weights)
    if location is None or _problem(model, location):
        return True
    # What lies elsewhere is the user's; what we have put there ourselves should be sealed.
    return location == home_of(model.name, weights) and not _is_sealed(model, location)


def _is_sealed(model: Model, location: Path) -> bool:
    sealed = seals.read(location)
    return all(
        name in sealed and sealed[name].fits(location / name)
        for name in _expected(model, location)
        if (location / name).is_file()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """The expected state of a file: as published, or as it was when converted or fetched."""

    size: int | None
    sha256: str
    needed: bool


def _expected(model: Model, location: Path) -> dict[str, _Expected]:
    sealed = seals.read(location)
    if (location / "ss_generator.safetensors").is_file():  # converted: only we know what it was
        return {
            name: _Expected(size=seal.size, sha256=seal.sha256, needed=True)
            for name, seal in sealed.items()
        }
    return {
        file.name: _Expected(
            size=file.size,
            sha256=file.sha256 or (sealed[file.name].sha256 if file.name in sealed else ""),
            needed=file.needed,
        )
        for file in model.files
    }


def _problem(model: Model, location: Path) -> str:
    """Explain by name and size why the files cannot be right; "" if they can."""
    for name, expected in _expected(model, location).items():
        path = location / name
        if not path.is_file():
            if expected.needed:
                return f"{model.name} lacks its file {name}"
        elif expected.size not in (None, path.stat().st_size):
            return (
                f"{model.name} is not as published: {name} has {path.stat().st_size} bytes "
                f"instead of {expected.size}"
            )
    return ""


def _status(model: Model, weights: Path | None, *, verify: bool, essential: bool) -> ArtefactStatus:
    location = folder(model.name, weights)
    problem, size, hashes, checked = f"{model.name} is missing", 0, {}, False
    if location is not None:
        names = [name for name in _expected(model, location) if (location / name).is_file()]
        size = sum((location / name).stat().st_size for name in names)
        problem = _problem(model, location)
        if verify and not problem:
            hashes, problem = _read_through(model, location, names)
        else:
            hashes = {name: seal.sha256 for name, seal in seals.read(location).items()}
        checked = not problem and bool(names) and _is_sealed(model, location)
    return ArtefactStatus(
        name=model.name,
        purpose=model.purpose,
        role=model.role,
        essential=essential,
        licence=model.licence,
        source=model.repository.url,
        present=not problem,
        size=size,
        problem=problem,
        checked=checked,
        sha256=hashes,
    )


def _read_through(model: Model, location: Path, names: list[str]) -> tuple[dict[str, str], str]:
    """Compute each file's SHA-256, and explain what is wrong; seals them when nothing is."""
    hashes = {name: sha256_of(location / name) for name in names}
    for name, expected in _expected(model, location).items():
        if name in hashes and not hashes[name].startswith(expected.sha256):
            seals.forget(location)
            return hashes, (
                f"{model.name} is damaged: {name} has SHA-256 {hashes[name]} instead of "
                f"{expected.sha256}"
            )
    if not location.is_relative_to(hub_cache()):  # which is not ours to write into
        seals.write(location, hashes, repository=model.repository.name)
    return hashes, ""


def spoken_size(size: int) -> str:
    """Write bytes as people say them: "88 MB", "7.2 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= 999.5e6 else f"{size / 1e6:.0f} MB"
