"""Match edits with the scene that they belong to, by its manifest; nothing is written."""

from __future__ import annotations

from pathlib import Path

from scenelift.edit.document import EDITS_NAME, Edits, parse_edits
from scenelift.edit.fitting import ObjectSize, check_fit
from scenelift.errors import EditsError, OtherScene
from scenelift.io.files import sha256_of
from scenelift.io.regular import reading
from scenelift.output.manifest import MANIFEST_NAME, read_manifest
from scenelift.output.original import original_of

__all__ = ["check_edits", "edits_of", "no_edits", "read_edits"]


def read_edits(path: Path) -> Edits:
    """Read the edits in a file.

    Raises:
        EditsError: it cannot be read, or its edits cannot be used.
    """
    with reading(path, EditsError):
        return parse_edits(path.read_bytes())


def no_edits(folder: Path) -> Edits:
    """Make empty edits of a folder's scene, from which an editor starts.

    Raises:
        InputError: there is no finished scene, or its state before the edits is gone.
    """
    return Edits(scene=sha256_of(original_of(folder) / MANIFEST_NAME))


def edits_of(folder: Path) -> Edits:
    """Read the edits that a folder's files were written with.

    Raises:
        InputError: there is no finished scene, or its state before the edits is gone.
    """
    path = folder / EDITS_NAME
    nothing = no_edits(folder)
    if original_of(folder) == folder or not path.is_file():
        return nothing
    edits = read_edits(path)
    return edits if edits.scene == nothing.scene else nothing


def check_edits(folder: Path, edits: Edits) -> None:
    """Refuse edits that do not fit a folder's scene.

    Raises:
        OtherScene: they belong to another scene.
        EditsError: they do not fit this one.
        InputError: there is no finished scene, or its state before the edits is gone.
    """
    original = original_of(folder)
    own = sha256_of(original / MANIFEST_NAME)
    if edits.scene != own:
        raise OtherScene(
            f"The edits belong to the scene {edits.scene[:12]}…; this one is {own[:12]}…. Edits "
            "fit the one run that they were made for: `scenelift edit DIR` prints what to start "
            "from."
        )
    manifest = read_manifest(original)
    sizes = {o.index: ObjectSize(o.gaussians, o.faces) for o in manifest.objects}
    check_fit(edits.normal(), sizes, [f.index for f in manifest.failed])
