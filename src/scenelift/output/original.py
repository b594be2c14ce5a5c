"""Keep the scene of a folder as its run wrote it, whatever is edited afterwards.

A folder that was never edited is its own original. The first edit puts the run's files below
`.scenelift/original/`, as hard links where there are any, and they stay there until another run.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from scenelift.errors import InputError
from scenelift.io.files import sha256_of
from scenelift.output.folder import ORIGINAL, is_scene_file, link_file
from scenelift.output.manifest import MANIFEST_NAME, Manifest, read_manifest

__all__ = ["check_original", "keep_original", "original_of"]


def original_of(folder: Path) -> Path:
    """Return the folder with a scene as its run wrote it: the scene's own, or one inside it.

    Raises:
        InputError: there is no finished scene, or its state before the edits is gone.
    """
    copy = folder / ORIGINAL
    if not (folder / MANIFEST_NAME).exists() and (copy / MANIFEST_NAME).is_file():
        return copy  # a process was killed while edited files changed places
    edited = read_manifest(folder).edited
    if edited is None:
        return folder
    if not (copy / MANIFEST_NAME).is_file() or sha256_of(copy / MANIFEST_NAME) != edited.scene:
        raise InputError(
            f"{folder} was edited, and {copy}, which holds it as it was before, is missing or of "
            "another scene. Copy it along with the folder, or run the photo again with --force."
        )
    return copy


def check_original(original: Path) -> Manifest:
    """Read the manifest of an unedited scene, and check that its files have not changed.

    Raises:
        InputError: one is missing or has changed.
    """
    manifest = read_manifest(original)
    for file in manifest.files:
        path = original / file.path
        inside = is_scene_file(file.path) and ".." not in PurePosixPath(file.path).parts
        if not inside or not path.is_file() or sha256_of(path) != file.sha256:
            raise InputError(
                f"{path} is missing or has changed since the scene was written. Edits start from "
                "what the run wrote: put the file back, or run the photo again with --force."
            )
    return manifest


def keep_original(folder: Path) -> None:
    """Save a scene's files in a place that edits leave alone, unless they are there already.

    Args:
        folder: claimed, of a scene whose files are as they were written.

    Raises:
        InputError: there is no finished scene, or its state before the edits is gone.
        OSError: they cannot be put there.
    """
    if original_of(folder) != folder:
        return
    copy, half = folder / ORIGINAL, folder / f"{ORIGINAL}.half"
    for leftover in (copy, half):  # of another scene, or of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    for name in [MANIFEST_NAME, *(file.path for file in read_manifest(folder).files)]:
        target = half / name
        target.parent.mkdir(parents=True, exist_ok=True)
        link_file(folder / name, target)
    half.rename(copy)
