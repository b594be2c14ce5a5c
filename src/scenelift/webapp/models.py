"""What the REST interface accepts and returns; the OpenAPI description is made from these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from scenelift.coordinates import Mark, boxes_of, points_of
from scenelift.edit.document import Edits
from scenelift.errors import InputError
from scenelift.formats import EXTRA_FORMATS
from scenelift.options import CameraPath, Options, PreviewFormat, SplatFrame, fields_for
from scenelift.options.schema import model_of
from scenelift.output.export import FramedKind, Picture, SplatsInFrame, Turntable
from scenelift.phrases import split_phrases
from scenelift.prompts import MAX_PHRASE_CHARACTERS, MAX_PHRASES, parse_prompt_phrases
from scenelift.types import BoxPrompt, PointPrompt, Prompt
from scenelift.webapp.mask_runs import Runs
from scenelift.webapp.objects import JobObject

__all__ = [
    "MAX_BOXES",
    "MAX_POINTS",
    "NOTHING_LEFT",
    "AddedBox",
    "Box",
    "Choice",
    "Click",
    "Clicked",
    "Config",
    "EditState",
    "Example",
    "ExportState",
    "File",
    "Generated",
    "Job",
    "JobList",
    "JobOptions",
    "JobPrompt",
    "JobRequest",
    "JobStage",
    "Limits",
    "Login",
    "NewExports",
    "NewPicture",
    "NewShare",
    "NewTurntable",
    "OptionSchema",
    "Photo",
    "Point",
    "Problem",
    "Rerun",
    "SceneEdits",
    "SceneExports",
    "SceneFormat",
    "Selection",
    "ShareState",
    "State",
    "check_indices",
    "error_answers",
    "parse_phrases",
]

State = Literal["queued", "running", "review", "done", "failed", "cancelled"]
# Pixels of no photo we read; also keeps infinities out.
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Corners = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
MAX_BOXES = 100
MAX_POINTS = 200


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _plain_label(label: str) -> str:
    label = " ".join(label.replace(";", " ").split())
    if not label.isprintable():
        raise ValueError("a label has control characters")
    return label


Label = Annotated[str, Field(max_length=MAX_PHRASE_CHARACTERS), AfterValidator(_plain_label)]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""Texts; a lone one is one of them."""


def _is_plain(value: Any, model: type[BaseModel]) -> bool:
    """Tell whether a value is one of the model, or has its fields and no others."""
    if not isinstance(value, dict):
        return isinstance(value, model)
    fields = cast("dict[Any, Any]", value)
    is_named = isinstance(fields.get("label", ""), str)  # Segment Anything's are numbers
    has_only_fields = fields.keys() <= model.model_fields.keys()
    return is_named and has_only_fields and bool({"box", "point"} & fields.keys())


def _one(mark: list[Mark], name: str) -> dict[str, Any]:
    """Return the fields of the only box or point that was written in another form."""
    if len(mark) != 1:
        raise ValueError(f"there are {len(mark)} of them; one {name} was expected")
    (only,) = mark
    positive = {} if only.positive is None else {"positive": only.positive}
    return {name: only.numbers, "label": only.label, **positive}


class AddedBox(_Input):
    """An object that the user drew a box around."""

    box: Corners = Field(
        description="x0, y0, x1, y1 in pixels of the upright photo, or all as parts of it, in 0…1"
    )
    label: Label = ""

    @model_validator(mode="before")
    @classmethod
    def _in_any_form(cls, value: Any) -> Any:
        return value if _is_plain(value, cls) else _one(boxes_of(value), "box")

    @field_validator("box")
    @classmethod
    def _not_empty(cls, box: Corners) -> Corners:
        if not (box[2] > box[0] and box[3] > box[1]):
            raise ValueError("the box is empty: x1 must exceed x0 and y1 must exceed y0")
        return box

    def to_prompt(self) -> BoxPrompt:
        return BoxPrompt(box=self.box, label=self.label)


class Box(AddedBox):
    """A box of the prompt."""

    positive: bool = Field(True, description="false marks what is not meant")

    def to_prompt(self) -> BoxPrompt:
        return BoxPrompt(box=self.box, label=self.label, positive=self.positive)


class Point(_Input):
    """A point on an object, or beside it."""

    point: tuple[Coordinate, Coordinate] = Field(
        description="x, y in pixels of the upright photo, or both as parts of it, in 0…1"
    )
    label: Label = Field("", description="points of one label are one object; cup#2 is another cup")
    positive: bool = Field(True, description="false: the object is not there")

    @model_validator(mode="before")
    @classmethod
    def _in_any_form(cls, value: Any) -> Any:
        return value if _is_plain(value, cls) else _one(points_of(value), "point")

    def to_prompt(self) -> PointPrompt:
        return PointPrompt(point=self.point, label=self.label, positive=self.positive)


class JobPrompt(model_of("JobSearch", "job", "search", base=_Input, unsaid=True)):
    """What to lift out of the photo."""

    phrases: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = Field((), max_length=MAX_BOXES)
    points: tuple[Point, ...] = Field((), max_length=MAX_POINTS)

    def to_prompt(self) -> Prompt:
        plain = self.model_dump(exclude={"phrases", "boxes", "points"})
        numbers = Options.from_plain(plain).search
        return replace(
            numbers.to_prompt(optional=True),
            phrases=self.phrases,
            boxes=tuple(b.to_prompt() for b in self.boxes),
            points=tuple(p.to_prompt() for p in self.points),
        )


JOB_GROUPS = ("backends", "seeds", "layout", "finish", "export")
JobOptions = model_of("JobOptions", "job", *JOB_GROUPS, base=_Input, unsaid=True)
"""What a job says itself; None is what the server was started with."""


class JobRequest(JobOptions):
    """Everything about a job but its photo."""

    prompt: JobPrompt
    review: bool = False

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """Read options of jobs of an earlier version, which had some in an object of their own."""
        fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        if "meshes" in fields:
            return {k: v for k, v in (fields | fields["meshes"]).items() if k != "meshes"}
        return cast("object", value)

    def options(self, defaults: Options | None = None) -> Options:
        """The job's options, completed from the defaults.

        Raises:
            InputError: a value cannot be read, or is out of range.
        """
        own = self.model_dump(include=set(JobOptions.model_fields))
        return (defaults or Options()).with_plain(own)


class ObjectChoice(_Input):
    """Which of the found objects to reconstruct, and boxes to add to them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"keep": [0, 2], "add": [{"box": [40, 60, 220, 300], "label": "mug"}]}
        }
    )

    keep: tuple[Annotated[int, Field(ge=0, lt=1000, strict=True)], ...] = Field((), max_length=1000)
    add: tuple[AddedBox, ...] = Field((), max_length=MAX_BOXES)
    names: dict[Annotated[int, Field(ge=0, lt=1000)], Label] = Field(
        {}, max_length=1000, description="index of a kept object -> what it is called"
    )


NOTHING_LEFT = (
    "Nothing is left to reconstruct. Keep an object, point at one, or draw a box around it."
)


def check_indices(indices: Iterable[int], count: int) -> None:
    """Refuse indices of objects that were not found.

    Raises:
        InputError: one is not below `count`.
    """
    for index in indices:
        if index >= count:
            raise InputError(f"There is no object {index}: {count} were found, counted from 0.")


class Selection(ObjectChoice):
    """The user's choice, as the queue stores it.

    Attributes:
        drawn: file in the job's folder that holds the masks, or "".
    """

    drawn: str = Field("", pattern=r"^(drawn-[0-9a-f]{32}\.json)?$")


class DrawnMask(_Input):
    """An object that was clicked and painted together."""

    label: Label = ""
    mask: Runs


class Choice(ObjectChoice):
    """Which of the found objects to reconstruct, and what to add to them as boxes and masks."""

    masks: tuple[DrawnMask, ...] = Field((), max_length=MAX_BOXES)


class Click(_Input):
    """The points, box and mask of one object whose mask is wanted."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"points": [{"point": [120, 80], "positive": True}]}}
    )

    points: tuple[Point, ...] = Field((), max_length=MAX_POINTS)
    box: Corners | None = Field(None, description="around it")
    mask: Runs | None = Field(None, description="to start from")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.box is not None and not (self.box[2] > self.box[0] and self.box[3] > self.box[1]):
            raise ValueError("the box is empty: x1 must exceed x0 and y1 must exceed y0")
        if self.box is None and self.mask is None and not any(p.positive for p in self.points):
            raise ValueError("give a point on the object, a box around it, or a mask of it")
        return self


class Clicked(BaseModel):
    """The mask of one object."""

    mask: Runs
    box: tuple[float, float, float, float] | None = Field(description="null: nothing is left")
    by: str = Field(description="whose answer it is: a segmenter, or embedded in its place")
    busy: bool = Field(description="a job did not make way, and the embedded models answered")
    waited: float = Field(description="seconds until the models were free")
    seconds: float = Field(description="all in all, in the worker")


class Look(_Input):
    """Boxes to cut out, whose masks are to be seen before anything is reconstructed."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"add": [{"box": [40, 60, 220, 300], "label": "mug"}]}}
    )

    add: tuple[AddedBox, ...] = Field(min_length=1, max_length=MAX_BOXES)


class Rerun(JobOptions):
    """Changes for the second run; what is not given stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"seed": 7, "text_prompt": ["cup"]}})

    text_prompt: Texts | None = Field(None, max_length=MAX_PHRASES)
    boxes: tuple[Box, ...] | None = Field(None, max_length=MAX_BOXES)
    points: tuple[Point, ...] | None = Field(None, max_length=MAX_POINTS)


class NewShare(_Input):
    """A link to a scene."""

    days: float = Field(7, gt=0, le=3650, description="its life, at most what the server allows")


class ShareState(BaseModel):
    """The link to a scene."""

    expires: datetime | None = Field(description="null: there is none")
    url: str | None = Field(description="path of the link; given once, when it is made")


class Login(_Input):
    """A token, to be kept in a cookie."""

    token: str = Field(max_length=1000)


class Photo(BaseModel):
    """The photo as the models see it."""

    width: int
    height: int
    url: str


class File(BaseModel):
    """A file of the result."""

    name: str
    bytes: int
    sha256: str
    media_type: str = Field(description="as it is sent, such as model/gltf-binary")
    url: str


class EditState(BaseModel):
    """How far the edits of a finished job's scene are written."""

    state: Literal["written", "waiting", "writing", "failed", "cancelled"]
    revision: int = Field(description="of the newest edits; 0 before the first")
    written: int = Field(description="of the edits that the files are of")
    fraction: float = Field(ge=0, le=1)
    eta_seconds: float | None = Field(
        description="until the files are written, the wait for a worker included; null: not known"
    )
    error: dict[str, Any] | None = Field(description="an RFC 9457 problem, where it failed")


class ExportState(BaseModel):
    """How far the files that were asked for of a finished job's scene are made."""

    state: Literal["idle", "waiting", "writing", "failed"]
    fraction: float = Field(ge=0, le=1)
    eta_seconds: float | None = Field(
        description="until they are made, the wait for a worker included; null: not known"
    )
    error: dict[str, Any] | None = Field(description="an RFC 9457 problem, where it failed")


_EXPORT_OPTIONS = {f.name: f for f in fields_for("job", "export")}


def _number(option: str) -> Any:
    field = _EXPORT_OPTIONS[option]
    spec = field.option
    return Field(field.default, ge=spec.ge, le=spec.le, description=spec.help)


class NewTurntable(_Input):
    """A loop around the scene, as the options `preview_…` of a run describe it."""

    path: CameraPath = Field("swing", description=_EXPORT_OPTIONS["preview_path"].option.help)
    format: PreviewFormat = Field("gif", description="mp4 where the server has ffmpeg")
    frames: int = _number("preview_frames")
    size: int = _number("preview_size")

    def to_export(self) -> Turntable:
        return Turntable(path=self.path, format=self.format, frames=self.frames, size=self.size)


class NewSplats(_Input):
    """The scene's splats with axes of one's choice."""

    format: FramedKind
    frame: SplatFrame = Field(description=_EXPORT_OPTIONS["splat_frame"].option.help)

    def to_export(self) -> SplatsInFrame:
        return SplatsInFrame(kind=self.format, frame=self.frame)


class NewPicture(_Input):
    """The scene from the photo's side."""

    size: int = _number("preview_size")

    def to_export(self) -> Picture:
        return Picture(size=self.size)


MAX_LOOPS = 10


class NewExports(_Input):
    """Files to make of a scene."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "formats": ["spz"],
                "turntables": [{"path": "circle", "format": "webp", "frames": 60, "size": 720}],
            }
        }
    )

    formats: Texts = Field(
        (), max_length=len(EXTRA_FORMATS), description=_EXPORT_OPTIONS["formats"].option.help
    )
    turntables: tuple[NewTurntable, ...] = Field((), max_length=MAX_LOOPS)
    pictures: tuple[NewPicture, ...] = Field((), max_length=MAX_LOOPS)
    splats: tuple[NewSplats, ...] = Field((), max_length=MAX_LOOPS)


class SceneFormat(BaseModel):
    """A format that the scene is written in, or may be."""

    format: str
    name: str = Field(description="of its file, or the first of them")
    readers: str = Field(description="who reads it")
    state: Literal["made", "waiting", "absent"]
    files: list[File]
    expected_bytes: int = Field(description="of all its files; of those made, what they have")
    refused: str | None = Field(description="why it cannot be made here")


class SceneExports(ExportState):
    """What is made of a scene on demand: docs/exports.md."""

    formats: list[SceneFormat]
    loops: list[File] = Field(
        description="turntables, pictures and splats with chosen axes that were made"
    )
    waiting: list[str] = Field(description="names of files still to be made")
    refused: dict[str, str] = Field(description="name -> why it could not be made")
    turntable_formats: list[PreviewFormat] = Field(description="those that this server writes")
    zip_url: str
    zip_bytes: int = Field(description="of everything, about")


class SceneEdits(EditState):
    """The edits of a job's scene: docs/edits.md."""

    edits: Edits
    original_url: str = Field(description="scene.json of the unedited scene, its files beside it")


class JobStage(BaseModel):
    """A stage of the task at hand."""

    name: str
    title: str
    seconds: float | None = Field(
        description="what it takes here for these objects, from earlier jobs; null: not known yet"
    )


class Job(BaseModel):
    """A job and how far it is."""

    id: str
    state: State
    created: datetime
    started: datetime | None
    finished: datetime | None
    prompt: JobPrompt
    seed: int
    quality: str
    stage: str
    stages: list[JobStage] = Field(description="of the task at hand, in order")
    starts_in_seconds: float | None = Field(
        description="until a worker is free for it, where that can be told"
    )
    finding: bool = Field(description="it stops after the masks, for a look at them")
    fraction: float = Field(ge=0, le=1, description="of the whole job, or of finding objects")
    eta_seconds: float | None
    attempt: int
    position: int | None = Field(description="in the queue, from 1; null unless queued")
    notes: list[str]
    error: dict[str, Any] | None = Field(description="an RFC 9457 problem")
    objects: list[JobObject]
    image: Photo
    overlay_url: str | None
    thumbnail_url: str | None
    manifest_url: str | None
    files: list[File]
    edit: EditState | None = Field(description="of its scene, where there is one")
    export: ExportState | None = Field(description="likewise")


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[Job]
    last_event_id: int = Field(description="where to start /api/events so that nothing is missed")


class Limits(BaseModel):
    upload_bytes: int
    max_pixels: int
    max_phrases: int


class OptionSchema(BaseModel):
    """An option of a job, as JSON Schema puts it."""

    type: Literal["boolean", "integer", "number", "string", "array"]
    title: str
    description: str
    group: str = Field(description="heading of what it belongs to")
    default: bool | int | float | str | list[str] | None = None
    minimum: float | None = None
    maximum: float | None = None
    least_positive: int | None = Field(
        default=None, description="least number besides 0, which means no limit"
    )
    enum: list[str] | None = None
    items: dict[str, str] | None = None


class Example(BaseModel):
    name: str
    url: str
    prompt: str


class Config(BaseModel):
    """Server settings that the page needs."""

    version: str
    qualities: list[str]
    default_quality: str
    limits: Limits
    options: dict[str, OptionSchema] = Field(description="what a job may say, by name")
    server: dict[str, Any] = Field(description="what the server was started with, by option")
    auth: bool
    share_days: float = Field(description="longest life of a link to a scene; 0: none can be made")
    examples: list[Example]


class Generated(BaseModel):
    """Answer of /api/generate_3d."""

    success: bool
    job_id: str
    message: str
    num_objects: int
    glb_url: str | None
    ply_url: str | None
    obj_url: str | None
    mask_url: str | None
    preview_url: str | None
    objects: list[JobObject]
    elapsed_time: float


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""


def error_answers(*rows: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a call for OpenAPI: status codes, and what each means."""
    return {code: {"model": Problem, "description": text} for code, text in rows}


def parse_phrases(texts: Sequence[str], most: int, *, whole: Sequence[str] = ()) -> tuple[str, ...]:
    """Read the phrases of form fields; blank fields count as none.

    Args:
        most: that the server looks for.
        whole: phrases of an earlier search, which are one each whatever is in them.

    Raises:
        InputError: a phrase is too long or has control characters, or there are too many.
    """
    phrases: list[str] = []
    for text in texts:
        if text in whole:
            phrases.append(text)
        elif split_phrases(text):
            phrases += parse_prompt_phrases([text])
    phrases = list(dict.fromkeys(phrases))
    if len(phrases) > most:
        raise InputError(f"{len(phrases)} phrases were given; this server looks for {most}.")
    return tuple(phrases)
