"""The file formats in which a scene can be written on request, and who reads each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["EXTRA_FORMATS", "FileFormat", "extra_file", "formats_help", "media_type", "parts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """A format in which a scene can be written beside its usual files.

    Attributes:
        ending: of the file `scene.ENDING`.
        folder: beside it, for files that it refers to.
        per_splat, per_face, of_meshes, of_room: its bytes, about: for every splat, for every face,
            and for every byte of the objects' meshes and of the background's as GLB
            (`python -m benchmarks.format_sizes`).
        readers: who reads it, for help texts and docs.
        packages: modules that writing it needs beyond the core, each with the extra of this
            package that installs it.
    """

    ending: str
    readers: str
    packages: tuple[tuple[str, str], ...] = ()
    folder: str = ""
    per_splat: float = 0.0
    per_face: float = 0.0
    of_meshes: float = 0.0
    of_room: float = 0.0


USD, PHYSICS = ("pxr", "usd"), ("coacd", "physics")

EXTRA_FORMATS: dict[str, FileFormat] = {
    "splats.glb": FileFormat(
        ending="splats.glb",
        readers="meshes and splats in one file: Babylon.js, PlayCanvas, three with its splat addon",
        per_splat=60,
        of_meshes=1.0,
    ),
    "spz": FileFormat(
        ending="spz",
        readers="SPZ 4, small splats: PlayCanvas, Babylon.js, three, Niantic's tools",
        per_splat=9.9,
    ),
    "spz3": FileFormat(
        ending="spz3.spz",
        readers="SPZ 3, for readers that stop there: Spark, older viewers",
        per_splat=9.7,
    ),
    "sog": FileFormat(
        ending="sog",
        readers="the smallest splats: SuperSplat, PlayCanvas, Spark",
        per_splat=8.0,
    ),
    "splat": FileFormat(
        ending="splat", readers="32 bytes a splat: nearly every splat viewer", per_splat=32
    ),
    "compressed.ply": FileFormat(
        ending="compressed.ply",
        readers="16 bytes a splat: SuperSplat, PlayCanvas, Spark",
        per_splat=16.3,
    ),
    "usdz": FileFormat(
        ending="usdz",
        readers="Apple's phones and headsets",
        packages=(USD,),
        of_meshes=0.9,
        of_room=0.9,
    ),
    "usd": FileFormat(
        ending="usdc",
        readers="simulators and editors: Omniverse, Isaac Sim, Blender, usdview",
        packages=(USD, PHYSICS),
        folder="scene_usd",
        per_splat=60,
        of_meshes=0.8,
        of_room=0.8,
    ),
    "mjcf": FileFormat(
        ending="xml",
        readers="MuJoCo",
        packages=(PHYSICS,),
        folder="scene_physics",
        of_meshes=3.6,
    ),
    "urdf": FileFormat(
        ending="urdf",
        readers="ROS, PyBullet, Drake",
        packages=(PHYSICS,),
        folder="scene_physics",
        of_meshes=3.6,
    ),
    "3mf": FileFormat(ending="3mf", readers="printers' slicers, with colours", per_face=20),
    "stl": FileFormat(ending="stl", readers="printers' slicers; no colours", per_face=50),
    "compact.glb": FileFormat(
        ending="compact.glb",
        readers="small meshes for the web: three, Babylon.js; not Blender",
        packages=(("meshoptimizer", "compact"),),
        of_meshes=0.3,
    ),
}


def extra_file(kind: str) -> str:
    """Return the name of the file that a format is written to."""
    return f"scene.{EXTRA_FORMATS[kind].ending}"


def parts_of(name: str, paths: Iterable[str]) -> list[str]:
    """Return the files that a scene's file needs beside it: materials, pictures, meshes.

    Args:
        name: of the file.
        paths: of all files there are.
    """
    if name == "scene.obj":
        return [p for p in paths if re.fullmatch(r"scene(\.mtl|_[^/]*\.png)", p)]
    folders = {f"scene.{one.ending}": one.folder for one in EXTRA_FORMATS.values() if one.folder}
    return [p for p in paths if name in folders and p.startswith(f"{folders[name]}/")]


def formats_help() -> str:
    """Describe every format in one sentence, for --help."""
    return "; ".join(f"{kind} ({one.readers})" for kind, one in EXTRA_FORMATS.items())


UNNAMED = "application/octet-stream"

# Of IANA's list, where it has the format. None of them is run by a browser, whatever the file
# holds: XML would be.
_MEDIA_TYPES = {
    ".3mf": "model/3mf",
    ".gif": "image/gif",
    ".glb": "model/gltf-binary",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".mtl": "model/mtl",
    ".obj": "model/obj",
    ".png": "image/png",
    ".stl": "model/stl",
    ".urdf": "text/plain",
    ".usdz": "model/vnd.usdz+zip",
    ".webp": "image/webp",
    ".xml": "text/plain",
}


def media_type(name: str) -> str:
    """Return the media type of a scene's file."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), UNNAMED)
