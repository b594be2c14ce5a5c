"""One run from a photo's path to a finished output folder.

Command line, web worker and batch differ only in where a `RunSpec` comes from and who listens.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from scenelift import __version__
from scenelift.errors import InputError
from scenelift.inputs import as_prompt
from scenelift.io.files import sha256_of
from scenelift.io.image import read_image
from scenelift.options import ExportOptions, FinishOptions, LayoutOptions, Options
from scenelift.output.folder import (
    WORK_FOLDER,
    changed_files,
    check_inputs,
    claim_folder,
    forget_unfinished,
)
from scenelift.output.manifest import Manifest, readable_manifest
from scenelift.output.others_files import check_others_files
from scenelift.pipeline import Pipeline
from scenelift.progress import Reporter
from scenelift.stages import StageStore, digest
from scenelift.types import Image, Prompt

__all__ = ["WORK_FOLDER", "RunSpec", "fingerprint_of", "named_by_masks", "run_job"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """All that defines one run: photo, prompt, output folder and options.

    Attributes:
        photo: the picture.
        prompt: what to lift out of it.
        out: the output folder.
        seed: makes the result repeatable.
        best_of: reconstruct every object with so many seeds and take the best.
        same_seed: every object uses the seed itself.
        layout: how poses are improved.
        finish: faces and texture of the meshes.
        export: what is written.
        force: run again even if the folder already holds this very result, and replace files in
            it that are not ours.
    """

    photo: Path
    prompt: Prompt
    out: Path
    seed: int = 0
    best_of: int = 1
    same_seed: bool = False
    layout: LayoutOptions = field(default_factory=LayoutOptions)
    finish: FinishOptions = field(default_factory=FinishOptions)
    export: ExportOptions = field(default_factory=ExportOptions)
    force: bool = False

    @classmethod
    def of(
        cls, photo: Path, prompt: Prompt, out: Path, options: Options, *, force: bool = False
    ) -> RunSpec:
        """Make a job description from options and a prompt."""
        return cls(
            photo=photo,
            prompt=prompt,
            out=out,
            seed=options.seeds.seed,
            best_of=options.seeds.best_of,
            same_seed=options.seeds.same_seed,
            layout=options.layout,
            finish=options.finish,
            export=options.export,
            force=force,
        )


def named_by_masks(prompt: Prompt, pipeline: Pipeline) -> Prompt:
    """Let a prompt without phrases ask for what the given masks are called."""
    from scenelift.segment.given import GivenSegmenter

    if prompt.phrases or not isinstance(pipeline.segmenter, GivenSegmenter):
        return prompt
    return replace(prompt, phrases=pipeline.segmenter.labels)


def run_job(
    spec: RunSpec, pipeline: Pipeline, report: Reporter, *, image: Image | None = None
) -> Manifest:
    """Run one photo into its folder; resume what an interrupted run left; skip what is done.

    Input and output are checked before the first model runs. While it runs, the folder is
    claimed: a second run is refused, and touches nothing.

    Args:
        spec: what to do.
        pipeline: with what.
        report: where progress goes and cancellation comes from.
        image: the photo, by a caller that has decoded it.

    Raises:
        SceneliftError: see `errors.py`; stages that finished are kept for the next attempt.
    """
    clock = time.monotonic()
    image = read_image(spec.photo) if image is None else image
    prompt = as_prompt(spec.prompt)
    check_inputs(spec.out, [spec.photo])
    with claim_folder(spec.out) as work:
        store = StageStore(work)
        fingerprint = fingerprint_of(spec, image, prompt, pipeline)
        existing_manifest = None if spec.force else finished_run(spec.out, fingerprint)
        if existing_manifest is not None:
            # What a run left that was killed just when it had finished.
            store.clear()
            forget_unfinished(spec.out)
            message = "Already done: nothing has changed."
            if existing_manifest.edited is not None:
                message = "Already done, and edited since; --force runs it anew, without the edits."
            report.send("run_finished", message, 1.0)
            return existing_manifest

        if not spec.force:
            check_unedited(spec.out)
            check_others_files(spec.out, spec.export)
        report.send("run_started", spec.photo.name)
        for name in changed_files(spec.out):
            report.note(f"{name} was changed since scenelift wrote it, and is renamed to {name}~.")
        if pipeline.choice:
            for note in pipeline.choice.notes:
                report.note(note)
        if spec.force:
            store.clear()
        scene = pipeline.run(
            image,
            prompt,
            seed=spec.seed,
            best_of=spec.best_of,
            same_seed=spec.same_seed,
            layout=spec.layout,
            finish=spec.finish,
            report=report,
            store=store,
        )

        from scenelift.output.scene import write_claimed_scene

        with pipeline.runtime.active():
            manifest = write_claimed_scene(
                scene,
                spec.out,
                options=spec.export,
                quality=pipeline.choice.quality if pipeline.choice else "custom",
                fingerprint=fingerprint,
                started=lambda: time.monotonic() - clock,
                report=report.at("write"),
            )
        store.clear()
        report.send("run_finished", fraction=1.0)
        return manifest


def fingerprint_of(spec: RunSpec, image: Image, prompt: Prompt, pipeline: Pipeline) -> str:
    """Compute a digest of everything that a run's files depend on."""
    return digest(
        __version__,
        image,
        prompt,
        pipeline.backends,
        spec.seed,
        spec.best_of,
        spec.same_seed,
        spec.layout,
        spec.finish,
        spec.export,
    )


def check_unedited(folder: Path) -> None:
    """Refuse a folder whose scene was put right by hand, which another scene would undo.

    Raises:
        InputError: it was edited.
    """
    manifest = readable_manifest(folder)
    if manifest is not None and manifest.edited is not None:
        raise InputError(
            f"{folder} holds a scene that was edited, and this run's scene would take its place "
            "without the edits. Choose another --out, or replace it: --force."
        )


def finished_run(folder: Path, fingerprint: str) -> Manifest | None:
    """Return the manifest of a folder that already holds exactly this result, else None.

    "Exactly" means: same fingerprint, complete, and every file there with its recorded digest.
    """
    manifest = readable_manifest(folder)
    if manifest is None or manifest.fingerprint != fingerprint or not manifest.complete:
        return None
    intact = all(
        (folder / f.path).is_file() and sha256_of(folder / f.path) == f.sha256
        for f in manifest.files
    )
    return manifest if intact else None
