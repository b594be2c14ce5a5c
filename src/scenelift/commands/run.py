"""`scenelift run`: turn one photo and a phrase into a folder with a 3D scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenelift.commands import inputs
from scenelift.commands.parameters import takes_options
from scenelift.commands.shell import listen, print_json, problems
from scenelift.options import Options

if TYPE_CHECKING:
    from scenelift.output.manifest import Manifest

__all__ = ["run"]


@takes_options("run")
def run(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO...", help="JPEG, PNG, WebP, TIFF…; several with --same-object."
        ),
    ],
    options: dict[str, Any],
    same_object: Annotated[
        bool,
        typer.Option(
            "--same-object",
            help="All photos show one object, from several sides. Needs TRELLIS (--quality open).",
        ),
    ] = False,
    out: inputs.OutOption = Path("out"),
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Run again even if the folder holds this result; replace files that are not ours.",
        ),
    ] = False,
    json: inputs.JsonOption = False,
    verbose: inputs.VerboseOption = False,
) -> None:
    """Lift the named objects out of a photo into a 3D scene.

    Writes scene.ply (Gaussian splats), scene.glb and scene.obj (meshes), a turntable, and
    scene.json, which says what everything is. Interrupted runs resume; a run that is already
    done returns at once.

    Example: scenelift run desk.jpg --prompt cup --prompt book --out out/desk

    Example: scenelift run front.jpg side.jpg --same-object --prompt shoe --quality open
    """
    with problems(json), listen(quiet=json, verbose=verbose, reads_first=True) as report:
        from scenelift.io.image import read_image
        from scenelift.output.folder import check_inputs, claim_folder
        from scenelift.output.others_files import check_others_files
        from scenelift.pipeline import Pipeline
        from scenelift.runs import RunSpec, named_by_masks, run_job

        # Everything the user may have got wrong is checked before the first model is loaded.
        run_options = Options.from_plain(options)
        if same_object:
            run_options = inputs.several_photos(run_options)
        inputs.check_backends(run_options)
        photo, *further = photos
        inputs.check_photos(photos, same_object=same_object, masks=bool(run_options.inputs.masks))
        image = read_image(photo)
        prompt = inputs.check_prompt(run_options, image)
        masks, depth = run_options.inputs.masks, run_options.inputs.depth
        check_inputs(out, (*photos, *masks, *((depth,) if depth else ())))
        with claim_folder(out):  # what cannot be written is told before a model is loaded
            if not force:
                check_others_files(out, run_options.export)
        pipeline = Pipeline.build(
            options=run_options.models,
            **asdict(run_options.backends),
            **asdict(run_options.inputs),
            photo=photo,
            image=image,
            prompt=prompt,
        )
        prompt = named_by_masks(prompt, pipeline)
        if same_object:
            pipeline = pipeline.seeing(further, prompt)
        spec = RunSpec.of(photo, prompt, out, run_options, force=force)
        manifest = run_job(spec, pipeline, report, image=image)
    if json:
        print_json(manifest.model_dump(mode="json"))
    else:
        _summarise(manifest, out, earlier_notes=pipeline.choice.notes if pipeline.choice else ())
    if manifest.failed:
        raise typer.Exit(5)


def _summarise(manifest: Manifest, out: Path, earlier_notes: Sequence[str]) -> None:
    for o in manifest.objects:
        size = f"{o.gaussians:,} splats, {o.faces:,} faces"
        typer.echo(f"  {o.index}  {o.label} ({o.score:.2f}): {size}")
    for f in manifest.failed:
        typer.secho(f"  {f.index}  {f.label}: {f.reason}", fg=typer.colors.RED)
    for note in manifest.notes:
        if note not in earlier_notes:  # those were shown when the run began
            typer.echo(f"  {note}")
    cost = f"{manifest.wall_seconds or 0:.1f} s"
    if manifest.peak_memory_bytes:
        cost += f", peak memory {manifest.peak_memory_bytes / 2**20:.0f} MiB"
    typer.echo(f"{out}: scene.ply, scene.glb, scene.obj, preview ({cost})")
    typer.echo(f"Look at it: scenelift view {out}")
