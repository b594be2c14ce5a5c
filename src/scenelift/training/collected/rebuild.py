"""Makes mesh packs of what a manifest names: fetched, read, stood upright, made small, coloured."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.files import write_bytes
from scenelift.training.collected.reading import flat_coloured, read_model
from scenelift.training.collected.repositories import Checkout, fetch_folders
from scenelift.training.collected.rows import Row, read_rows
from scenelift.training.collected.sdf import linked_models, read_sdf
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.decimation import decimated
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.pack import MeshPack, Model, write_pack
from scenelift.training.scenes.solids import canonical

__all__ = ["GITHUB", "Collection", "collect"]

GITHUB = "https://github.com/"
MOST_FACES, FEWER = 12_000, 8_000
OTHER = 0.05  # most that a side may differ from the manifest's, over the longest
POSED = "base.obj"  # one body for all people of MakeHuman: anny makes such people here
LICENCES = ("licen", "copying", "notice", "readme")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What came of one source.

    Attributes:
        source: its name.
        models: how many are in its pack.
        left_out: id and reason of each that is not.
    """

    source: str
    models: int
    left_out: tuple[tuple[str, str], ...]


def collect(
    manifest: Path,
    folder: Path,
    *,
    base: str = GITHUB,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Collection, ...]:
    """Fetch a manifest's models and write a pack of each source.

    `folder` gets `repositories/`, `models/*.npz`, `licences/` and `attribution.txt`. What is
    complete is not made again.

    Args:
        base: where repositories are.
        only: names of sources; none is all.

    Raises:
        InputError: the manifest cannot be used, or has no such source.
        SetupError: there is no git, or a repository cannot be fetched.
    """
    rows = read_rows(manifest)
    by_source: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
    absent = sorted(set(only) - set(by_source))
    if absent:
        raise InputError(
            f"The manifest has no source {absent[0]!r}. It has: {', '.join(sorted(by_source))}."
        )
    (folder / "models").mkdir(parents=True, exist_ok=True)
    done = []
    for source, ours in by_source.items():
        if only and source not in only:
            continue
        collection = _complete(folder, source, ours) or _collected(folder, source, ours, base)
        done.append(collection)
        say(f"{source}: {collection.models} models, {len(collection.left_out)} left out")
    write_bytes(folder / "attribution.txt", _attribution(rows).encode())
    return tuple(done)


def _files(folder: Path, source: str) -> tuple[Path, Path]:
    return folder / "models" / f"{source}.npz", folder / "models" / f"{source}.left-out.json"


def _complete(folder: Path, source: str, rows: Sequence[Row]) -> Collection | None:
    """Return what an earlier call made of these very rows."""
    pack, rest = _files(folder, source)
    if not rest.is_file():  # written last
        return None
    summary = json.loads(rest.read_text("utf-8"))
    if summary["rows"] != _identity(rows):
        return None
    left_out = tuple((name, reason) for name, reason in summary["left_out"])
    models = len(MeshPack.read(pack).models) if pack.is_file() else 0
    return Collection(source=source, models=models, left_out=left_out)


def _identity(rows: Sequence[Row]) -> list[str]:
    return [f"{row.id} {row.repository}@{row.commit}:{row.path}" for row in rows]


def _collected(folder: Path, source: str, rows: Sequence[Row], base: str) -> Collection:
    checkouts: dict[tuple[str, str], Checkout] = {}
    for place in dict.fromkeys((row.repository, row.commit) for row in rows):
        ours = [row for row in rows if (row.repository, row.commit) == place]
        checkouts[place] = _fetched(place, ours, base, folder / "repositories")
        _keep_licences(checkouts[place], ours, folder / "licences" / place[0].replace("/", "+"))
    models: list[Model] = []
    left_out: list[tuple[str, str]] = []
    for row in rows:
        try:
            models.append(_model(row, checkouts[row.repository, row.commit].folder))
        except InputError as exc:
            left_out.append((row.id, str(exc)))
    pack, rest = _files(folder, source)
    if models:
        write_pack(models, pack)
    summary = {"rows": _identity(rows), "left_out": left_out}
    write_bytes(rest, json.dumps(summary, ensure_ascii=False, indent=1).encode())
    return Collection(source=source, models=len(models), left_out=tuple(left_out))


def _fetched(place: tuple[str, str], rows: Sequence[Row], base: str, under: Path) -> Checkout:
    folders = {row.path.parent for row in rows}
    checkout = fetch_folders(*place, folders, base, under)
    # Simulators' models borrow each other's meshes.
    linked = set()
    for row in rows:
        file = checkout.folder / row.path
        if file.suffix == ".sdf" and file.is_file():
            linked |= {row.path.parent.parent / name for name in linked_models(file)}
    if linked <= folders:
        return checkout
    return fetch_folders(*place, folders | linked, base, under)


def _keep_licences(checkout: Checkout, rows: Iterable[Row], folder: Path) -> None:
    """Write what states the licences beside the models: the files named, and those at the top."""
    names = checkout.names()
    matching = {n for n in names if "/" not in n and n.lower().startswith(LICENCES)}
    for row in rows:
        named = {row.stated} if row.stated in names else set(row.stated.replace(",", " ").split())
        matching |= named & names
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(matching):
        file = folder / name.replace("/", "__")
        if not file.is_file():
            write_bytes(file, checkout.content(name))


def _model(row: Row, folder: Path) -> Model:
    if row.path.name == POSED:
        raise InputError(
            "a posed body of MakeHuman's: `scenelift train pack --people` makes others"
        )
    file = folder / row.path
    surface = read_sdf(file) if file.suffix == ".sdf" else read_model(file)
    surface = _upright(surface, np.array(row.size))
    if len(surface.faces) > MOST_FACES:
        surface = decimated(flat_coloured(surface), FEWER)
    entry = Entry(
        id=row.id,
        name=row.name,
        author=row.author,
        licence=row.licence,
        size=row.size,
        rotation=None,
        top=None,
        archive=Path(),
        path="",
    )
    return Model(entry=entry, label=row.label, split=row.split, surface=surface)


def _upright(surface: Surface, size: NDArray[np.float64]) -> Surface:
    """Bring a surface to the canonical frame, y or z up as the manifest's proportions say.

    Raises:
        InputError: neither has them.
    """
    z_up = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    used = surface.vertices[np.unique(surface.faces)]
    if not np.isfinite(used).all() or not np.ptp(used, axis=0).any():
        raise InputError("it has no extent")
    both = [canonical(surface), canonical(surface.moved(z_up))]
    errors = [np.abs(sides - size / size.max()).max() for _, sides in both]
    best = int(np.argmin(errors))
    if errors[best] > OTHER:
        sides = " x ".join(f"{side:.2f}" for side in both[best][1])
        expected = " x ".join(f"{side:.2f}" for side in size / size.max())
        raise InputError(f"its sides are {sides}, the manifest's {expected}")
    return both[best][0]


def _attribution(rows: Iterable[Row]) -> str:
    """List the authors of each licence, public domain last."""
    authors: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        authors[row.licence].add(row.author)
    order = sorted(authors, key=lambda licence: (licence.startswith("CC0"), licence))
    return "".join(f"{licence}: {'; '.join(sorted(authors[licence]))}\n" for licence in order)
