"""Lists the models for training: the catalogue, pybullet's solids, made-up things, people."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import trimesh

from scenelift.training.scenes.catalogue import Entry, catalogue
from scenelift.training.scenes.classes import held_out, label_of
from scenelift.training.scenes.families import made_up
from scenelift.training.scenes.meshes import Surface, load_entry
from scenelift.training.scenes.pack import Model
from scenelift.training.scenes.people import people
from scenelift.training.scenes.vessels import vessels

__all__ = ["HELD_OUT_AUTHORS_SHARE", "split_of", "training_models"]

HELD_OUT_AUTHORS_SHARE = 0.3
"""Of the authors with few models: all of theirs are kept out of training, to watch it."""

# Leaving out one of these would leave out a kind of object altogether.
LARGE_CATALOGUES = frozenset({"Scopia", "Kator Legaz", "Reallusion", "Jay-Artist"})

# Catalogue names that are drawings on the floor or holes in a wall rather than objects.
NOT_OBJECTS = ("window", "door", "stair", "arrow", "plug", "switch", "socket", "frame")


def split_of(entry: Entry) -> str:
    """Return "test" for the benchmark's models, "val" for held-out authors' ones, else "train"."""
    if entry.id in held_out():
        return "test"
    if entry.author not in LARGE_CATALOGUES:
        first = hashlib.sha256(entry.author.encode()).digest()[0]
        if first < 256 * HELD_OUT_AUTHORS_SHARE:
            return "val"
    return "train"


def training_models(
    pybullet: Path | None = None,
    solids: int = 150,
    turned: int = 0,
    *,
    each: int = 0,
    persons: int = 0,
    only: str | None = None,
) -> Iterator[Model]:
    """List every model that training may see, the benchmark's left out.

    Args:
        pybullet: PyPI's wheel of pybullet 3.2.7 (zlib licence), whose `random_urdfs` are solids
            of no particular kind; None goes without.
        solids: how many of these.
        turned: how many `vessels`.
        each: how many things of every family that is made up.
        persons: how many people of anny, which must be installed for them.
        only: "train" or "val" for the catalogue's models of that split alone.
    """
    for entry in catalogue():
        split = split_of(entry)
        if split == "test" or only not in (None, split):
            continue
        if any(word in entry.name.lower() for word in NOT_OBJECTS):
            continue
        surface = load_entry(entry)
        if surface is not None:
            yield Model(entry=entry, label=label_of(entry), split=split, surface=surface)
    if pybullet is not None:
        yield from _solids(pybullet, solids)
    yield from vessels(turned)
    yield from made_up(each)
    if persons:
        yield from people(persons)


def _solids(wheel: Path, count: int) -> Iterator[Model]:
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(n for n in archive.namelist() if "random_urdfs/" in n and n.endswith(".obj"))
        names = [n for n in names if "coll" not in Path(n).stem]
        for name in names[:: max(1, len(names) // count)][:count]:
            mesh = trimesh.load_mesh(io.BytesIO(archive.read(name)), file_type="obj", process=False)
            vertices = np.asarray(mesh.vertices, np.float64)
            low, high = vertices.min(0), vertices.max(0)
            size = float((high - low).max())
            entry = Entry(
                id=f"pybullet#{Path(name).stem}",
                name="Solid",
                author="Erwin Coumans and others",
                licence="Zlib",
                size=(0.15, 0.15, 0.15),
                rotation=None,
                top=None,
                archive=wheel,
                path=name,
            )
            count_f = len(mesh.faces)
            yield Model(
                entry=entry,
                label="",
                split="train",
                surface=Surface(
                    vertices=((vertices - (low + high) / 2) / size).astype(np.float32),
                    faces=np.asarray(mesh.faces, np.int32),
                    normals=np.asarray(mesh.vertex_normals, np.float32),
                    uv=np.zeros((len(vertices), 2), np.float32),
                    face_color=np.full((count_f, 3), 0.7, np.float32),
                    face_texture=np.full(count_f, -1, np.int32),
                ),
            )
