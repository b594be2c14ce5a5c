"""Claim an output folder for one writer, and protect what must not be replaced in it.

.scenelift/lock             held by the run that writes; gone once it ends
.scenelift/new/             the scene that is being written
.scenelift/replacing.json   files of the old and the new scene, while one takes the other's place
.scenelift/original/        the scene as its run wrote it, where it was edited; see `original.py`
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from scenelift.errors import InputError, OutputError
from scenelift.formats import EXTRA_FORMATS
from scenelift.io.files import (
    explain_failure,
    prepare_output_folder,
    remove_leftovers,
    sha256_of,
    write_json,
)
from scenelift.output.manifest import MANIFEST_NAME, readable_manifest

__all__ = [
    "ORIGINAL",
    "WORK_FOLDER",
    "changed_files",
    "check_inputs",
    "check_links",
    "claim_folder",
    "files_of_earlier_scene",
    "forget_original",
    "forget_unfinished",
    "is_scene_file",
    "link_file",
    "replace_scene",
]

WORK_FOLDER = ".scenelift"
_NEW, _LIST = "new", "replacing.json"
ORIGINAL = f"{WORK_FOLDER}/original"

_PHOTOS = "jpe?g|png|webp|tiff?|bmp|gif|avif|hei[cf]"
_FOLDERS = "|".join(sorted({kind.folder for kind in EXTRA_FORMATS.values() if kind.folder}))
# Every name that a scene has, and that formats to come will have; photos are called otherwise.
_SCENE_FILE = re.compile(
    rf"""
    input\.png | overlay\.png | preview\.(png|gif|webp|mp4) |
    (scene|background)\.(?!({_PHOTOS})$).+ |    # scene.json, scene.compact.glb, …
    (scene|background)_.+\.png |                # textures of the OBJ
    edits\.json | (objects|{re.escape(WORK_FOLDER)}|{_FOLDERS})/.+
    """,
    re.VERBOSE | re.IGNORECASE,
)


def is_scene_file(name: str) -> bool:
    """Return whether a scene may have a file of this name.

    Args:
        name: path below the output folder, with forward slashes.
    """
    return _SCENE_FILE.fullmatch(name) is not None


def check_inputs(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output folder in which a scene would replace what it is made from.

    Args:
        inputs: photos, masks, depth; of folders, what is right in them.

    Raises:
        InputError: one of them lies there under the name of an output.
    """
    inside = folder.resolve()
    earlier: set[str] | None = None
    for source in inputs:
        real = source.resolve()
        if not real.is_relative_to(inside):
            continue
        name = real.relative_to(inside).as_posix()
        if earlier is None:
            earlier = files_of_earlier_scene(folder)
        if is_scene_file(name) or name in earlier:
            raise InputError(
                f"{source} would be replaced: the scene is written to {folder}, and has a file "
                f"{name}. Choose another --out, or move the file."
            )


def check_links(folder: Path, is_ours: Callable[[str], bool]) -> None:
    """Refuse an output folder in which a symbolic link stands where we would write.

    A file of ours would take the link's place, or go through it into a folder of somebody else's.

    Args:
        folder: of the output; it may be a link itself, and need not exist.
        is_ours: whether we may write a file of this name (a path below the folder).

    Raises:
        InputError: there is such a link.
    """
    for parent, folders, files in os.walk(folder):
        below = Path(parent).relative_to(folder)
        # The folder for unfinished work is ours, wherever it lies.
        folders[:] = [name for name in folders if (below / name).as_posix() != WORK_FOLDER]
        for name in sorted((*folders, *files)):
            path = (below / name).as_posix()
            link = folder / path
            if link.is_symlink() and (is_ours(path) or is_ours(f"{path}/x")):
                raise InputError(
                    f"{link} is a link to {link.readlink()}, and we would write a file there: it "
                    "would take the link's place, or land behind it. Remove the link, or choose "
                    "another --out."
                )
        folders[:] = [name for name in folders if is_ours((below / name / "x").as_posix())]


@contextmanager
def claim_folder(folder: Path) -> Iterator[Path]:
    """Lock a folder, so that nobody else writes results to it.

    Yields:
        The folder for unfinished work inside it. It goes at the end if it is empty, and so do
        folders that were made here and in which nothing was written.

    Raises:
        InputError: a link stands in it under a name of ours.
        OutputError: another run has it, or it cannot be written.
    """
    check_links(folder, is_scene_file)
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    prepare_output_folder(folder)
    work = folder / WORK_FOLDER
    lock = _lock(work)
    try:
        for below in folder.glob("objects/*"):
            if below.is_dir() and not below.is_symlink():
                remove_leftovers(below)
        yield work
    finally:
        # Before it is released: whoever gets a lock that has no name any more tries again.
        with suppress(OSError):
            (work / "lock").unlink()
        lock.release()
        with suppress(OSError):
            for empty in (work, *created):
                empty.rmdir()


def _lock(work: Path) -> FileLock:
    lock = FileLock(work / "lock", timeout=0)
    for attempt in range(3):
        try:
            work.mkdir(exist_ok=True)
            lock.acquire()
            break
        except Timeout as exc:
            raise OutputError(
                f"Another run is writing to {work.parent}. Wait for it, or choose another --out."
            ) from exc
        except OSError as exc:
            # A run that ended just now may have removed the folder again.
            if attempt == 2 or not isinstance(exc, FileNotFoundError):
                raise explain_failure(work, exc) from exc
    return lock


@contextmanager
def replace_scene(folder: Path) -> Iterator[Path]:
    """Write a scene beside an earlier one, and then move it into its place.

    Until the block is left, the earlier scene stays as it is. Of its files, those that were changed
    since are renamed (`scene.glb~`), and those that the new one does not have are removed; nothing
    else in the folder is touched. A process that is killed while files change places leaves a list
    of them, by which the next scene cleans up.

    Args:
        folder: claimed, see `claim_folder`.

    Yields:
        An empty folder for the new scene's files, the manifest among them.

    Raises:
        OutputError: the folder cannot be written.
    """
    new = folder / WORK_FOLDER / _NEW
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        yield new
        _put_in_place(folder, new)
    except OSError as exc:
        raise explain_failure(folder, exc) from exc
    finally:
        shutil.rmtree(new, ignore_errors=True)


def forget_unfinished(folder: Path) -> None:
    """Remove what a killed writer left in a folder whose scene is complete."""
    shutil.rmtree(folder / WORK_FOLDER / _NEW, ignore_errors=True)
    (folder / WORK_FOLDER / _LIST).unlink(missing_ok=True)


def forget_original(folder: Path) -> None:
    """Remove the saved scene from before edits, once another scene has replaced it."""
    shutil.rmtree(folder / ORIGINAL, ignore_errors=True)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links.

    Scene files are never written in place, so neither name changes what the other one holds.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def changed_files(folder: Path) -> list[str]:
    """List the files of the folder's scene that somebody changed after it was complete."""
    manifest = readable_manifest(folder)
    if manifest is None:
        return []
    complete = (folder / MANIFEST_NAME).stat().st_mtime
    ours = files_of_earlier_scene(folder)
    changed: list[str] = []
    for file in manifest.files:
        path = folder / file.path
        if file.path not in ours or not path.is_file():
            continue
        status = path.stat()
        # What is older than the manifest and as long as it says is not read: scenes are large.
        if status.st_size != file.bytes or (
            status.st_mtime > complete and sha256_of(path) != file.sha256
        ):
            changed.append(file.path)
    return changed


def _put_in_place(folder: Path, new: Path) -> None:
    names = {path.relative_to(new).as_posix() for path in new.rglob("*") if not path.is_dir()}
    for name in names:
        if (folder / name).is_dir():
            raise OutputError(
                f"{folder / name} is a folder, and the scene has a file of that name."
            )
    earlier = files_of_earlier_scene(folder)
    for name in changed_files(folder):
        (folder / name).replace(folder / f"{name}~")
    replacing = folder / WORK_FOLDER / _LIST
    write_json(replacing, sorted(earlier | names))
    # Gone before any file changes, so that no manifest ever describes another scene's files.
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    for name in sorted(names - {MANIFEST_NAME}):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (new / name).replace(folder / name)
    for name in earlier - names:
        (folder / name).unlink(missing_ok=True)
        _remove_empty(folder, PurePosixPath(name).parent)
    (new / MANIFEST_NAME).replace(folder / MANIFEST_NAME)
    replacing.unlink()


def _remove_empty(folder: Path, below: PurePosixPath) -> None:
    with suppress(OSError):
        for parent in (below, *below.parents):
            if parent != PurePosixPath():
                (folder / parent).rmdir()


def files_of_earlier_scene(folder: Path) -> set[str]:
    """List names below the folder that earlier scenes have there, complete or not."""
    names: set[str] = set()
    if manifest := readable_manifest(folder):
        names |= {MANIFEST_NAME, *(file.path for file in manifest.files)}
    with suppress(OSError, ValueError):
        paths = json.loads((folder / WORK_FOLDER / _LIST).read_bytes())
        names |= {name for name in paths if isinstance(name, str)}
    inside = folder.resolve()
    # The lists may have been edited by anyone: never follow them out of the folder, nor to a file
    # that no scene has.
    return {
        name
        for name in names
        if is_scene_file(name)
        and ".." not in PurePosixPath(name).parts
        and (inside / name).resolve().is_relative_to(inside)
    }
