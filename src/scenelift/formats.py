"""The file formats a scene can be written as on request, and who reads each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["EXTRA_FORMATS", "FileFormat", "extra_file", "formats_help", "media_type"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """A file beside those that every scene has.

    Attributes:
        ending: of the file `scene.ENDING`.
        readers: who reads it, for help texts and docs.
        packages: modules that writing it needs beyond the core, each with the extra of this
            package that installs it.
    """

    ending: str
    readers: str
    packages: tuple[tuple[str, str], ...] = ()


USD, PHYSICS = ("pxr", "usd"), ("coacd", "physics")

EXTRA_FORMATS: dict[str, FileFormat] = {
    "splats.glb": FileFormat(
        ending="splats.glb",
        readers="meshes and splats in one file: Babylon.js, PlayCanvas, three with its splat addon",
    ),
    "spz": FileFormat(
        ending="spz", readers="SPZ 4, small splats: PlayCanvas, Babylon.js, three, Niantic's tools"
    ),
    "spz3": FileFormat(
        ending="spz3.spz", readers="SPZ 3, for readers that stop there: Spark, older viewers"
    ),
    "sog": FileFormat(ending="sog", readers="the smallest splats: SuperSplat, PlayCanvas, Spark"),
    "splat": FileFormat(ending="splat", readers="32 bytes a splat: nearly every splat viewer"),
    "compressed.ply": FileFormat(
        ending="compressed.ply", readers="16 bytes a splat: SuperSplat, PlayCanvas, Spark"
    ),
    "usdz": FileFormat(ending="usdz", readers="Apple's phones and headsets", packages=(USD,)),
    "usd": FileFormat(
        ending="usdc",
        readers="simulators and editors: Omniverse, Isaac Sim, Blender, usdview",
        packages=(USD, PHYSICS),
    ),
    "mjcf": FileFormat(ending="xml", readers="MuJoCo", packages=(PHYSICS,)),
    "urdf": FileFormat(ending="urdf", readers="ROS, PyBullet, Drake", packages=(PHYSICS,)),
    "3mf": FileFormat(ending="3mf", readers="printers' slicers, with colours"),
    "stl": FileFormat(ending="stl", readers="printers' slicers; no colours"),
    "compact.glb": FileFormat(
        ending="compact.glb",
        readers="small meshes for the web: three, Babylon.js; not Blender",
        packages=(("meshoptimizer", "compact"),),
    ),
}


def extra_file(kind: str) -> str:
    """Name of the file that a format is written to."""
    return f"scene.{EXTRA_FORMATS[kind].ending}"


def formats_help() -> str:
    """What each format is for, in one sentence."""
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
    """What a server says that a file of a scene is."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), UNNAMED)
