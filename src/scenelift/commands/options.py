"""Command-line options that several commands share, and how their text is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenelift.errors import InputError, SetupError
from scenelift.options import EXTRA_FORMATS, KnownLength
from scenelift.prompts import in_pixels, parse_box, parse_prompt_phrases
from scenelift.registry import BackendOptions
from scenelift.types import Prompt

if TYPE_CHECKING:
    from scenelift.device import Precision
    from scenelift.models.slat.options import ViewMode
    from scenelift.pipeline import Pipeline
    from scenelift.types import Image

PhotoArgument = Annotated[Path, typer.Argument(metavar="PHOTO", help="JPEG, PNG, WebP, TIFF…")]
PhotosArgument = Annotated[
    list[Path],
    typer.Argument(metavar="PHOTO...", help="JPEG, PNG, WebP, TIFF…; several with --same-object."),
]
SameObjectOption = Annotated[
    bool,
    typer.Option(
        "--same-object",
        help="All photos show one object, from several sides. Needs TRELLIS (--quality open).",
    ),
]
ViewModeOption = Annotated[
    str,
    typer.Option(
        "--view-mode",
        help="How several photos are combined: stochastic (one a step in turn, as fast as one "
        "photo) or multidiffusion (the mean over all at every step).",
    ),
]
PromptOption = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        "-p",
        help="What to lift out, in a word or two; several with commas. Repeatable.",
    ),
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
        help="sam3d, trellis, official (Meta's own package) or embedded, in place of the "
        "quality's own.",
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
    str,
    typer.Option("--quality", help="full, open, embedded, or auto: the best that can run here."),
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

# Of SAM 3D Objects and TRELLIS, which the qualities "full" and "open" reconstruct with.
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=1, help="SAM 3D, TRELLIS: steps of both stages (25 each)."),
]
StructureStepsOption = Annotated[
    int | None,
    typer.Option("--structure-steps", min=1, help="SAM 3D, TRELLIS: steps of the shape alone."),
]
LatentStepsOption = Annotated[
    int | None,
    typer.Option("--latent-steps", min=1, help="SAM 3D, TRELLIS: steps of the appearance alone."),
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
FacesOption = Annotated[
    int,
    typer.Option(
        "--faces", min=0, help="Faces of an object's mesh; 0 keeps all: a decoder makes a million."
    ),
]
TextureSizeOption = Annotated[
    int, typer.Option("--texture-size", min=64, max=8192, help="Texels on a texture's side.")
]
VertexColorsOption = Annotated[
    bool, typer.Option("--vertex-colors", help="Colours on the vertices in place of a texture.")
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="SAM 3D, TRELLIS: compile the flows on CUDA: half a minute once, then a third less.",
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="SAM 3D, TRELLIS: auto (float16 on CUDA, else float32), float16, bfloat16, float32.",
    ),
]
NoRefineOption = Annotated[
    bool, typer.Option("--no-refine", help="Keep the poses that the reconstructor gives.")
]
NoRepairOption = Annotated[
    bool,
    typer.Option("--no-repair", help="Let objects float, lean and pierce each other as they came."),
]
KnownOption = Annotated[
    list[str] | None,
    typer.Option(
        "--known", help='Height of an object, for a scene in metres: "door=2.0m". Repeatable.'
    ),
]
BestOfOption = Annotated[
    int,
    typer.Option(
        "--best-of", min=1, max=32, help="Try so many seeds an object and keep the best by score."
    ),
]
FormatsOption = Annotated[
    str | None,
    typer.Option(
        "--formats",
        help=f"Write these too, with commas between: {', '.join(EXTRA_FORMATS)}.",
    ),
]
MaxSplatsOption = Annotated[
    int | None,
    typer.Option(
        "--max-splats",
        min=1,
        help="Most splats of the scene: those that pictures miss least go, and what it costs is "
        "said.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show log messages.")]


def read_known(texts: list[str] | None) -> tuple[KnownLength, ...]:
    """`--known` options: a label, =, and a height with its unit.

    Raises:
        InputError: one is not that, or no height.
    """
    units = {"m": 1.0, "cm": 0.01, "mm": 0.001, "ft": 0.3048, "in": 0.0254}
    known = []
    for text in texts or []:
        label, _, height = text.rpartition("=")
        match = re.fullmatch(r"\s*([0-9]*[.,]?[0-9]+)\s*([a-z]+)\s*", height.lower())
        if not (label.strip() and match and match[2] in units):
            raise InputError(
                f"{text!r} is no known height. Give a label and a height with its unit "
                f'({", ".join(units)}), for example --known "door=2.0m".'
            )
        metres = float(match[1].replace(",", ".")) * units[match[2]]
        if not metres > 0:
            raise InputError(f"The height in {text!r} must be more than 0.")
        known.append(KnownLength(label=label.strip(), metres=metres))
    return tuple(known)


def read_formats(text: str | None) -> tuple[str, ...]:
    """A `--formats` option.

    Raises:
        InputError: one of them is unknown.
        SetupError: one needs a package that is not installed.
    """
    from importlib.util import find_spec

    needed = {
        "usdz": ("pxr", "'scenelift[usd]'"),
        "compact.glb": ("meshoptimizer", "'scenelift[compact]'"),
    }
    found = tuple(dict.fromkeys(f.strip().lower() for f in (text or "").split(",") if f.strip()))
    for name in found:
        if name not in EXTRA_FORMATS:
            raise InputError(f"{name!r} is no format. Known: {', '.join(EXTRA_FORMATS)}.")
        module, package = needed.get(name, ("", ""))
        if module and find_spec(module) is None:
            raise SetupError(f"--formats {name} needs a package: pip install {package}.")
    return found


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
    from scenelift.geometry.photo_size import photo_size

    in_pixels(prompt, *photo_size(image))


def read_view_mode(text: str) -> ViewMode:
    """A `--view-mode` option.

    Raises:
        InputError: there is none of that name.
    """
    if text == "stochastic" or text == "multidiffusion":
        return text
    raise InputError(f"{text!r} is no way to combine photos. Known: stochastic, multidiffusion.")


def check_photos(photos: list[Path], *, same_object: bool, masks: bool) -> None:
    """Several photos must be of one object; each must be a photo.

    Raises:
        InputError: they are not said to be, or come with a mask of one of them.
    """
    from scenelift.io.image import read_image

    if len(photos) > 1 and not same_object:
        raise InputError(
            f"{len(photos)} photos were given. If they show one object from several sides, add "
            f"--same-object; for a scene of each, there is `scenelift batch`."
        )
    if len(photos) > 1 and masks:
        raise InputError(
            "--mask belongs to one photo, and --same-object finds the object in each: name it "
            "with --prompt."
        )
    for photo in photos[1:]:
        read_image(photo)


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
    prompt: Prompt,
    segmenter: str | None = None,
    reconstructor: str | None = None,
) -> Pipeline:
    """The pipeline of a quality, with masks and depth of the user's in place of the models."""
    from scenelift.io.image import read_image
    from scenelift.pipeline import Pipeline
    from scenelift.pointmap import POINT_MAPPERS
    from scenelift.qualities import GIVEN, choose_backends
    from scenelift.reconstruct import RECONSTRUCTORS
    from scenelift.segment import SEGMENTERS
    from scenelift.segment.given import Canvas, GivenSegmenter, read_given

    given, cuts_out = None, True
    if masks:
        image = read_image(photo)
        given = read_given(masks, Canvas.of_image(image, photo), prompt.phrases)
        cuts_out = bool(given.boxes) or any(drawn.positive for drawn in prompt.boxes)
    choice = choose_backends(
        quality,
        options,
        segmenter=segmenter if cuts_out else GIVEN,
        pointmapper=GIVEN if depth else None,
        reconstructor=reconstructor,
    )
    names = choice.names
    cutter = SEGMENTERS.load(names.segmenter, options) if cuts_out else None
    if given is None:
        assert cutter is not None
        finder = cutter
    else:
        finder = GivenSegmenter(
            given.instances, boxes=given.boxes, cutter=cutter, notes=given.notes
        )
    if depth:
        from scenelift.pointmap.given import GivenPointMapper

        pointmapper = GivenPointMapper.from_file(depth, scale=depth_scale)
    else:
        pointmapper = POINT_MAPPERS.load(names.pointmapper, options)
    lifter = RECONSTRUCTORS.load(names.reconstructor, options)
    return Pipeline(finder, pointmapper, lifter, choice=choice)
