"""Write a scene's files, with the manifest last: if it exists, all other files do.

scene.ply scene.glb scene.obj (scene.mtl) preview.png input.png overlay.png scene.json
preview.gif, or .webp, or .mp4
objects/NN_label/ mask.png splats.ply mesh.glb      each in the object's own frame
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenelift import __version__
from scenelift.compose import create_scene_mesh, make_scene
from scenelift.formats import extra_file
from scenelift.io.animation import write_animation, write_png
from scenelift.io.files import write_json
from scenelift.io.glb import GlbNode, write_glb
from scenelift.io.obj import write_obj
from scenelift.io.ply import write_ply
from scenelift.memory import give_back
from scenelift.options import ExportOptions, show_densities
from scenelift.output.extra import ExtraFiles, load_packages
from scenelift.output.folder import claim_folder, forget_original, link_file, replace_scene
from scenelift.output.manifest import (
    MANIFEST_NAME,
    BackgroundModel,
    BodyModel,
    CameraModel,
    DroppedModel,
    ExportModel,
    FailedModel,
    Manifest,
    ObjectModel,
    PhysicsModel,
    PoseModel,
    PromptModel,
    TimingModel,
)
from scenelift.output.overlay import draw_overlay
from scenelift.output.preview import preview_of
from scenelift.output.writers import Writers
from scenelift.progress import Reporter, silent
from scenelift.threads import quick_turns
from scenelift.types import Instance, SceneObject

if TYPE_CHECKING:
    from scenelift.physics.bodies import World
    from scenelift.scene import Scene

__all__ = ["peak_memory_bytes", "write_claimed_scene", "write_files", "write_scene"]


def write_scene(
    scene: Scene,
    folder: Path,
    *,
    options: ExportOptions | None = None,
    quality: str = "custom",
    report: Reporter | None = None,
) -> Manifest:
    """Write every file of a scene, its manifest last.

    An earlier scene in the folder stays until this one is complete; then its files make room, and
    those that this one does not have are removed. Nothing else in the folder is touched.

    Args:
        folder: created where it does not exist.
        options: what the preview looks like.
        quality: which set of backends made the scene, for the manifest.
        report: progress; raises Cancelled between files.

    Raises:
        OutputError: the folder cannot be written, or a run is writing to it.
    """
    with claim_folder(folder):
        return write_claimed_scene(scene, folder, options=options, quality=quality, report=report)


def write_claimed_scene(
    scene: Scene,
    folder: Path,
    *,
    options: ExportOptions | None = None,
    quality: str = "custom",
    fingerprint: str = "",
    started: Callable[[], float] | None = None,
    report: Reporter | None = None,
) -> Manifest:
    """Write a scene like `write_scene`, into a folder that the caller has claimed.

    Args:
        folder: see `output.folder.claim_folder`.
        options: what the preview looks like.
        quality: which set of backends made the scene, for the manifest.
        fingerprint: digest of the run's inputs, for the manifest.
        started: tells how many seconds the run has taken so far, for the manifest.
        report: progress; raises Cancelled between files.

    Raises:
        OutputError: the folder cannot be written.
    """
    report = report or silent()
    report.send("stage_started")
    with replace_scene(folder) as new:
        manifest = write_files(
            scene,
            new,
            options or ExportOptions(),
            quality=quality,
            fingerprint=fingerprint,
            started=started,
            report=report,
        )
        write_json(new / MANIFEST_NAME, manifest.model_dump(mode="json"))
    forget_original(folder)
    give_back()
    report.send("stage_finished", fraction=1.0)
    return manifest


def write_files(
    scene: Scene,
    folder: Path,
    options: ExportOptions,
    *,
    quality: str,
    report: Reporter,
    fingerprint: str = "",
    started: Callable[[], float] | None = None,
    as_before: Mapping[str, Path] | None = None,
    outlined: Sequence[Instance] | None = None,
) -> Manifest:
    """Write every file of a scene but its manifest; return the manifest.

    Args:
        folder: empty.
        options, quality, fingerprint, started: see `write_claimed_scene`.
        report: progress; raises Cancelled between files.
        as_before: name -> a file that holds just what would be written under it, and is linked in
            its place.
        outlined: what the overlay shows, where it is not every object of the scene and those that
            failed.

    Raises:
        OutputError: the folder cannot be written.
    """
    as_before = as_before or {}
    began = time.perf_counter()
    notes, objects_to_write = list(scene.provenance.notes), scene.objects
    if options.max_splats is not None:
        objects_to_write, note = _fewer_splats(objects_to_write, options.max_splats)
        notes += note

    load_packages(options.formats)
    # Before the threads below want the processor too: the preview waits for it.
    gaussians, nodes = make_scene(objects_to_write), create_scene_mesh(objects_to_write)
    with quick_turns(), Writers(folder) as writers:

        def put(
            name: str,
            write: Callable[[Path], Iterable[Path] | None],
            *,
            optional: bool = False,
            at_once: bool = False,
        ) -> str:
            before = as_before.get(name)
            if before is not None:
                return writers.put(name, lambda p: link_file(before, p))
            return writers.put(name, write, optional=optional, at_once=at_once)

        # Those that take longest come first: the last ones to be begun are soon done.
        axes = "colmap" if options.splat_frame == "y-down" else "opengl"
        put("scene.ply", lambda p: write_ply(p, gaussians, frame=axes))
        behind = scene.background
        room = [] if behind is None else [GlbNode(name="background", mesh=behind.mesh)]
        # Its materials and textures come along, under names of their own.
        put("scene.obj", lambda p: write_obj(p, [*nodes, *room]))
        put("scene.glb", lambda p: write_glb(p, [*nodes, *room]))
        # Before all threads below want the processor, too: the drawing waits for it.
        clock = time.perf_counter()
        loop = preview_of(scene, gaussians, options)
        preview_seconds = time.perf_counter() - clock
        if behind is not None:
            put("background.ply", lambda p: write_ply(p, behind.gaussians, frame=axes))
            put("background.glb", lambda p: write_glb(p, room))
            notes += behind.notes
        put("input.png", lambda p: write_png(p, scene.image.pixels))
        # Failed objects too: the numbers in the picture are those of folders and manifest.
        numbered = sorted((*scene.objects, *scene.provenance.failed), key=lambda o: o.index)
        instances = [o.instance for o in numbered] if outlined is None else outlined
        put("overlay.png", lambda p: write_png(p, draw_overlay(scene.image, instances)))
        objects = [_write_object(o, put) for o in objects_to_write]
        extra = ExtraFiles.of(replace(scene, objects=objects_to_write), options)
        for kind in options.formats:
            put(extra_file(kind), partial(extra.write, kind), optional=True)

        clock = time.perf_counter()
        preview = report.at("preview")
        preview.send("stage_started")
        frames = loop.pictures(preview)
        del loop  # and its splats on the device
        give_back()
        preview.send("stage_finished", fraction=1.0)
        preview_seconds += time.perf_counter() - clock
        put("preview.png", lambda p: write_png(p, frames[0]), at_once=True)
        animation = f"preview.{options.preview_format}"
        put(animation, lambda p: write_animation(p, frames), optional=True, at_once=True)
        files, skipped = writers.finish(report)

    record = scene.provenance
    return Manifest(
        generator=f"scenelift {__version__}",
        fingerprint=fingerprint,
        complete=not record.failed,
        prompt=PromptModel.model_validate(asdict(record.prompt)),
        seed=record.seed,
        quality=quality,
        backends=dict(record.backends),
        licences=dict(record.licences),
        units="metres" if scene.units == "metres" else "scene units",
        splat_frame=options.splat_frame,
        camera=CameraModel(**asdict(scene.camera)),
        scene_from_camera=scene.scene_from_camera.tolist(),
        up=scene.up,
        levels=list(scene.levels),
        objects=objects,
        background=None
        if behind is None
        else BackgroundModel(
            mode=behind.mode, planes=list(behind.planes), up=behind.up, levels=list(behind.levels)
        ),
        export=ExportModel(
            preview_frames=options.preview_frames,
            preview_size=options.preview_size,
            preview_path=options.preview_path,
            preview_format=options.preview_format,
            formats=list(options.formats),
            density=show_densities(options.densities),
        ),
        failed=[
            FailedModel(
                index=f.index,
                label=f.instance.label,
                score=f.instance.score,
                box=f.instance.box,
                error=f.error,
                reason=f.reason,
            )
            for f in record.failed
        ],
        dropped=[DroppedModel(**asdict(d)) for d in record.dropped],
        skipped=skipped,
        physics=None if extra.world is None else _physics(extra.world),
        notes=list(dict.fromkeys(notes)),
        files=files,
        timings=[
            *(TimingModel(**asdict(t)) for t in record.timings),
            TimingModel(stage="preview", seconds=preview_seconds),
            TimingModel(stage="write", seconds=time.perf_counter() - began - preview_seconds),
        ],
        wall_seconds=started() if started else None,
        peak_memory_bytes=peak_memory_bytes(),
    )


def _physics(world: World) -> PhysicsModel:
    return PhysicsModel(
        units="metres" if world.metres else "scene units",
        world_from_scene=world.world_from_scene.tolist(),
        surfaces=[shelf.height for shelf in world.shelves],
        bodies=[
            BodyModel(
                name=body.name,
                density=body.density,
                mass=body.mass,
                friction=body.friction,
                colliders=len(body.hulls),
                stands_on=body.stands_on,
            )
            for body in world.bodies
        ],
    )


def _write_object(o: SceneObject, put: Callable[[str, Callable[[Path], None]], str]) -> ObjectModel:
    gaussians, mesh = o.shape.gaussians, o.shape.mesh
    base = f"objects/{o.name}"
    mask = o.instance.mask.astype(np.uint8) * 255
    files = {"mask": put(f"{base}/mask.png", lambda p: write_png(p, mask))}
    if gaussians is not None:
        files["splats"] = put(f"{base}/splats.ply", lambda p: write_ply(p, gaussians))
    if mesh is not None:
        node = GlbNode(name=o.title, key=o.name, mesh=mesh, matrix=np.eye(4))
        files["mesh"] = put(f"{base}/mesh.glb", lambda p: write_glb(p, [node]))
    return ObjectModel(
        index=o.index,
        name=o.name,
        label=o.instance.label,
        class_name=o.instance.class_name,
        score=o.instance.score,
        box=o.instance.box,
        pose=PoseModel(**asdict(o.pose)),
        quality={k: float(v) for k, v in o.quality.items()},
        notes=list(o.notes),
        gaussians=0 if gaussians is None else len(gaussians),
        splat_kernel=0.0 if gaussians is None else gaussians.kernel,
        vertices=0 if mesh is None else len(mesh.vertices),
        faces=0 if mesh is None else len(mesh.faces),
        files=files,
    )


def _fewer_splats(
    objects: tuple[SceneObject, ...], most: int
) -> tuple[tuple[SceneObject, ...], list[str]]:
    """Reduce the objects' splats; add a note on what that costs."""
    from scenelift.output.prune import prune_objects

    before = sum(len(o.shape.gaussians or ()) for o in objects)
    if before <= most:
        return objects, []
    remaining, pruned = prune_objects(objects, most)
    return remaining, [
        f"Of {before:,} splats the {len(pruned.indices):,} were kept that pictures show most of; "
        f"pictures without the others differ by {pruned.psnr:.1f} dB PSNR."
    ]


def peak_memory_bytes() -> int | None:
    """Return the most memory this process has held, or None if the system does not say."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
