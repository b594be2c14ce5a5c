"""Write all files of an output folder again with edits, from the scene as its run wrote it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scenelift.edit.apply import apply_edits, changes_of
from scenelift.edit.belonging import check_edits
from scenelift.edit.document import EDITS_NAME, Edits
from scenelift.errors import InputError
from scenelift.io.files import explain_failure, write_bytes, write_json
from scenelift.output.folder import (
    claim_folder,
    forget_original,
    forget_unfinished,
    link_file,
    replace_scene,
)
from scenelift.output.manifest import MANIFEST_NAME, EditedModel, FileModel, Manifest, read_manifest
from scenelift.output.original import check_original, keep_original, original_of
from scenelift.output.read import export_options, read_scene
from scenelift.output.scene import write_files
from scenelift.progress import Reporter, silent
from scenelift.scene import Scene
from scenelift.types import Instance

__all__ = ["edit_folder"]


def edit_folder(
    folder: Path, edits: Edits, *, device: str = "cpu", report: Reporter | None = None
) -> Manifest:
    """Write all files of a folder's scene again with edits; without edits, as its run wrote them.

    Until the new files are complete the old ones stay, as with every scene.

    Args:
        folder: of a finished run, edited before or not.
        edits: of its unedited scene.
        device: what draws the preview, as PyTorch names it.
        report: progress; raises Cancelled between files.

    Returns:
        The new manifest.

    Raises:
        EditsError: the edits do not fit the scene.
        InputError: there is no finished scene, or its state before the edits is gone.
        OutputError: the folder cannot be written, or a run is writing to it.
        Cancelled: the user stopped; the old files are all there.
    """
    report, edits = (report or silent()).at("write"), edits.normal()
    original_of(folder)  # before a folder is claimed, and made, that holds no scene
    with claim_folder(folder):
        check_edits(folder, edits)
        current = _intact_manifest(folder)
        digest = None if edits.empty else edits.sha256
        if current is not None and digest == (current.edited and current.edited.edits):
            forget_unfinished(folder)
            return current
        report.send("stage_started")
        try:
            _rewrite(folder, edits, device, report)
        except OSError as exc:
            raise explain_failure(folder, exc) from exc
        report.send("stage_finished", fraction=1.0)
        return read_manifest(folder)


def _intact_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None if a file is not as it says."""
    try:
        return check_original(folder)
    except InputError:
        return None


def _rewrite(folder: Path, edits: Edits, device: str, report: Reporter) -> None:
    original = original_of(folder)
    manifest = check_original(original)
    if edits.empty:
        with replace_scene(folder) as new:
            for name in [MANIFEST_NAME, *(file.path for file in manifest.files)]:
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                link_file(original / name, new / name)
        forget_original(folder)
        return
    scene = read_scene(original, manifest, device=device)
    edited = apply_edits(scene, edits)
    with replace_scene(folder) as new:
        manifest_of_files = write_files(
            edited,
            new,
            export_options(manifest),
            quality=manifest.quality,
            fingerprint=manifest.fingerprint,
            report=report,
            as_before=_unchanged(original, manifest, edits),
            outlined=_outlined(scene, edits),
        )
        write_bytes(new / EDITS_NAME, edits.to_bytes())
        new_manifest = _manifest(manifest_of_files, manifest, edited, edits)
        write_json(new / MANIFEST_NAME, new_manifest.model_dump(mode="json"))
        keep_original(folder)


def _unchanged(original: Path, manifest: Manifest, edits: Edits) -> dict[str, Path]:
    """Return the files that edits leave as they are, by name."""
    entries = {entry.object: entry for entry in edits.objects}
    names = ["input.png"]
    if edits.scale is None:
        names += ["background.ply", "background.glb"]
    for o in manifest.objects:
        entry = entries.get(o.index)
        if entry is None or entry.name is None:
            names += [path for kind, path in o.files.items() if kind != "splats"]
            if entry is None or not entry.splats_removed:
                names += [path for kind, path in o.files.items() if kind == "splats"]
    renamed = any(entry.name is not None for entry in edits.objects)
    if manifest.failed or not renamed:  # masks of objects that failed are in no file but this
        names.append("overlay.png")
    there = {file.path for file in manifest.files}
    return {name: original / name for name in names if name in there}


def _outlined(scene: Scene, edits: Edits) -> list[Instance]:
    """List the photo's objects by their new names; deleted ones are included, copies are not."""
    names = {entry.object: entry.name for entry in edits.objects}
    return [
        replace(o.instance, label=names.get(o.index) or o.instance.label) for o in scene.objects
    ]


def _manifest(
    manifest_of_files: Manifest, original: Manifest, scene: Scene, edits: Edits
) -> Manifest:
    """Make the manifest of an edited scene; what describes its run is taken from the run's."""
    data = edits.to_bytes()
    names = {o.index: o.name for o in scene.objects}
    entries = [entry for entry in edits.objects if not entry.deleted]
    deleted = {entry.object for entry in edits.objects if entry.deleted}
    return manifest_of_files.model_copy(
        update={
            "complete": original.complete,
            "notes": original.notes,
            "timings": original.timings,
            "wall_seconds": original.wall_seconds,
            "peak_memory_bytes": original.peak_memory_bytes,
            "files": [
                *manifest_of_files.files,
                FileModel(path=EDITS_NAME, bytes=len(data), sha256=edits.sha256),
            ],
            "edited": EditedModel(
                scene=edits.scene,
                edits=edits.sha256,
                scale=edits.scale,
                deleted=[o.name for o in original.objects if o.index in deleted],
                objects={names[entry.object]: changes_of(entry) for entry in entries},
            ),
        }
    )
