"""Photographs and panoramas of real places, as surroundings and textures of training scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.errors import InputError

__all__ = ["KINDS", "Pictures", "gather_pictures"]

KINDS: tuple[str, ...] = ("panoramas", "photos", "textures")
SIDES = {"panoramas": 1024, "photos": 448, "textures": 320}
"""Longest side in pixels at which each kind is kept: scenes are 512 wide."""
JPEG_QUALITY = 82


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Surroundings for scenes; all uint8 [h, w, 3], sRGB.

    Attributes:
        panoramas: equirectangular, the horizon half way down.
        photos: of things and places.
        textures: that repeat.
    """

    panoramas: tuple[NDArray[np.uint8], ...] = ()
    photos: tuple[NDArray[np.uint8], ...] = ()
    textures: tuple[NDArray[np.uint8], ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Pictures:
        """Read what `gather_pictures` wrote; nothing where there is no such folder."""

        def all_of(kind: str) -> tuple[NDArray[np.uint8], ...]:
            paths = sorted((folder / kind).glob("*.jpg"))
            return tuple(
                np.asarray(Pillow.open(path, formats=["JPEG"]).convert("RGB")) for path in paths
            )

        return cls(**{kind: all_of(kind) for kind in KINDS})


def gather_pictures(source: Path, out: Path) -> dict[str, int]:
    """Make small copies of the photographs that scenes may be surrounded by.

    Args:
        source: folder with `photos.jsonl` and `textures.jsonl`, whose rows say which file is what.
        out: folder to write, one subfolder a kind.

    Returns:
        How many there are of each kind.

    Raises:
        InputError: there are no such lists.
    """
    count = dict.fromkeys(KINDS, 0)
    for kind, path in _files_of(source):
        picture = Pillow.open(path, formats=["JPEG", "PNG", "WEBP", "TIFF"]).convert("RGB")
        picture.thumbnail((SIDES[kind], SIDES[kind]), Pillow.Resampling.LANCZOS)
        target = out / kind / f"{path.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target, quality=JPEG_QUALITY)
        count[kind] += 1
    if not any(count.values()):
        raise InputError(f"{source} has no photos.jsonl or textures.jsonl that names pictures.")
    return count


def _files_of(source: Path) -> Iterator[tuple[str, Path]]:
    for name in ("photos.jsonl", "textures.jsonl"):
        if not (source / name).is_file():
            continue
        for line in (source / name).read_text("utf-8").splitlines():
            row = json.loads(line)
            path = source / row["file"]
            if row.get("kind", "").startswith("panorama"):
                yield "panoramas", path
            elif name == "textures.jsonl":
                yield "textures", path
            elif path.suffix == ".jpg":
                yield "photos", path
