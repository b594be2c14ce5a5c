"""Files that a scene is written as on request, beside those that it always has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from scenelift.compose import create_scene_mesh, make_scene
from scenelift.io.files import write_bytes
from scenelift.types import SceneObject

__all__ = ["write_extra"]


def write_extra(path: Path, kind: str, objects: Sequence[SceneObject], *, metres: bool) -> None:
    """Write one of `options.EXTRA_FORMATS`.

    Args:
        path: the file, replaced atomically.
        kind: the format.
        objects: of the scene, in order.
        metres: whether the scene's unit is the metre.

    Raises:
        SetupError: a package that the format needs is not installed.
        FormatError: there is nothing of the kind to write.
        OutputError: the file cannot be written.
    """
    _WRITERS[kind](path, objects, metres)


def _usdz(path: Path, objects: Sequence[SceneObject], metres: bool) -> None:
    from scenelift.io.usd import write_usdz

    write_usdz(path, create_scene_mesh(objects))


def _stl(path: Path, objects: Sequence[SceneObject], metres: bool) -> None:
    from scenelift.io.stl import write_stl

    write_stl(path, create_scene_mesh(objects), metres=metres)


def _compact_glb(path: Path, objects: Sequence[SceneObject], metres: bool) -> None:
    from scenelift.io.glb import glb_bytes
    from scenelift.io.glb_compact import compact_glb

    write_bytes(path, compact_glb(glb_bytes(create_scene_mesh(objects))))


def _splats(kind: str) -> Callable[[Path, Sequence[SceneObject], bool], None]:
    def write(path: Path, objects: Sequence[SceneObject], metres: bool) -> None:
        from scenelift.io.splat_formats import write_splats

        write_splats(path, make_scene(objects), kind)

    return write


_WRITERS: dict[str, Callable[[Path, Sequence[SceneObject], bool], None]] = {
    **{kind: _splats(kind) for kind in ("spz", "sog", "splat", "compressed.ply")},
    "usdz": _usdz,
    "stl": _stl,
    "compact.glb": _compact_glb,
}
