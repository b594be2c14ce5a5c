"""Lists the furniture of Debian's `sweethome3d-furniture`, with authors and licences.

Five `.sh3f` files (zip archives), each with a `.properties` list of its models and a licence for
all of them. Only CC0 and CC-BY archives are read. Nothing of it is kept in the repository: it is
fetched by `apt-get download`, which needs no root, into `$SCENELIFT_HOME/benchmarks`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from scenelift.training.scenes.deb import fetch_deb
from scenelift.weights.home import scenelift_home

__all__ = ["Entry", "cache_folder", "catalogue", "fetch_archives"]

PACKAGE = "sweethome3d-furniture"
PROPERTIES = "PluginFurnitureCatalog.properties"

LICENCES = {
    "Public domain": "CC0-1.0",
    "Creative Commons Attribution 3.0": "CC-BY-3.0",
}
"""How a catalogue's licence line starts, and what it means; any other archive is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model of the catalogue.

    Attributes:
        id: "Scopia#bed1", unique.
        name: English name ("Armchair"); many models share one.
        author: who made it, for attribution.
        licence: SPDX identifier, "CC0-1.0" or "CC-BY-3.0".
        size: width, height, depth in metres (x, y, z of the model once it stands upright).
        rotation: row-major 3×3 rotation that stands the model upright, or None.
        top: height in metres where something can be put on it, or None.
        archive, path: where the OBJ file is.
    """

    id: str
    name: str
    author: str
    licence: str
    size: tuple[float, float, float]
    rotation: tuple[float, ...] | None
    top: float | None
    archive: Path
    path: str


def cache_folder() -> Path:
    """Return the folder where benchmarks keep what they fetch and make."""
    return scenelift_home() / "benchmarks"


def fetch_archives() -> tuple[Path, ...]:
    """Return the catalogue's archives, downloaded and unpacked on the first call.

    Raises:
        SetupError: they cannot be downloaded here; the message says how to get them elsewhere.
    """
    return fetch_deb(PACKAGE, cache_folder() / PACKAGE, ".sh3f", size="120 MB")


@lru_cache(maxsize=1)
def catalogue() -> tuple[Entry, ...]:
    """List all CC0 and CC-BY models, in the order of their archives.

    Raises:
        SetupError: the archives cannot be had, see `fetch_archives`.
    """
    return tuple(entry for archive in fetch_archives() for entry in _entries(archive))


def _entries(archive: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(archive) as file:
        properties = _parse(file.read(PROPERTIES).decode("latin-1"))
    catalogue_licence = properties.get("license", "")
    licence = next((v for k, v in LICENCES.items() if catalogue_licence.startswith(k)), None)
    if licence is None:
        return
    count = sum(key.startswith("id#") for key in properties)
    for number in range(1, count + 1):

        def field(key: str, number: int = number) -> str | None:
            return properties.get(f"{key}#{number}")

        model_id, name, path = field("id"), field("name"), field("model")
        width, depth, height = (field(key) for key in ("width", "depth", "height"))
        if not (model_id and name and path and width and depth and height):
            continue
        rotation, top = field("modelRotation"), field("dropOnTopElevation")
        yield Entry(
            id=model_id,
            name=name,
            author=field("creator") or properties.get("name", archive.stem),
            licence=licence,
            size=(float(width) / 100, float(height) / 100, float(depth) / 100),
            rotation=tuple(map(float, rotation.split())) if rotation else None,
            top=float(top) / 100 if top and float(top) > 0 else None,
            archive=archive,
            path=path.lstrip("/"),
        )


def _parse(text: str) -> dict[str, str]:
    """Parse Java properties, as far as the catalogues use them: one `key=value` a line."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    code = re.compile(r"\\u([0-9a-fA-F]{4})")
    return {
        key.strip(): code.sub(lambda match: chr(int(match[1], 16)), value.strip())
        for key, value in pairs
    }
