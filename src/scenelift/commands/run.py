"""`scenelift run`: one photo and a phrase become an output folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenelift.commands import options as opt
from scenelift.commands.shell import listen, print_json, problems
from scenelift.options import CameraPath, PreviewFormat

if TYPE_CHECKING:
    from scenelift.output.manifest import Manifest

__all__ = ["run"]


def run(
    photos: opt.PhotosArgument,
    prompt: opt.PromptOption = None,
    same_object: opt.SameObjectOption = False,
    box: opt.BoxOption = None,
    exclude_box: opt.ExcludeBoxOption = None,
    mask: opt.MaskOption = None,
    depth: Annotated[
        Path | None,
        typer.Option(
            "--depth", help="Depth of the photo: 16-bit PNG, .npy or .npz, in place of a model."
        ),
    ] = None,
    depth_scale: Annotated[
        float | None,
        typer.Option("--depth-scale", help="Units per step of a PNG depth (0.001: millimetres)."),
    ] = None,
    out: opt.OutOption = Path("out"),
    quality: opt.QualityOption = "auto",
    segmenter: opt.SegmenterOption = None,
    segmenter_model: opt.SegmenterModelOption = None,
    reconstructor: opt.ReconstructorOption = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")] = 0,
    max_objects: opt.MaxObjectsOption = None,
    min_score: opt.MinScoreOption = None,
    mask_threshold: opt.MaskThresholdOption = None,
    best_of: opt.BestOfOption = 1,
    known: opt.KnownOption = None,
    no_refine: opt.NoRefineOption = False,
    no_repair: opt.NoRepairOption = False,
    preview_path: Annotated[
        CameraPath,
        typer.Option(
            help="Preview: swing about the photo's side, go round in a circle, or fly around."
        ),
    ] = "swing",
    preview_format: Annotated[
        PreviewFormat, typer.Option(help="Preview's file; mp4 needs ffmpeg.")
    ] = "gif",
    faces: opt.FacesOption = 30_000,
    texture_size: opt.TextureSizeOption = 1024,
    vertex_colors: opt.VertexColorsOption = False,
    formats: opt.FormatsOption = None,
    max_splats: opt.MaxSplatsOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Run again even if the folder holds this result.")
    ] = False,
    weights: opt.WeightsOption = None,
    device: opt.DeviceOption = "auto",
    threads: opt.ThreadsOption = 0,
    vram: opt.VramOption = None,
    steps: opt.StepsOption = None,
    structure_steps: opt.StructureStepsOption = None,
    latent_steps: opt.LatentStepsOption = None,
    distilled: opt.DistilledOption = False,
    few_splats: opt.FewSplatsOption = False,
    precision: opt.PrecisionOption = "auto",
    compile: opt.CompileOption = False,
    view_mode: opt.ViewModeOption = "stochastic",
    json: opt.JsonOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Lift the named objects out of a photo into a 3D scene.

    Writes scene.ply (Gaussian splats), scene.glb and scene.obj (meshes), a turntable, and
    scene.json, which says what everything is. Interrupted runs resume; a run that is already
    done returns at once.

    Example: scenelift run desk.jpg --prompt cup --prompt book --out out/desk

    Example: scenelift run front.jpg side.jpg --same-object --prompt shoe --quality open
    """
    with problems(json), listen(quiet=json, verbose=verbose) as report:
        from scenelift.io.image import read_image
        from scenelift.models.slat.options import ReconstructionOptions
        from scenelift.options import ExportOptions, FinishOptions, LayoutOptions
        from scenelift.output.folder import check_inputs, claim_folder
        from scenelift.runs import RunSpec, run_job
        from scenelift.segment.given import GivenSegmenter

        # Everything the user may have got wrong is checked before the first model is loaded.
        options = ReconstructionOptions(
            weights=weights,
            device=device,
            threads=threads,
            model=segmenter_model,
            vram_bytes=opt.read_vram(vram),
            structure_steps=structure_steps or steps,
            latent_steps=latent_steps or steps,
            distilled=distilled,
            splats_per_voxel=4 if few_splats else 32,
            precision=opt.read_precision(precision),
            compile=compile,
            view_mode=opt.read_view_mode(view_mode),
        )
        what = opt.read_prompt(
            prompt,
            box,
            exclude_box,
            min_score=min_score,
            mask_threshold=mask_threshold,
            max_objects=max_objects,
            optional=bool(mask),
        )
        layout = LayoutOptions(
            refine=not no_refine,
            repair=not no_repair,
            known=opt.read_known(known),
            best_of=best_of,
        )
        opt.check_segmenter(segmenter, segmenter_model)
        opt.check_reconstructor(reconstructor)
        photo, *further = photos
        opt.check_photos(photos, same_object=same_object, masks=bool(mask))
        opt.check_boxes(what, read_image(photo))
        check_inputs(out, (*photos, *(mask or ()), *((depth,) if depth else ())))
        with claim_folder(out):
            pass  # one that is in use, or cannot be written, is told before a model is loaded
        if same_object and quality == "auto" and reconstructor is None:
            quality = "open"  # the only one that looks at several photos
        pipeline = opt.build_pipeline(
            photo,
            quality=quality,
            options=options,
            segmenter=segmenter,
            reconstructor=reconstructor,
            masks=mask,
            depth=depth,
            depth_scale=depth_scale,
            prompt=what,
        )
        if isinstance(pipeline.segmenter, GivenSegmenter) and not what.phrases:
            what = replace(what, phrases=pipeline.segmenter.labels)
        if same_object:
            what = replace(what, max_objects=1)
            pipeline = pipeline.seeing(further, what)
        spec = RunSpec(
            photo=photo,
            prompt=what,
            out=out,
            seed=seed,
            layout=layout,
            finish=FinishOptions(
                faces=faces or None, texture_size=texture_size, vertex_colors=vertex_colors
            ),
            export=ExportOptions(
                preview_path=preview_path,
                preview_format=preview_format,
                formats=opt.read_formats(formats),
                max_splats=max_splats,
            ),
            force=force,
        )
        manifest = run_job(spec, pipeline, report)
    if json:
        print_json(manifest.model_dump(mode="json"))
    else:
        _summarise(manifest, out, told=pipeline.choice.notes if pipeline.choice else ())
    if manifest.failed:
        raise typer.Exit(5)


def _summarise(manifest: Manifest, out: Path, told: Sequence[str]) -> None:
    for o in manifest.objects:
        size = f"{o.gaussians:,} splats, {o.faces:,} faces"
        typer.echo(f"  {o.index}  {o.label} ({o.score:.2f}): {size}")
    for f in manifest.failed:
        typer.secho(f"  {f.index}  {f.label}: {f.reason}", fg=typer.colors.RED)
    for note in manifest.notes:
        if note not in told:  # those were shown when the run began
            typer.echo(f"  {note}")
    cost = f"{manifest.wall_seconds or 0:.1f} s"
    if manifest.peak_memory_bytes:
        cost += f", peak memory {manifest.peak_memory_bytes / 2**20:.0f} MiB"
    typer.echo(f"{out}: scene.ply, scene.glb, scene.obj, preview ({cost})")
    typer.echo(f"Look at it: scenelift view {out}")
