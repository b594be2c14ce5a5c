"""`scenelift segment`: write masks and an overlay to check before the slow 3D stages."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from scenelift.commands import inputs
from scenelift.commands.parameters import takes_options
from scenelift.commands.shell import listen, print_json, problems
from scenelift.options import Options

__all__ = ["segment"]


@takes_options("segment")
def segment(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, TIFF…")],
    options: dict[str, Any],
    out: inputs.OutOption = Path("out"),
    json: inputs.JsonOption = False,
    verbose: inputs.VerboseOption = False,
) -> None:
    """Find the named objects: masks, a numbered overlay, and instances.json.

    Edit or delete masks, then continue with `scenelift run PHOTO --masks-from DIR`.

    Example: scenelift segment desk.jpg --prompt cup --out out/masks
    """
    with problems(json), listen(quiet=json, verbose=verbose, reads_first=True) as report:
        from scenelift.io.image import read_image
        from scenelift.output.folder import claim_folder
        from scenelift.output.instances import check_masks, check_photo, write_instances
        from scenelift.pipeline import segment_photo
        from scenelift.qualities import choose_backends
        from scenelift.runtime import Runtime
        from scenelift.segment import SEGMENTERS
        from scenelift.stages import Steps

        run_options = Options.from_plain(options)
        inputs.check_backends(run_options)
        image = read_image(photo)
        prompt = inputs.check_prompt(run_options, image)
        check_photo(out, photo)
        check_masks(out)
        backends, models = run_options.backends, run_options.models
        name = backends.segmenter or choose_backends(backends.quality, models).names.segmenter
        runtime = Runtime.of(models, networks=SEGMENTERS.entry(name).networks)
        with claim_folder(out):
            segmenter = SEGMENTERS.load(name, runtime)
            steps = Steps(report, None, runtime, depends=(image, prompt))
            segmentation = segment_photo(segmenter, image, prompt, steps)
            files = write_instances(out, image, segmentation)
    if json:
        print_json(
            {
                "instances": files,
                "dropped": [asdict(d) for d in segmentation.dropped],
                "notes": list(segmentation.notes),
            }
        )
        return
    for number, instance in enumerate(segmentation.instances):
        typer.echo(f"  {number}  {instance.label} ({instance.score:.2f})")
    for note in segmentation.notes:
        typer.echo(f"  {note}")
    typer.echo(f"{out}: instances.json, overlay.png, {_count(files)}")
    going_on = ["scenelift", "run", str(photo), "--masks-from", str(out), "--out", "out/scene"]
    typer.echo(f"Continue: {shlex.join(going_on)}")


def _count(files: list[dict[str, Any]]) -> str:
    return "1 mask" if len(files) == 1 else f"{len(files)} masks"
