"""The bundle of the full quality: SAM 3, MoGe and SAM 3D Objects, from the Hugging Face hub.

    <weights>/full/sam3d/               pipeline.yaml, six more .yaml, six .ckpt: as published
    <weights>/full/sam3d-safetensors/   the same, converted (`scenelift models convert full`)
    <weights>/full/sam3/                config.json, model.safetensors, processor and tokenizer
    <weights>/full/moge/model.pt

`folder` finds a model there and in a few other places. Nothing here imports PyTorch.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from scenelift.errors import InputError, WeightsError
from scenelift.io.files import sha256_of
from scenelift.progress import Reporter
from scenelift.weights import seals
from scenelift.weights.artefact import ArtefactStatus, Role
from scenelift.weights.home import weights_folder
from scenelift.weights.hub import HubFile, HubRepository, fetch, missing_bytes, sha256_in_steps

__all__ = ["MODELS", "Model", "download", "folder", "home_of", "status"]

SPARE_BYTES = 200_000_000  # left free on the disk
INSTEAD = (
    "If the files are on another machine, copy them into a folder and give it with --weights DIR, "
    "or put them under the folder that SCENELIFT_HOME names. --quality embedded works without them."
)

_SAM_LICENCE = "SAM License; commercial use under conditions: see the licence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One published model.

    Attributes:
        name: its folder.
        purpose: what it is for, a few words.
        role: the stage that runs it.
        licence: of the weights; `repository` has its text.
        repository: where its files come from.
        files: all of them.
        signs: files that tell that a folder holds this model: any one of each group.
    """

    name: str
    purpose: str
    role: Role
    licence: str
    repository: HubRepository
    files: tuple[HubFile, ...]
    signs: tuple[tuple[str, ...], ...]

    def lies_in(self, folder: Path) -> bool:
        """Whether a folder holds this model, by the names of its main files."""
        return all(any((folder / name).is_file() for name in group) for group in self.signs)


def _checkpoint(name: str, size: int, sha256: str, *, needed: bool = True) -> HubFile:
    return HubFile(name=name, path=f"checkpoints/{name}", size=size, sha256=sha256, needed=needed)


_SAM3 = Model(
    name="sam3",
    purpose="from a phrase to masks",
    role="segment",
    licence=_SAM_LICENCE,
    repository=HubRepository(
        hub_id="facebook/sam3",
        revision="3c879f39826c281e95690f02c7821c4de09afae7",
        gated=True,
    ),
    files=(
        HubFile(
            name="model.safetensors",
            path="model.safetensors",
            size=3_439_938_512,
            sha256="6d06f0a5f84e435071fe6603e61d0b4cc7b40e0d39d487cfd4d67d8cc11cc14a",
        ),
        HubFile(name="config.json", path="config.json"),
        HubFile(name="processor_config.json", path="processor_config.json"),
        HubFile(name="tokenizer.json", path="tokenizer.json"),
        HubFile(name="tokenizer_config.json", path="tokenizer_config.json"),
        HubFile(name="special_tokens_map.json", path="special_tokens_map.json", needed=False),
        HubFile(name="vocab.json", path="vocab.json", needed=False),
        HubFile(name="merges.txt", path="merges.txt", needed=False),
        HubFile(name="LICENSE", path="LICENSE", needed=False),
    ),
    signs=(("config.json",), ("model.safetensors", "model.safetensors.index.json")),
)

_MOGE = Model(
    name="moge",
    purpose="depth and camera",
    role="pointmap",
    licence="MIT",
    repository=HubRepository(
        hub_id="Ruicheng/moge-vitl", revision="ad326bfb61facd6c52b5a825bc1e34d7c97d9672"
    ),
    files=(
        HubFile(
            name="model.pt",
            path="model.pt",
            size=1_256_823_446,
            sha256="da96b09a0485a3c45a5aa455e67743c8b4efc4dd8437c1f2aa93c2b4303d957f",
        ),
    ),
    signs=(("model.pt", "model.safetensors"),),
)

_SAM3D = Model(
    name="sam3d",
    purpose="shape, appearance and pose",
    role="reconstruct",
    licence=_SAM_LICENCE,
    repository=HubRepository(
        hub_id="facebook/sam-3d-objects",
        revision="2e73555018d2741ccd486e56c24fac41155a1dc6",
        gated=True,
    ),
    files=(
        _checkpoint(
            "pipeline.yaml",
            3548,
            "53c3d226b21df85c0bb3d16e6e4fa63abde0d6167525765eb929d02bfa9d358c",
        ),
        _checkpoint(
            "ss_generator.yaml",
            5076,
            "3c265448bca7c057f94e3ef56adea3a895a10bcd9f15f992a41dd03fa35412cd",
        ),
        _checkpoint(
            "ss_generator.ckpt",
            6_690_136_964,
            "225f40479e4cff4f39d6fa14c55be3abad1475bf55b61af3bec1e19ed2f6c146",
        ),
        _checkpoint(
            "ss_decoder.yaml",
            244,
            "baacff269b664f84f7aa1896ebd66128065f6568cdb88d419d5c3d2ccb4193ae",
        ),
        _checkpoint(
            "ss_decoder.ckpt",
            147_609_242,
            "6dac1cd7b7fda5a38e0614fadae441f1794f80e39ea2981f1ac8aff0a7e99340",
        ),
        _checkpoint(
            "slat_generator.yaml",
            1986,
            "53029fadff6fe34a0344381a16d64d65d0567d603484952712e8969319559c4e",
        ),
        _checkpoint(
            "slat_generator.ckpt",
            4_906_537_684,
            "91529bde8e7daa12d09618a66c319e3a5a6398db6b23b958cedcb1c3f28faabb",
        ),
        _checkpoint(
            "slat_decoder_gs.yaml",
            576,
            "53f054e02a0c185f0a6885d30bb6ca0ec92efe0a98148688e7f05f7c26afe670",
        ),
        _checkpoint(
            "slat_decoder_gs.ckpt",
            171_476_155,
            "f8077c36a06eaf890dd93cda1937411f793dea1eb80b3dd9329f2038ba84a111",
        ),
        _checkpoint(
            "slat_decoder_gs_4.yaml",
            575,
            "3d1dfd4c56cdac56f30e0cf5eb310d4df973fe25c60ac0a462c86ca4e3bf8b48",
            needed=False,
        ),
        _checkpoint(
            "slat_decoder_gs_4.ckpt",
            170_269_801,
            "731a0eceaa47945b52aa27f650d695b2aea9cc70945751e5609e5cb5b49f0186",
            needed=False,
        ),
        _checkpoint(
            "slat_decoder_mesh.yaml",
            300,
            "8f46952764aa985c50109a56f0b4f07625cdb06457aaded74957d26f3520c69e",
        ),
        _checkpoint(
            "slat_decoder_mesh.ckpt",
            363_726_862,
            "85907b37b67d8ce5b099a96629bdcfbd873eb407dee6b3aa9a75deb15038db33",
        ),
        HubFile(name="LICENSE", path="LICENSE", needed=False),
    ),
    signs=(("pipeline.yaml",), ("ss_generator.ckpt", "ss_generator.safetensors")),
)

# In the order of the pipeline. Revisions are those that sizes and SHA-256 were published for.
MODELS: Mapping[str, Model] = {model.name: model for model in (_SAM3, _MOGE, _SAM3D)}


def home_of(name: str, weights: Path | None = None) -> Path:
    """Where a model's files are put when they are fetched."""
    return weights_folder(weights) / "full" / name


def folder(name: str, weights: Path | None = None) -> Path | None:
    """The folder that holds a model's files, or None. Looks at names only.

    The first of these that holds it, under the weights folder the user names and then under the
    cache: `full/NAME-safetensors` (converted), `full/NAME`, `NAME`; for SAM 3D Objects the
    weights folder itself too, so that the published `checkpoints/` folder can be named as it is.
    Each of them may have the files in a folder `checkpoints/` of its own, as the repository does.

    Args:
        name: "sam3", "moge" or "sam3d".
        weights: folder of all weights in place of the cache.
    """
    model = MODELS[name]
    for root in dict.fromkeys((weights_folder(weights), weights_folder())):
        own = [root / "full" / f"{name}-safetensors", root / "full" / name, root / name]
        if name == "sam3d":
            own.append(root)
        for place in own:
            for candidate in (place, place / "checkpoints"):
                if model.lies_in(candidate):
                    return candidate
    return None


def status(weights: Path | None = None, *, verify: bool = False) -> list[ArtefactStatus]:
    """How every model stands; with `verify`, every byte is read and compared.

    Without it, sizes are looked at, and whether they and the dates are those of the last time.
    """
    return [_status(model, weights, verify=verify) for model in MODELS.values()]


def download(
    report: Reporter, weights: Path | None = None, only: Sequence[str] | None = None
) -> list[str]:
    """Fetch what is missing, and check it.

    Args:
        report: progress in bytes; raises Cancelled.
        weights: folder of all weights in place of the cache.
        only: names of models; all without it.

    Returns:
        Why each model that could not be had could not, and last what else there is to do. Empty:
        everything is there.

    Raises:
        InputError: a name in `only` is none of a model.
        SetupError: the package that talks to the hub is not installed.
        WeightsError: the disk is too full, or another process is fetching into the same folder.
        Cancelled: the user stopped it. What has arrived is kept, down to half a file.
    """
    names = list(MODELS) if only is None else list(only)
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise InputError(f"No model is called {unknown[0]!r}. Known: {', '.join(MODELS)}.")
    waiting = [MODELS[name] for name in names if _needs_fetching(MODELS[name], weights)]
    if not waiting:
        return []

    report = report.at("weights")
    root = weights_folder(weights) / "full"
    total = sum(
        missing_bytes(file, model.repository, root / model.name)
        for model in waiting
        for file in model.files
    )
    free = shutil.disk_usage(_made(root)).free
    if free < total + SPARE_BYTES:
        raise WeightsError(
            f"{_gigabytes(total)} are to be fetched and {root} has {_gigabytes(free)} free. Free "
            "some space, or choose another folder with --weights or the variable SCENELIFT_HOME."
        )

    progress = _Progress(report, total)
    failures = []
    for model in waiting:
        try:
            with FileLock(_made(root / model.name) / ".lock", timeout=0):
                _fetch_model(model, root / model.name, progress)
        except Timeout as exc:
            raise WeightsError(
                f"Another process is fetching into {root / model.name}. Wait for it, or stop it."
            ) from exc
        except WeightsError as exc:
            failures.append(f"{model.name} ({model.purpose}): {exc}")
        else:
            report.note(f"Fetched {model.name}. Licence: {model.licence}, {model.repository.url}.")
    if failures:
        return [*failures, INSTEAD]
    report.send("stage_finished", fraction=1.0)
    return []


class _Progress:
    """How many bytes of all have arrived."""

    def __init__(self, report: Reporter, total: int) -> None:
        self._report, self._total, self._done, self._what = report, total, 0, ""
        self.check = report.check

    def starts(self, what: str) -> None:
        self._what = what
        self.arrived(0)

    def arrived(self, size: int) -> None:
        self._done += size
        amount = f"{_gigabytes(self._done)} of {_gigabytes(self._total)}"
        self._report.update(self._done, self._total, f"{self._what}, {amount}")


def _fetch_model(model: Model, target: Path, progress: _Progress) -> None:
    """Fetch the files that are not there, or are not what they should be."""
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
                repository=model.repository.hub_id,
                revision=model.repository.revision,
            )


def _made(folder: Path) -> Path:
    """The folder, made where it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(
            f"Cannot use {folder}: {exc.strerror or exc}. Choose another folder with --weights or "
            "the variable SCENELIFT_HOME."
        ) from exc
    return folder


def _needs_fetching(model: Model, weights: Path | None) -> bool:
    found = folder(model.name, weights)
    if found is None or _problem(model, found):
        return True
    # What lies elsewhere is the user's; what we have put there ourselves should be sealed.
    return found == home_of(model.name, weights) and not _is_sealed(model, found)


def _is_sealed(model: Model, found: Path) -> bool:
    sealed = seals.read(found)
    return all(
        name in sealed and sealed[name].fits(found / name)
        for name in _expected(model, found)
        if (found / name).is_file()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What a file should be: as published, or as it was when it was converted or fetched."""

    size: int | None
    sha256: str
    needed: bool


def _expected(model: Model, found: Path) -> dict[str, _Expected]:
    sealed = seals.read(found)
    if (found / "ss_generator.safetensors").is_file():  # converted: only we know what it was
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


def _problem(model: Model, found: Path) -> str:
    """Why the files cannot be those they should be, by name and size; "" if they can."""
    for name, expected in _expected(model, found).items():
        path = found / name
        if not path.is_file():
            if expected.needed:
                return f"{model.name} lacks its file {name}"
        elif expected.size not in (None, path.stat().st_size):
            return (
                f"{model.name} is not as published: {name} has {path.stat().st_size} bytes "
                f"instead of {expected.size}"
            )
    return ""


def _status(model: Model, weights: Path | None, *, verify: bool) -> ArtefactStatus:
    found = folder(model.name, weights)
    problem, size, hashes, checked = f"{model.name} is missing", 0, {}, False
    if found is not None:
        names = [name for name in _expected(model, found) if (found / name).is_file()]
        size = sum((found / name).stat().st_size for name in names)
        problem = _problem(model, found)
        if verify and not problem:
            hashes, problem = _read_through(model, found, names)
        else:
            hashes = {name: seal.sha256 for name, seal in seals.read(found).items()}
        checked = not problem and bool(names) and _is_sealed(model, found)
    return ArtefactStatus(
        name=model.name,
        purpose=model.purpose,
        role=model.role,
        essential=True,
        licence=model.licence,
        source=model.repository.url,
        present=not problem,
        size=size,
        problem=problem,
        checked=checked,
        sha256=hashes,
    )


def _read_through(model: Model, found: Path, names: list[str]) -> tuple[dict[str, str], str]:
    """SHA-256 of each file, and what is wrong with them; seals them when nothing is."""
    hashes = {name: sha256_of(found / name) for name in names}
    for name, expected in _expected(model, found).items():
        if name in hashes and not hashes[name].startswith(expected.sha256):
            seals.forget(found)
            return hashes, (
                f"{model.name} is damaged: {name} has SHA-256 {hashes[name]} instead of "
                f"{expected.sha256}"
            )
    seals.write(found, hashes, repository=model.repository.hub_id)
    return hashes, ""


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
