"""`scenelift segment`: masks and an overlay to look at before paying for 3D."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from scenelift.commands import options as opt
from scenelift.commands.shell import listen, print_json, problems
from scenelift.registry import BackendOptions

__all__ = ["segment"]


def segment(
    photo: opt.PhotoArgument,
    prompt: opt.PromptOption = None,
    box: opt.BoxOption = None,
    exclude_box: opt.ExcludeBoxOption = None,
    out: opt.OutOption = Path("out"),
    quality: opt.QualityOption = "auto",
    segmenter: opt.SegmenterOption = None,
    segmenter_model: opt.SegmenterModelOption = None,
    max_objects: opt.MaxObjectsOption = None,
    min_score: opt.MinScoreOption = None,
    mask_threshold: opt.MaskThresholdOption = None,
    weights: opt.WeightsOption = None,
    device: opt.DeviceOption = "auto",
    threads: opt.ThreadsOption = 0,
    json: opt.JsonOption = False,
    verbose: opt.VerboseOption = False,
) -> None:
    """Find the named objects: masks, a numbered overlay, and instances.json.

    Edit or delete masks, then continue with `scenelift run PHOTO --masks-from DIR`.

    Example: scenelift segment desk.jpg --prompt cup --out out/masks
    """
    with problems(json), listen(quiet=json, verbose=verbose) as report:
        from scenelift.io.image import read_image
        from scenelift.output.folder import claim_folder
        from scenelift.output.instances import check_photo, write_instances
        from scenelift.pipeline import find_objects
        from scenelift.qualities import choose_backends
        from scenelift.segment import SEGMENTERS

        what = opt.read_prompt(
            prompt,
            box,
            exclude_box,
            min_score=min_score,
            mask_threshold=mask_threshold,
            max_objects=max_objects,
        )
        opt.check_segmenter(segmenter, segmenter_model)
        image = read_image(photo)
        opt.check_boxes(what, image)
        check_photo(out, photo)
        options = BackendOptions(
            weights=weights, device=device, threads=threads, model=segmenter_model
        )
        with claim_folder(out):
            name = segmenter or choose_backends(quality, options).names.segmenter
            finder = SEGMENTERS.load(name, options)
            segmentation = find_objects(finder, image, what, report.at("segment"))
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
    typer.echo(f"Continue: scenelift run {photo} --masks-from {out} --out out/scene")


def _count(files: list[dict[str, Any]]) -> str:
    return "1 mask" if len(files) == 1 else f"{len(files)} masks"
