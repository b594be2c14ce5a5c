"""Refuse an output folder in which a scene would replace files that somebody else put there."""

from __future__ import annotations

from pathlib import Path

from scenelift.errors import InputError, first_few
from scenelift.formats import extra_file
from scenelift.options import ExportOptions
from scenelift.output.folder import files_of_earlier_scene
from scenelift.output.manifest import MANIFEST_NAME

__all__ = ["check_others_files"]

_OVERLAY, _MASKS = "overlay.png", "instances.json"
_IN_EVERY_SCENE = ("input.png", _OVERLAY, "preview.png", "scene.ply", "scene.glb", MANIFEST_NAME)
_IN_MANY = ("scene.obj", "scene.mtl", "background.ply", "background.glb")


def check_others_files(folder: Path, export: ExportOptions) -> None:
    """Refuse a folder that has files under names of the scene's which no scene of ours left there.

    Files of an earlier scene may be replaced; `replace_scene` saves what was changed since.

    Args:
        folder: claimed, see `output.folder.claim_folder`.
        export: of the scene that is to come.

    Raises:
        InputError: there are such files.
    """
    animation = f"preview.{export.preview_format}"
    names = [*_IN_EVERY_SCENE, *_IN_MANY, animation, *map(extra_file, export.formats)]
    existing = [name for name in dict.fromkeys(names) if (folder / name).exists()]
    if not existing:
        return
    ours = files_of_earlier_scene(folder)
    if (folder / _MASKS).is_file():
        ours.add(_OVERLAY)  # of `scenelift segment`
    if MANIFEST_NAME in ours:
        ours.update(_IN_EVERY_SCENE)
    elif MANIFEST_NAME in existing and _is_cut_off(folder):
        return  # its list is lost: nobody can say which of the others it names
    foreign = [name for name in existing if name not in ours]
    if foreign:
        raise InputError(
            f"{folder} holds {first_few(foreign)}, which no scene of scenelift left there and "
            "this one would replace. Choose another --out, move them, or replace them: --force."
        )


def _is_cut_off(folder: Path) -> bool:
    """Return whether `scene.json` looks like one of ours that lost a part, as by a power cut."""
    start = (folder / MANIFEST_NAME).read_bytes()[:4096]
    return not start.strip(b"\0") or b'"scenelift ' in start
