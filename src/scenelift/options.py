"""What a run may be told besides its photo and prompt.

The defaults are what the command line shows in `--help`; there is no other place for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scenelift.errors import InputError

__all__ = [
    "EXTRA_FORMATS",
    "CameraPath",
    "ExportOptions",
    "FinishOptions",
    "KnownLength",
    "LayoutOptions",
    "PreviewFormat",
]

CameraPath = Literal["swing", "circle", "flight"]


PreviewFormat = Literal["gif", "webp", "mp4"]


EXTRA_FORMATS = ("spz", "sog", "splat", "compressed.ply", "usdz", "stl", "compact.glb")
"""What a scene can be written as besides PLY, GLB and OBJ; each is also the file's ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is written besides the manifest.

    Attributes:
        preview_frames: frames of the turntable.
        preview_size: longer side of the turntable in pixels.
        preview_path: how the turntable's camera moves: ±40° about the photo's side, all the way
            round, or round in a flight that rises and comes close.
        preview_format: file format of the turntable; MP4 needs ffmpeg.
        formats: of `EXTRA_FORMATS`, those to write as well.
        max_splats: most splats of the whole scene; those that pictures miss least are left out.
    """

    preview_frames: int = 36
    preview_size: int = 512
    preview_path: CameraPath = "swing"
    preview_format: PreviewFormat = "gif"
    formats: tuple[str, ...] = ()
    max_splats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishOptions:
    """What becomes of a decoded mesh.

    Attributes:
        faces: budget of an object's mesh; None keeps all.
        texture_size: texels on a side, 64…8192.
        vertex_colors: colours on the vertices in place of a texture.
        normal_map: let a map shade the mesh as the decoded one was; None where materials are
            known, and so are apart from light.
    """

    faces: int | None = 30_000
    texture_size: int = 1024
    vertex_colors: bool = False
    normal_map: bool | None = None

    def __post_init__(self) -> None:
        if self.faces is not None and self.faces < 4:
            raise InputError(f"A mesh of {self.faces} faces encloses nothing: give 4 or more.")
        if not 64 <= self.texture_size <= 8192:
            raise InputError(f"A texture of {self.texture_size} texels: give 64 to 8192.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLength:
    """The true height of something in the photo, in metres: what `--known "door=2.0m"` says."""

    label: str
    metres: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions:
    """What the compose stage does.

    Attributes:
        refine: make poses agree with mask, points and colours.
        repair: make things stand, and take apart what pierces each other.
        known: heights that give the scene its scale.
        best_of: reconstruct every object with so many seeds and keep the best.
    """

    refine: bool = True
    repair: bool = True
    known: tuple[KnownLength, ...] = ()
    best_of: int = 1
