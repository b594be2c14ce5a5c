"""Define the files that users may request of a finished scene: formats, loops, pictures.

Each is known by the name of its file, which says all about it: scene.spz, scene.y-up.ply,
turntable-circle-60x720.webp, picture-2048.png.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from scenelift.errors import InputError
from scenelift.formats import EXTRA_FORMATS, extra_file
from scenelift.options import CameraPath, ExportOptions, PreviewFormat, SplatFrame

__all__ = [
    "MAX_PIXELS",
    "Export",
    "Format",
    "FramedKind",
    "Picture",
    "SplatsInFrame",
    "Turntable",
    "export_of",
]

FramedKind = Literal["ply", "compressed.ply", "sog", "splat"]
"""Splat files whose descriptions do not say which way is up."""

MAX_PIXELS = 40_000_000  # of a loop's frames together: 120 MB while they are encoded
_TURNTABLE = re.compile(
    rf"turntable-({'|'.join(get_args(CameraPath))})-([1-9]\d{{0,3}})x([1-9]\d{{0,3}})"
    rf"\.({'|'.join(get_args(PreviewFormat))})"
)
_FRAMED = re.compile(rf"scene\.({'|'.join(get_args(SplatFrame))})\.(.+)")
_PICTURE = re.compile(r"picture-([1-9]\d{0,3})\.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """The scene in one of `EXTRA_FORMATS`."""

    kind: str

    @property
    def name(self) -> str:
        return extra_file(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplatsInFrame:
    """The scene's splats with axes of the user's choice."""

    kind: FramedKind
    frame: SplatFrame

    @property
    def name(self) -> str:
        return f"scene.{self.frame}.{self.kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turntable:
    """A loop around the scene; attributes as `ExportOptions` has them for its preview."""

    path: CameraPath
    format: PreviewFormat
    frames: int
    size: int

    @property
    def name(self) -> str:
        return f"turntable-{self.path}-{self.frames}x{self.size}.{self.format}"

    def options(self, of_run: ExportOptions) -> ExportOptions:
        """Return equivalent options.

        Raises:
            InputError: a number is out of range, or the frames have too many pixels together.
        """
        pixels = self.frames * self.size**2
        if pixels > MAX_PIXELS:
            raise InputError(
                f"{self.frames} frames of {self.size} pixels are too many: together up to "
                f"{MAX_PIXELS // 10**6} million pixels are drawn. Take fewer or smaller ones."
            )
        return replace(
            of_run,
            preview_path=self.path,
            preview_format=self.format,
            preview_frames=self.frames,
            preview_size=self.size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The scene from the photo's side, its longer side so many pixels long."""

    size: int

    @property
    def name(self) -> str:
        return f"picture-{self.size}.png"

    def options(self, of_run: ExportOptions) -> ExportOptions:
        """Return options of the loop whose first frame it is; see `Turntable.options`."""
        loop = Turntable(path="swing", format="gif", frames=1, size=self.size)
        return loop.options(of_run)


Export = Format | SplatsInFrame | Turntable | Picture


def export_of(name: str) -> Export:
    """Read format and view from a file's name.

    Raises:
        InputError: no such file is made on demand.
    """
    for kind in EXTRA_FORMATS:
        if name == extra_file(kind):
            return Format(kind=kind)
    if match := _FRAMED.fullmatch(name):
        kinds: dict[str, FramedKind] = {k: k for k in get_args(FramedKind)}
        frames: dict[str, SplatFrame] = {f: f for f in get_args(SplatFrame)}
        if match[2] in kinds:
            return SplatsInFrame(kind=kinds[match[2]], frame=frames[match[1]])
    if match := _TURNTABLE.fullmatch(name):
        path, count, size, ending = match.groups()
        paths: dict[str, CameraPath] = {p: p for p in get_args(CameraPath)}
        endings: dict[str, PreviewFormat] = {e: e for e in get_args(PreviewFormat)}
        return Turntable(
            path=paths[path], format=endings[ending], frames=int(count), size=int(size)
        )
    if match := _PICTURE.fullmatch(name):
        return Picture(size=int(match[1]))
    raise InputError(f"{name[:80]!r} is not a file that can be made of a scene.")
