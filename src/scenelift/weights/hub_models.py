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
    <weights>/pbr/                      trellis2/, trellis-structure/, dinov3-large/; pixal3d/, naf/

`locate` finds a model there and in a few other places. Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
import shutil
import struct
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
from scenelift.weights.locate import command_for, home_of, hub_cache
from scenelift.weights.locate import locate as folder
from scenelift.weights.offers import Offer, look_up
from scenelift.weights.published import Model, by_name_only, of_quality

__all__ = ["HubBundle", "folder", "home_of", "spoken_size"]

SPARE_BYTES = 200_000_000  # left free on the disk
MOST_HEADER_BYTES = 10_000_000  # of a safetensors file
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

    @property
    def further(self) -> tuple[str, ...]:
        """Names of models that lie beside them and are fetched by name only."""
        return by_name_only(self.quality)

    def status(self, weights: Path | None = None, *, verify: bool = False) -> list[ArtefactStatus]:
        """Return the status of every model; with `verify`, every byte is read and compared.

        Without it, sizes are looked at, and whether they and the dates are those of the last time.
        Those that are fetched by name only are among them where they are here.
        """
        essential = {
            name: self.quality not in published.MODELS[name].optional_in for name in self.names
        }
        here = [name for name in self.further if folder(name, weights) is not None]
        return [
            _status(
                published.MODELS[name], weights, verify=verify, essential=essential.get(name, False)
            )
            for name in (*self.names, *here)
        ]

    def offers(
        self,
        only: Sequence[str] | None = None,
        revision: str | None = None,
        weights: Path | None = None,
    ) -> list[Offer]:
        """Look up what is to be fetched at a revision that the user names, and under which terms.

        Args:
            only, weights: as for `download`, which takes the offers that the user has accepted.
            revision: commit, branch or tag; None where the user names none.

        Raises:
            InputError: a revision is wanting, or is given for models that have theirs.
            WeightsError: the hub does not have it, or cannot be asked.
        """
        models = self._chosen(only)
        named = [model for model in models if not model.pinned]
        if revision is None:
            for model in named:
                if _needs_fetching(model, weights):
                    raise InputError(_revision_wanting(model))
            return []
        if not named:
            without = [n for n in self.further if not published.MODELS[n].pinned]
            raise InputError(
                f"--revision {revision} is for a model that has none here "
                f"({', '.join(without) or 'there is none in this bundle'}), by --only: the others "
                "are fetched at the revision that their sizes and hashes belong to."
            )
        return [look_up(model, revision) for model in named]

    def download(
        self,
        report: Reporter,
        weights: Path | None = None,
        only: Sequence[str] | None = None,
        offers: Sequence[Offer] = (),
    ) -> list[str]:
        """Fetch what is missing, and check it.

        Args:
            report: progress in bytes; raises Cancelled.
            weights: folder of all weights in place of the cache.
            only: names of models; all of the quality's without it.
            offers: of `offers`, whose terms the user has accepted.

        Returns:
            Why each model that could not be had could not, and last what else there is to do.
            Empty: everything is there.

        Raises:
            InputError: a name in `only` is none of a model, or it must be offered first.
            SetupError: the package that talks to the hub is not installed.
            WeightsError: the disk is too full, or another process is fetching into the same folder.
            Cancelled: the user stopped it. What has arrived is kept, down to half a file.
        """
        accepted = {offer.model.name: offer.model for offer in offers}
        waiting = []
        for model in self._chosen(only):
            if model.name in accepted:
                waiting.append(accepted[model.name])
            elif _needs_fetching(model, weights):
                if not model.pinned:
                    raise InputError(_revision_wanting(model))
                waiting.append(model)
        return _download(waiting, report, weights)

    def _chosen(self, only: Sequence[str] | None) -> list[Model]:
        """Return the models of these names, in the order of the pipeline."""
        names = (*self.names, *self.further)
        for name in only or ():
            if name not in names:
                raise InputError(f"No model is called {name!r}. Known: {', '.join(names)}.")
        picks = self.names if only is None else [name for name in names if name in only]
        return [published.MODELS[name] for name in picks]


def _revision_wanting(model: Model) -> str:
    """Explain that the user has to name a revision, and which one others take."""
    text = (
        f"No checksums of {model.name} were published that a revision could be pinned by. Name the "
        f"revision that you want, of {model.repository.url}/commits/main: its files are compared "
        "with the sizes and SHA-256 that the hub tells for it."
    )
    if model.unclear is not None:
        text += (
            f" {command_for(model.name)} --revision {model.unclear.revision} takes the one that "
            f"other public programs pin. Its licence is not plain. {model.unclear.question} You "
            "are shown what the hub says of it, and asked, before anything is fetched."
        )
    return text


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
    if seals.revision(target) not in ("", model.repository.revision):
        seals.forget(target)  # what is the same by its hash is kept, the rest is fetched again
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
    if _in_another_form(model, location):
        return False
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
    if _in_another_form(model, location):
        name = model.signs[0][0]
        sha256 = sealed[name].sha256 if name in sealed else ""
        return {name: _Expected(size=None, sha256=sha256, needed=True)}
    return {
        file.name: _Expected(
            size=file.size,
            sha256=file.sha256 or (sealed[file.name].sha256 if file.name in sealed else ""),
            needed=file.needed,
        )
        for file in model.files
    }


def _in_another_form(model: Model, location: Path) -> bool:
    """Tell whether the user's own file of the same weights lies there, by a tensor's name in it."""
    if not model.other_form:
        return False
    try:
        with (location / model.signs[0][0]).open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, MOST_HEADER_BYTES)))
    except (OSError, ValueError, struct.error, RecursionError):
        return False
    return isinstance(header, dict) and model.other_form in header


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
