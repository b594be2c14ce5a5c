"""The options of a run, in groups: every option of every front end is one field here.

`docs/options.md` is made from this file. To add an option, add a field (CONTRIBUTING says more).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from scenelift.errors import InputError
from scenelift.formats import formats_help
from scenelift.options.checks import check_options
from scenelift.options.definition import option
from scenelift.options.readers import (
    Density,
    KnownLength,
    read_boxes,
    read_bytes,
    read_densities,
    read_device,
    read_few_splats,
    read_formats,
    read_known,
    read_points,
    show_boxes,
    show_bytes,
    show_densities,
    show_few_splats,
    show_known,
    show_points,
)
from scenelift.prompts import parse_prompt_phrases
from scenelift.types import PROMPT_NUMBERS, BoxPrompt, PointPrompt, Prompt

__all__ = [
    "MAX_SEED",
    "BackendOptions",
    "BackendSelection",
    "BackgroundMode",
    "CameraPath",
    "ExifFocal",
    "ExportOptions",
    "FinishOptions",
    "InputOptions",
    "LayoutOptions",
    "Precision",
    "PresetOptions",
    "PreviewFormat",
    "ReconstructionOptions",
    "SearchOptions",
    "SeedOptions",
    "SplatFrame",
    "ViewMode",
    "VoxelKind",
]

CameraPath: TypeAlias = Literal["swing", "circle", "flight"]
PreviewFormat: TypeAlias = Literal["gif", "webp", "mp4"]
BackgroundMode: TypeAlias = Literal["none", "photo", "planes"]
SplatFrame: TypeAlias = Literal["y-up", "y-down"]
Precision: TypeAlias = Literal["auto", "float16", "bfloat16", "float32"]
ViewMode: TypeAlias = Literal["stochastic", "multidiffusion"]
"""How several conditions of one object, such as photos from several sides, are combined:
"stochastic" takes one a step in turn, "multidiffusion" the mean of all velocities at every step,
which costs as many evaluations (the names of TRELLIS's published code)."""

MAX_SEED = 2**31 - 1
"""What every random generator takes, and JavaScript writes exactly."""
VoxelKind: TypeAlias = Literal["512", "1024", "1024_cascade", "1536_cascade"]
"""What TRELLIS.2 and its successors make: how many fine voxels a side, and whether by way of a
coarser shape (the names of TRELLIS.2's published code)."""

ExifFocal: TypeAlias = Literal["camera", "everything", "nothing"]
"""What a focal length that the photo tells serves. "camera": the scene's camera, while models are
conditioned on the point map's own points. "everything": those points too. "nothing": it is ignored,
as the published code of SAM 3D ignores it."""

_NOT_3D = "it makes masks and nothing in 3D"
_ONE_PHOTO = "it belongs to one photo, and is a column of the manifest"
_NO_PATHS = "a server opens no file that a caller names"
_LOADED = "models are loaded with it once, for all photos"
_BY_JOB = "each job says it"
_IN_BOXES = {"batch": _ONE_PHOTO, "serve": _BY_JOB, "job": "part of its field `boxes`"}
_IN_POINTS = {**_IN_BOXES, "job": "part of its field `points`"}
_BY_QUALITY = {"row": _LOADED, "job": "it chooses by quality what the server offers"}
_FILES_OF_ONE_PHOTO = {"batch": _ONE_PHOTO, "serve": _NO_PATHS, "job": _NO_PATHS}


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Base of the groups, which refuses values of the wrong type or out of range."""

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions(OptionGroup):
    """What to look for in the photo, and how many objects to take.

    Attributes:
        prompt: phrases, each searched on its own; one may hold several, separated by semicolons.
        box: objects that the user drew a box around.
        exclude_box: what lies in these boxes is left out.
        point: points on objects; those of one label are one object.
        not_point: points beside the object of their label: what is there is taken from it.
        min_score: least score in 0…1 of an object that is taken; None for the model's own.
        mask_threshold: how sure in 0…1 a pixel must be to belong to an object; None for 0.5.
        max_objects: take that many objects at most, those with the best scores; None for all.
    """

    prompt: tuple[str, ...] = option(
        (),
        help="What to lift out, in a word or two; several as a list (docs/prompts.md). Repeatable.",
        flags=("--prompt", "-p"),
        changes="segment",
        example=["red", "blue"],
        left_out={"serve": _BY_JOB, "job": "called text_prompt there"},
    )
    box: tuple[BoxPrompt, ...] = option(
        (),
        help="An object's box: x0,y0,x1,y1 or name=x0,y0,x1,y1, in pixels, or all within 0…1 as "
        "parts of the photo. Repeatable.",
        changes="segment",
        example=["corner=10,10,30,40"],
        plain=list[str],
        read=read_boxes,
        show=show_boxes,
        left_out=_IN_BOXES,
    )
    exclude_box: tuple[BoxPrompt, ...] = option(
        (),
        help="Leave out what lies in this box. Repeatable.",
        changes="segment",
        example=["100,0,120,20"],
        plain=list[str],
        read=partial(read_boxes, positive=False),
        show=show_boxes,
        left_out=_IN_BOXES,
    )
    point: tuple[PointPrompt, ...] = option(
        (),
        help="A point on an object: x,y or name=x,y, in pixels, or within 0…1 as parts of the "
        "photo. Points of one name are one object, name#2 begins another. Repeatable.",
        changes="segment",
        example=["corner=20,20"],
        plain=list[str],
        read=read_points,
        show=show_points,
        left_out=_IN_POINTS,
    )
    not_point: tuple[PointPrompt, ...] = option(
        (),
        help="A point that is not on the object of its name: x,y or name=x,y. Repeatable.",
        changes="segment",
        example=["30,20"],
        plain=list[str],
        read=partial(read_points, positive=False),
        show=show_points,
        left_out=_IN_POINTS,
    )
    max_objects: int | None = option(
        None,
        help="Take at most this many objects: those with the best scores.",
        changes="segment",
        example=2,
        ge=PROMPT_NUMBERS["max_objects"][1],
        le=PROMPT_NUMBERS["max_objects"][2],
        title="At most",
        left_out={"serve": "SCENELIFT_MAX_OBJECTS is what a job may ask for at most"},
    )
    min_score: float | None = option(
        None,
        help="Take objects of at least this score.",
        changes="segment",
        example=0.25,
        ge=PROMPT_NUMBERS["min_score"][1],
        le=PROMPT_NUMBERS["min_score"][2],
        title="Least score",
        left_out={"serve": _BY_JOB},
    )
    mask_threshold: float | None = option(
        None,
        help="How sure a pixel must be to belong to an object (0.5): higher makes masks smaller.",
        changes="segment",
        example=0.4,
        ge=PROMPT_NUMBERS["mask_threshold"][1],
        le=PROMPT_NUMBERS["mask_threshold"][2],
        left_out={"serve": _BY_JOB},
    )

    def to_prompt(self, *, optional: bool = False) -> Prompt:
        """Make the prompt; it may be empty (`optional`) if masks replace it.

        Raises:
            InputError: it says nothing, or a phrase is too long, or there are too many.
        """
        boxes, points = (*self.box, *self.exclude_box), (*self.point, *self.not_point)
        phrase_required = not optional and not any(mark.positive for mark in (*boxes, *points))
        return Prompt(
            phrases=parse_prompt_phrases(self.prompt or ([""] if phrase_required else [])),
            boxes=boxes,
            points=points,
            min_score=self.min_score,
            mask_threshold=self.mask_threshold,
            max_objects=self.max_objects,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSelection(OptionGroup):
    """Which models a run uses.

    Attributes:
        quality: a set of backends, or "auto": the best that can run here.
        segmenter, pointmapper, reconstructor: names of backends in place of the quality's own.
    """

    quality: str = option(
        "auto",
        help="full, pbr, open, light, embedded, or auto: the best that can run here.",
        changes="segment",
        example="fake",
        left_out={"row": _LOADED},
    )
    segmenter: str | None = option(
        None,
        help="sam3, grounded-sam2, grounded-sam2-tiny or embedded, in place of the quality's own.",
        changes="segment",
        example="fake-color",
        left_out=_BY_QUALITY,
    )
    pointmapper: str | None = option(
        None,
        help="moge, moge-2, moge-2-small or embedded, in place of the quality's own.",
        changes="pointmap",
        example="fake-plane",
        left_out={"segment": _NOT_3D, **_BY_QUALITY},
    )
    reconstructor: str | None = option(
        None,
        help="sam3d, trellis, trellis2, pixal3d, official (Meta's own package) or embedded, "
        "in place of the quality's own.",
        changes="reconstruct",
        example="fake-ball",
        left_out={"segment": _NOT_3D, **_BY_QUALITY},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputOptions(OptionGroup):
    """Results of the user's that replace a model's.

    Attributes:
        masks: files or folders in the forms of `segment/given.py`.
        depth: a file in one of the forms of `pointmap/given.py`.
        depth_scale: units per step of its values; None for the form's own.
    """

    masks: tuple[Path, ...] = option(
        (),
        help="Masks in place of a model: PNG, folder of PNGs, annotations (COCO, labelme, CVAT, "
        "VOC, YOLO …), or a folder written by `scenelift segment`. Repeatable.",
        flags=("--masks-from", "--mask"),
        changes="segment",
        example=["mask.png"],
        left_out={"segment": "it makes them", **_FILES_OF_ONE_PHOTO},
    )
    depth: Path | None = option(
        None,
        help="Depth of the photo in place of a model: .npy, .npz, .exr, .tiff, .pfm or 16-bit PNG.",
        changes="pointmap",
        example="depth.npy",
        left_out={"segment": _NOT_3D, **_FILES_OF_ONE_PHOTO},
    )
    depth_scale: float | None = option(
        None,
        help="Units per step of a PNG depth (0.001: millimetres).",
        changes="pointmap",
        example=0.5,
        left_out={"segment": _NOT_3D, **_FILES_OF_ONE_PHOTO},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions(OptionGroup):
    """Where the models are, where they run, and how much memory they may use.

    Attributes:
        weights: folder with weights in place of the cache, or None.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        vram_bytes: most accelerator memory to use, None for no limit.
        threads: CPU threads a backend may use; 0 lets it choose.
        model: another hub id or folder for segmenters that take one, or None.
        exif_focal: what a focal length that the photo tells serves.
    """

    weights: Path | None = option(
        None,
        help="Folder with weights, in place of the cache.",
        changes="",
        example="weights",
        private=True,
        left_out={"row": _LOADED, "job": _NO_PATHS},
    )
    device: str = option(
        "auto",
        help="auto, cpu, cuda, cuda:1, mps.",
        changes="",
        example="cpu",
        left_out={
            "batch": "given with --device, which is repeatable there: one worker each",
            "serve": "given with --device, which is repeatable there: one worker each",
            "row": _LOADED,
            "job": _LOADED,
        },
    )
    threads: int = option(
        0,
        help="CPU threads; 0 lets the models choose.",
        changes="",
        example=2,
        ge=0,
        le=1024,
        left_out={"row": _LOADED, "job": _LOADED},
    )
    vram_bytes: int | None = option(
        None,
        name="vram",
        help="Most GPU memory to use, such as 8GB, or max. Less is slower; unsaid, at most 12 GiB.",
        changes="",
        example="8GB",
        plain=str,
        read=read_bytes,
        show=show_bytes,
        left_out={"row": _LOADED, "job": _LOADED},
    )
    model: str | None = option(
        None,
        name="segmenter_model",
        help="Another model for the segmenter: a folder or a Hugging Face hub id; for "
        "grounded-sam2 two, joined by +.",
        changes="segment",
        example="someone/model",
        private=True,
        left_out={"row": _LOADED, "job": _NO_PATHS},
    )

    exif_focal: ExifFocal = option(
        "camera",
        help="What a focal length in the photo's EXIF data serves: camera, everything (the points "
        "that SAM 3D sees too), or nothing, as in its published code.",
        changes="pointmap",
        example="nothing",
        left_out={"segment": _NOT_3D, "row": _LOADED, "job": _LOADED},
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", read_device(self.device))
        check_options(self)
        if self.vram_bytes is not None and self.vram_bytes <= 0:
            raise InputError(
                f"vram is {self.vram_bytes} bytes; expected more than 0, None for what is usual, "
                "or a text such as '8GB'."
            )


FAST_STEPS = 12
"""Of a stage, with `fast`."""

_SAMPLING_LEFT_OUT = {"segment": _NOT_3D, "row": _LOADED, "job": _LOADED}
_STEPS = {"ge": 1, "le": 1000, "left_out": _SAMPLING_LEFT_OUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionOptions(BackendOptions):
    """Where the models are, where they run, and how they sample.

    Goes where `BackendOptions` go; backends ignore what is not about them.

    The defaults are the published settings.

    Attributes:
        steps: of both stages, where they have no number of their own.
        structure_steps: of the first stage, which makes the shape (and SAM 3D the pose); None for
            what the checkpoint says (25), or 4 where distilled.
        latent_steps: of the second stage, which makes appearance and detail; None likewise (25).
        distilled: SAM 3D only: run the first stage without guidance and with its step size as an
            input, as it was distilled for: a tenth of the work, a little less faithful.
        fast: fewer steps, where no number of them is given: see `expanded`.
        velocity_caching: SAM 3D only: at every second step of both stages go on in a straight line
            through the last two velocities, in place of running the network.
        splats_per_voxel: SAM 3D only: 32, or 4 for a file an eighth as large.
        precision: of the large matrices; "auto" is float16 on CUDA and float32 elsewhere.
        compile: let PyTorch compile the flows on CUDA, which pays from a few objects on.
        view_mode: TRELLIS only: how several photos of one object are combined. "stochastic" looks
            at one a step in turn and takes no longer than one photo; "multidiffusion" takes the
            mean over all of them at every step.
        voxel_kind: TRELLIS.2 and Pixal3D only: how fine, and by what way. "512" is the fastest and
            needs the least memory; Pixal3D has the cascades alone.
    """

    steps: int | None = option(
        None,
        help="SAM 3D, TRELLIS: steps of both stages (25 each).",
        changes="reconstruct",
        example=12,
        **_STEPS,
    )
    structure_steps: int | None = option(
        None,
        help="SAM 3D, TRELLIS: steps of the shape alone.",
        changes="reconstruct",
        example=9,
        **_STEPS,
    )
    latent_steps: int | None = option(
        None,
        help="SAM 3D, TRELLIS: steps of the appearance alone.",
        changes="reconstruct",
        example=8,
        **_STEPS,
    )
    distilled: bool = option(
        False,
        help="SAM 3D: shape and pose in 4 steps without guidance: faster, a little less faithful.",
        changes="reconstruct",
        example=True,
        left_out=_SAMPLING_LEFT_OUT,
    )
    fast: bool = option(
        False,
        help="SAM 3D: distilled, and 12 steps of the appearance; TRELLIS: 12 steps of both stages. "
        "Numbers of steps that are given count.",
        changes="reconstruct",
        example=True,
        left_out=_SAMPLING_LEFT_OUT,
    )
    velocity_caching: bool = option(
        False,
        help="SAM 3D: compute every second step of both stages, and extrapolate the others: four "
        "tenths less time in its flows, a little less faithful.",
        changes="reconstruct",
        example=True,
        left_out=_SAMPLING_LEFT_OUT,
    )
    splats_per_voxel: Literal[4, 32] = option(
        32,
        name="few_splats",
        help="SAM 3D: 4 splats a voxel instead of 32.",
        changes="reconstruct",
        example=True,
        plain=bool,
        read=read_few_splats,
        show=show_few_splats,
        left_out=_SAMPLING_LEFT_OUT,
    )
    precision: Precision = option(
        "auto",
        help="SAM 3D, TRELLIS: auto (float16 on CUDA, else float32), float16, bfloat16, float32.",
        changes="reconstruct",
        example="float32",
        left_out=_SAMPLING_LEFT_OUT,
    )
    compile: bool = option(
        False,
        help="SAM 3D, TRELLIS: compile the flows on CUDA: half a minute once, then a third less.",
        changes="",
        example=True,
        left_out=_SAMPLING_LEFT_OUT,
    )
    view_mode: ViewMode = option(
        "stochastic",
        help="How several photos are combined: stochastic (one a step in turn, as fast as one "
        "photo) or multidiffusion (the mean over all at every step).",
        changes="reconstruct",
        example="multidiffusion",
        left_out={
            **_SAMPLING_LEFT_OUT,
            "batch": "a row is one photo",
            "serve": "a job is one photo",
        },
    )
    voxel_kind: VoxelKind = option(
        "1024_cascade",
        help="TRELLIS.2, Pixal3D: how fine, and by what way (512 is fastest and takes the least "
        "memory).",
        changes="reconstruct",
        example="512",
        left_out=_SAMPLING_LEFT_OUT,
    )

    def steps_of(self, stage: Literal["structure", "latent"]) -> int | None:
        """Return the steps of a stage as the user set them; None for the checkpoint's own."""
        own = self.structure_steps if stage == "structure" else self.latent_steps
        return own if own is not None else self.steps

    def expanded(self, *, distilled: bool) -> ReconstructionOptions:
        """Replace `fast` by the options that it stands for; options that the user set stay.

        The second stage takes 12 steps. The first takes 4 without guidance where it was distilled
        for that, else 12.

        Args:
            distilled: whether the model's first stage was.
        """
        if not self.fast:
            return self
        own: dict[str, Any] = {}
        if self.steps_of("latent") is None:
            own["latent_steps"] = FAST_STEPS
        if self.steps_of("structure") is None and not self.distilled:
            own |= {"distilled": True} if distilled else {"structure_steps": FAST_STEPS}
        return replace(self, fast=False, **own)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOptions(OptionGroup):
    """Which random numbers the models use.

    Attributes:
        seed: makes the result repeatable; object k uses seed + k.
        best_of: reconstruct every object with so many seeds and take the best.
        same_seed: every object uses the seed itself.
    """

    seed: int = option(
        0,
        help="Same seed, same result.",
        changes="reconstruct",
        example=3,
        ge=0,
        le=MAX_SEED,
        left_out={"segment": "masks do not depend on it", "serve": _BY_JOB},
    )
    best_of: int = option(
        1,
        help="Try this many seeds for each object and keep the result with the best score.",
        changes="reconstruct",
        example=2,
        ge=1,
        le=32,
        left_out={"segment": _NOT_3D, "serve": _BY_JOB},
    )

    same_seed: bool = option(
        False,
        help="Draw every object with the seed itself, not object k with seed + k.",
        changes="reconstruct",
        example=True,
        left_out={
            "segment": _NOT_3D,
            "serve": _BY_JOB,
            "job": "it is for comparing with other programs' runs",
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetOptions(OptionGroup):
    """Words that stand for several options at once.

    Attributes:
        published: let what nobody asked for otherwise be as SAM 3D's published pipeline has it
            (`every.PUBLISHED`).
    """

    published: bool = option(
        False,
        help="SAM 3D as its published pipeline runs it: see docs/sam3d.md. What you say of "
        "refining, repairing, faces, colours, seeds and EXIF stays as you say it.",
        changes="pointmap",
        example=True,
        left_out={
            "segment": _NOT_3D,
            "serve": "a server's jobs say what it stands for one by one",
            "row": _LOADED,
            "job": "it stands for options that are there one by one",
        },
    )


_OF_A_RUN = {"segment": _NOT_3D, "serve": _BY_JOB}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutOptions(OptionGroup):
    """What the compose stage does.

    Attributes:
        refine: make poses agree with mask, points and colours.
        repair: make things stand, and take apart what pierces each other.
        known: heights that give the scene its scale.
        background: what becomes of the photo around the objects: all of it as geometry, floor and
            walls alone, or nothing.
    """

    refine: bool = option(
        True,
        help="Make poses agree with the photo, or leave them as the reconstructor gives them.",
        changes="compose",
        example=False,
        title="Refine poses",
        left_out=_OF_A_RUN,
    )
    repair: bool = option(
        True,
        help="Make things stand and take apart what pierces each other, or leave them as they "
        "came.",
        changes="compose",
        example=False,
        title="Repair contacts",
        left_out=_OF_A_RUN,
    )
    known: tuple[KnownLength, ...] = option(
        (),
        help='Height of an object, for a scene in metres: "door=2.0m". Repeatable.',
        changes="compose",
        example=["red=0.5m"],
        plain=list[str],
        read=read_known,
        show=show_known,
        title="Known heights",
        left_out=_OF_A_RUN,
    )
    background: BackgroundMode = option(
        "photo",
        help="What the photo shows around and behind the objects, as geometry: photo (all of it), "
        "planes (floor, table tops and walls), or none.",
        changes="background",
        example="planes",
        title="Background",
        left_out=_OF_A_RUN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishOptions(OptionGroup):
    """How a decoded mesh is finished.

    Attributes:
        faces: budget of an object's mesh; None keeps all.
        texture_size: texels on a side, 64…8192.
        vertex_colors: colours on the vertices in place of a texture.
        normal_map: let a map shade the mesh as the decoded one was; None where materials are
            known, and so are apart from light.
    """

    faces: int | None = option(
        30_000,
        help="Faces of an object's mesh, 4 or more; 0 keeps all: a decoder makes a million.",
        changes="finish",
        example=60,
        ge=4,
        le=10_000_000,
        zero_is_none=True,
        title="Most faces",
        left_out=_OF_A_RUN,
    )
    texture_size: int = option(
        1024,
        help="Texels on a texture's side.",
        changes="finish",
        example=256,
        ge=64,
        le=8192,
        title="Texture",
        left_out=_OF_A_RUN,
    )
    vertex_colors: bool = option(
        False,
        help="Colours on the vertices in place of a texture.",
        changes="finish",
        example=True,
        title="Vertex colours, no texture",
        left_out=_OF_A_RUN,
    )
    normal_map: bool | None = option(
        None,
        help="Let a normal map shade the mesh as the decoded one was, or not; unless said, where "
        "materials are known.",
        changes="finish",
        example=True,
        title="Normal map",
        left_out=_OF_A_RUN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions(OptionGroup):
    """What is written besides the manifest.

    Attributes:
        preview_frames: frames of the turntable.
        preview_size: longer side of the turntable in pixels.
        preview_path: how the turntable's camera moves: ±40° about the photo's side, all the way
            round, or round in a flight that rises and comes close.
        preview_format: file format of the turntable; MP4 needs ffmpeg.
        formats: of `EXTRA_FORMATS`, those to write as well.
        densities: of objects as simulators get them, in place of the built-in ones.
        splat_frame: axes of `scene.ply`, `.sog`, `.splat` and `.compressed.ply`.
        max_splats: most splats of the whole scene; those that pictures miss least are left out.
    """

    preview_frames: int = option(
        36,
        help="Frames of the turntable.",
        changes="write",
        example=3,
        ge=1,
        le=1000,
        left_out=_OF_A_RUN,
    )
    preview_size: int = option(
        512,
        help="Longer side of the turntable, in pixels.",
        changes="write",
        example=48,
        ge=16,
        le=4096,
        left_out=_OF_A_RUN,
    )
    preview_path: CameraPath = option(
        "swing",
        help="Preview: swing about the photo's side, go round in a circle, or fly around (flight).",
        changes="write",
        example="circle",
        left_out=_OF_A_RUN,
    )
    preview_format: PreviewFormat = option(
        "gif",
        help="Preview's file; mp4 needs ffmpeg.",
        changes="write",
        example="webp",
        left_out=_OF_A_RUN,
    )
    formats: tuple[str, ...] = option(
        (),
        help=f"Write these too, with commas between, or repeated: {formats_help()}.",
        changes="write",
        example=["splat", "stl"],
        plain=list[str],
        read=read_formats,
        show=list,
        title="Further formats",
        left_out=_OF_A_RUN,
    )
    densities: tuple[Density, ...] = option(
        (),
        help="Density of what has this label or word in it, for masses in usd, mjcf and urdf: "
        '"cup=900kg/m3". Repeatable; docs/physics.md has the built-in ones.',
        changes="write",
        example=["red=900kg/m3"],
        name="density",
        plain=list[str],
        read=read_densities,
        show=show_densities,
        title="Densities",
        left_out=_OF_A_RUN,
    )
    splat_frame: SplatFrame = option(
        "y-down",
        help="Axes of scene.ply and its family: y-down (x right, y down, z ahead) is what most "
        "splat viewers show upright; y-up has the axes of scene.glb.",
        changes="write",
        example="y-up",
        title="Splat files",
        left_out=_OF_A_RUN,
    )
    max_splats: int | None = option(
        None,
        help="Most splats of the scene: the least visible ones are removed, and a note tells the "
        "loss.",
        changes="write",
        example=900,
        ge=1,
        le=2**31 - 1,
        title="Most splats",
        left_out=_OF_A_RUN,
    )
