"""All models of the training scenes in one file of a few dozen megabytes, for another machine.

Vertices are stored in 16 bits a coordinate and textures as small JPEGs: training does not see
the difference, and the file loads without trimesh or the catalogue's archives.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.errors import InputError
from scenelift.io.files import atomic_write
from scenelift.training.scenes.catalogue import Entry
from scenelift.training.scenes.meshes import Surface

__all__ = ["MeshPack", "Model", "join_packs", "write_pack"]

MOST_FACES = 15_000
TEXTURE_SIDE = 192
JPEG_QUALITY = 80
STEPS = 65535  # of a coordinate over −0.5…0.5
COUNTERS = {"v": "v", "n": "v", "uv": "v", "f": "f", "c": "f", "t": "f", "p": "p", "jpeg": "jpeg"}
"""Array of a pack -> what counts a model's rows of it: vertices, faces, colours, texture bytes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """One model.

    Attributes:
        entry: what the catalogue says of it.
        label: word for it, "" for what the plans do not ask for.
        split: "train", or "val" for what is kept out of training to watch it.
        surface: in the canonical frame: y up, inside [−0.5, 0.5]³.
    """

    entry: Entry
    label: str
    split: str
    surface: Surface


def write_pack(models: Iterable[Model], path: Path) -> int:
    """Write a pack; broken models and those of more than `MOST_FACES` triangles are left out.

    Returns:
        How many models are in it.
    """
    about: list[dict] = []
    arrays: dict[str, list[NDArray]] = {name: [] for name in ("v", "f", "n", "uv", "c", "p", "t")}
    for model in models:
        s = model.surface
        if len(s.faces) > MOST_FACES or not np.isfinite(s.vertices).all():
            continue
        palette, of_face = np.unique(
            (s.face_color * 255).round().astype(np.uint8), axis=0, return_inverse=True
        )
        jpegs = [_jpeg(texture) for texture in s.textures]
        arrays["v"].append(((s.vertices.clip(-0.5, 0.5) + 0.5) * STEPS).round().astype(np.uint16))
        arrays["f"].append(s.faces.astype(np.uint32))
        arrays["n"].append((s.normals * 127).round().astype(np.int8))
        # Textures repeat, so whole turns can go; without one, coordinates mean nothing.
        uv = s.uv - np.floor(s.uv.min(0)) if jpegs else np.zeros_like(s.uv)
        uv = uv.clip(0, 1000)
        arrays["uv"].append(uv.astype(np.float16))
        arrays["c"].append(of_face.reshape(-1).astype(np.uint16))
        arrays["p"].append(palette)
        arrays["t"].append(s.face_texture.astype(np.int16))
        entry = model.entry
        about.append(
            {
                "id": entry.id,
                "name": entry.name,
                "author": entry.author,
                "licence": entry.licence,
                "size": entry.size,
                "top": entry.top,
                "label": model.label,
                "split": model.split,
                "textures": [len(j) for j in jpegs],
                "counts": [len(arrays[name][-1]) for name in ("v", "f", "p")],
            }
        )
        arrays.setdefault("jpeg", []).extend(np.frombuffer(j, np.uint8) for j in jpegs)
    joined = {name: np.concatenate(parts) for name, parts in arrays.items() if parts}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with atomic_write(path) as file:
        # The stub matches the mapping with `allow_pickle` too.
        np.savez_compressed(file, about=text, **joined)  # pyright: ignore[reportArgumentType]
    return len(about)


def join_packs(packs: Sequence[Path], out: Path, *, split: str | None = None) -> int:
    """Join several packs into one.

    Args:
        packs: in the order in which their models come.
        split: "train" or "val" for the models of that split alone.

    Returns:
        How many models are in it.

    Raises:
        InputError: one is missing or no pack, or two have a model of the same id.
    """
    about: list[dict] = []
    joined: dict[str, list[NDArray]] = {}
    for path in packs:
        data = _arrays(path)
        at: dict[str, int] = dict.fromkeys(COUNTERS.values(), 0)
        own: dict[str, int] = {}
        for item in json.loads(data["about"].tobytes()):
            # One maker's files in two folders may have one name.
            own[item["id"]] = own.get(item["id"], 0) + 1
            if own[item["id"]] > 1:
                item["id"] += f"~{own[item['id']]}"
            counts: dict[str, int] = dict(zip(("v", "f", "p"), item["counts"], strict=True))
            counts["jpeg"] = sum(item["textures"])
            if split in (None, item["split"]):
                about.append(item)
                for name, counter in COUNTERS.items():
                    if name in data:
                        here = slice(at[counter], at[counter] + counts[counter])
                        joined.setdefault(name, []).append(data[name][here])
            for counter, count in counts.items():
                at[counter] += count
    ids = [item["id"] for item in about]
    double = next((name for name in ids if ids.count(name) > 1), None) if ids else None
    if double is not None:
        raise InputError(f"Two of the packs have a model {double!r}: give each pack once.")
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays = {name: np.concatenate(parts) for name, parts in joined.items()}
    with atomic_write(out) as file:
        # The stub matches the mapping with `allow_pickle` too.
        np.savez_compressed(file, about=text, **arrays)  # pyright: ignore[reportArgumentType]
    return len(about)


def _arrays(path: Path) -> dict[str, NDArray]:
    """Read the arrays of a pack's file.

    Raises:
        InputError: there is none, or it is something else.
    """
    if not path.is_file():
        raise InputError(f"There is no mesh pack at {path}: `scenelift train pack` makes one.")
    try:
        # Read without pickles.
        with np.load(path, allow_pickle=False) as file:  # noqa: TID251
            data = {name: file[name] for name in file.files}
    except (ValueError, OSError, zipfile.BadZipFile) as exc:
        raise InputError(f"{path} is not a mesh pack: {exc}") from exc
    absent = sorted({"about", *COUNTERS} - {"jpeg"} - set(data))
    if absent:
        raise InputError(f"{path} is not a mesh pack: it has no array {absent[0]!r}.")
    return data


def _jpeg(texture: NDArray[np.uint8]) -> bytes:
    picture = Pillow.fromarray(texture)
    picture.thumbnail((TEXTURE_SIDE, TEXTURE_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


class MeshPack:
    """The models of a pack, all in memory."""

    def __init__(self, models: tuple[Model, ...]) -> None:
        self.models = models
        self._by_label: dict[tuple[str, str], list[Model]] = {}
        for model in models:
            self._by_label.setdefault((model.label, model.split), []).append(model)

    @classmethod
    def read(cls, path: Path) -> MeshPack:
        """Read a pack.

        Raises:
            InputError: there is none, or it is not one of `write_pack`.
        """
        data = _arrays(path)
        models: list[Model] = []
        at: dict[str, int] = dict.fromkeys(("v", "f", "p", "jpeg"), 0)

        def take(name: str, counter: str, count: int) -> NDArray:
            return data[name][at[counter] : at[counter] + count]

        for item in json.loads(data["about"].tobytes()):
            v, f, p = item["counts"]
            textures = []
            for size in item["textures"]:
                jpeg = take("jpeg", "jpeg", size).tobytes()
                at["jpeg"] += size
                textures.append(
                    np.asarray(Pillow.open(io.BytesIO(jpeg), formats=["JPEG"]).convert("RGB"))
                )
            palette = take("p", "p", p).astype(np.float32) / np.float32(255)
            surface = Surface(
                vertices=take("v", "v", v).astype(np.float32) / np.float32(STEPS) - np.float32(0.5),
                faces=take("f", "f", f).astype(np.int32),
                normals=take("n", "v", v).astype(np.float32) / np.float32(127),
                uv=take("uv", "v", v).astype(np.float32),
                face_color=palette[take("c", "f", f)],
                face_texture=take("t", "f", f).astype(np.int32),
                textures=tuple(textures),
            )
            for counter, count in (("v", v), ("f", f), ("p", p)):
                at[counter] += count
            entry = Entry(
                id=item["id"],
                name=item["name"],
                author=item["author"],
                licence=item["licence"],
                size=tuple(item["size"]),
                rotation=None,
                top=item["top"],
                archive=path,
                path="",
            )
            models.append(
                Model(entry=entry, label=item["label"], split=item["split"], surface=surface)
            )
        return cls(tuple(models))

    def of_split(self, split: str) -> list[Model]:
        return [model for model in self.models if model.split == split]

    def draw(
        self,
        label: str,
        split: str,
        rng: np.random.Generator,
        weight: Callable[[Model], float] | None = None,
    ) -> tuple[Entry, Surface] | None:
        """Draw a model of that label at random; None where there is none.

        Args:
            weight: how often each is drawn, beside others; None: all alike.
        """
        entries = self._by_label.get((label, split))
        if not entries:
            return None
        if weight is None:
            model = entries[rng.integers(len(entries))]
        else:
            weights = np.array([weight(each) for each in entries])
            model = entries[rng.choice(len(entries), p=weights / weights.sum())]
        return model.entry, model.surface
