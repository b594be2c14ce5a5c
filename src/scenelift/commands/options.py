"""Command-line options that several commands share, and how their text is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenelift.config import parse_box, parse_prompt_phrases
from scenelift.errors import InputError
from scenelift.registry import BackendOptions
from scenelift.types import Prompt

if TYPE_CHECKING:
    from scenelift.device import Precision
    from scenelift.pipeline import Pipeline
    from scenelift.types import Image

PhotoArgument = Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, TIFF…")]
PromptOption = Annotated[
    list[str] | None,
    typer.Option("--prompt", "-p", help="What to lift out, in a word or two. Repeatable."),
]
BoxOption = Annotated[
    list[str] | None,
    typer.Option("--box", help="An object's box: x0,y0,x1,y1 or name=x0,y0,x1,y1. Repeatable."),
]
ExcludeBoxOption = Annotated[
    list[str] | None,
    typer.Option("--exclude-box", help="Leave out what lies in this box. Repeatable."),
]
MaskOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--masks-from",
        "--mask",
        help="Masks in place of a model: PNG, folder of PNGs, COCO JSON, or a folder written by "
        "`scenelift segment`. Repeatable.",
    ),
]
SegmenterOption = Annotated[
    str | None,
    typer.Option(
        "--segmenter", help="sam3, grounded-sam2 or embedded, in place of the quality's own."
    ),
]
SegmenterModelOption = Annotated[
    str | None,
    typer.Option(
        "--segmenter-model",
        help="Another model for it: a folder or a Hugging Face hub id; for grounded-sam2 two, "
        "joined by +.",
    ),
]
ReconstructorOption = Annotated[
    str | None,
    typer.Option(
        "--reconstructor",
        help="sam3d, official (Meta's own package) or embedded, in place of the quality's own.",
    ),
]
MaxObjectsOption = Annotated[
    int | None, typer.Option("--max-objects", min=1, help="Keep the best-scored only.")
]
MinScoreOption = Annotated[
    float | None,
    typer.Option("--min-score", min=0, max=1, help="Keep objects of at least this score."),
]
MaskThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--mask-threshold",
        min=0.01,
        max=0.99,
        help="How sure a pixel must be to belong to an object (0.5): higher makes masks smaller.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Output folder.")]
QualityOption = Annotated[
    str, typer.Option("--quality", help="full, embedded, or auto: the best that can run here.")
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder with weights, in place of the cache.", file_okay=False),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=0, help="CPU threads; 0 lets the models choose.")
]
VramOption = Annotated[
    str | None,
    typer.Option("--vram", help="Most GPU memory to use, such as 8GB. Less is slower."),
]

# Of SAM 3D Objects, which the quality "full" reconstructs with.
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="SAM 3D: steps of both stages (25 each)."),
]
StructureStepsOption = Annotated[
    int | None,
    typer.Option("--structure-steps", min=1, help="SAM 3D: of shape and pose alone."),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option("--latent-steps", min=1, help="SAM 3D: of appearance alone."),
]
DistilledOption = Annotated[
    bool,
    typer.Option(
        "--distilled",
        help="SAM 3D: shape and pose in 4 steps without guidance: faster, a little less faithful.",
    ),
]
FewSplatsOption = Annotated[
    bool,
    typer.Option("--few-splats", help="SAM 3D: 4 splats a voxel instead of 32."),
]
MaxFacesOption = Annotated[
    int,
    typer.Option(
        "--max-faces",
        min=0,
        help="SAM 3D: faces of an object's mesh; 0 keeps all, about a million.",
    ),
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Compile SAM 3D Objects' flows on CUDA: half a minute once, a third less each object.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="SAM 3D: auto (float16 on CUDA, else float32), float16, bfloat16, float32.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")]


def read_vram(text: str | None) -> int | None:
    """Bytes of a `--vram` option; None for no limit.

    Raises:
        InputError: it is no amount of memory.
    """
    from scenelift.device import read_bytes

    return None if text is None else read_bytes(text)


def read_precision(text: str) -> Precision:
    """A `--precision` option.

    Raises:
        InputError: there is none of that name.
    """
    from typing import get_args

    from scenelift.device import Precision

    for known in get_args(Precision):
        if text == known:
            return known
    raise InputError(f"{text!r} is no precision. Known: {', '.join(get_args(Precision))}.")


def read_prompt(
    phrases: list[str] | None,
    boxes: list[str] | None,
    excluded: list[str] | None,
    *,
    min_score: float | None,
    mask_threshold: float | None,
    max_objects: int | None,
    optional: bool = False,
) -> Prompt:
    """The prompt that the options describe; `optional` where masks are given instead."""
    drawn = tuple(parse_box(b) for b in boxes or []) + tuple(
        parse_box(b, positive=False) for b in excluded or []
    )
    needed = not optional and not any(b.positive for b in drawn)
    texts = phrases or ([""] if needed else [])
    return Prompt(
        phrases=parse_prompt_phrases(texts),
        boxes=drawn,
        min_score=min_score,
        mask_threshold=mask_threshold,
        max_objects=max_objects,
    )


def check_boxes(prompt: Prompt, image: Image) -> None:
    """Boxes must overlap the photo.

    Raises:
        InputError: one lies outside.
    """
    for drawn in prompt.boxes:
        x0, y0, x1, y1 = drawn.box
        if x0 >= image.width or y0 >= image.height or x1 <= 0 or y1 <= 0:
            raise InputError(
                f"The box {drawn.box} lies outside the photo, which is {image.width} × "
                f"{image.height} pixels."
            )


def check_segmenter(segmenter: str | None, model: str | None) -> None:
    """A segmenter that the user names must exist, and another model be one of it.

    Raises:
        BackendUnavailable: there is none of that name.
        InputError: a model, but no segmenter was named.
    """
    from scenelift.segment import SEGMENTERS

    if segmenter:
        SEGMENTERS.entry(segmenter)
    if model and not segmenter:
        raise InputError(
            f"--segmenter-model {model} says which model, but not of which segmenter: add "
            f"--segmenter sam3 or --segmenter grounded-sam2."
        )


def check_reconstructor(name: str | None) -> None:
    """A reconstructor that the user names must exist.

    Raises:
        BackendUnavailable: there is none of that name.
    """
    from scenelift.reconstruct import RECONSTRUCTORS

    if name:
        RECONSTRUCTORS.entry(name)


def build_pipeline(
    photo: Path,
    *,
    quality: str,
    options: BackendOptions,
    masks: list[Path] | None,
    depth: Path | None = None,
    depth_scale: float | None = None,
    label: str = "object",
    segmenter: str | None = None,
    reconstructor: str | None = None,
) -> Pipeline:
    """The pipeline of a quality, with masks and depth of the user's in place of the models."""
    from scenelift.config import GIVEN, choose_backends
    from scenelift.io.image import read_image
    from scenelift.pipeline import Pipeline
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS

    choice = choose_backends(
        quality,
        options,
        segmenter=GIVEN if masks else segmenter,
        pointmapper=GIVEN if depth else None,
        reconstructor=reconstructor,
    )
    names = choice.names
    if masks:
        from scenelift.segment.given import GivenSegmenter, load_masks

        image = read_image(photo)
        finder = GivenSegmenter(load_masks(masks, (image.height, image.width), label=label))
    else:
        finder = SEGMENTERS.load(names.segmenter, options)
    if depth:
        from scenelift.pointmap.given import GivenPointMapper

        pointmapper = GivenPointMapper.from_file(depth, scale=depth_scale)
    else:
        pointmapper = POINT_MAPPERS.load(names.pointmapper, options)
    lifter = RECONSTRUCTORS.load(names.reconstructor, options)
    return Pipeline(finder, pointmapper, lifter, choice=choice)
