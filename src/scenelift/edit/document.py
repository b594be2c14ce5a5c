"""`edits.json`: the present state of each object and the scene's scale. See docs/edits.md.

The models are the documented schema (`python -m scenelift.edit > docs/edits.schema.json`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from scenelift.errors import EditsError, InputError
from scenelift.json_text import each_name_once
from scenelift.prompts import check_phrases
from scenelift.types import Pose

__all__ = [
    "EDITS_NAME",
    "MOST_BYTES",
    "Edits",
    "ObjectEdit",
    "TransformEdit",
    "parse_edits",
]

EDITS_NAME = "edits.json"
VERSION = 1

MOST_BYTES = 8 * 2**20
MOST_OBJECTS = 1000
MOST_COPIES = 200
MOST_RUNS = 200_000
HIGHEST_NUMBER = 99_999
FAR, LARGE = 1e6, 1e6
MOST_INDEX = 2**31
# Of a quaternion's length from 1: numbers that people type have few digits.
UNIT_TOLERANCE = 1e-3

Coordinate = Annotated[float, Field(ge=-FAR, le=FAR, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=1 / LARGE, le=LARGE, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=HIGHEST_NUMBER, strict=True)]
Run = tuple[
    Annotated[int, Field(ge=0, lt=MOST_INDEX, strict=True)],
    Annotated[int, Field(ge=1, le=MOST_INDEX, strict=True)],
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(text: str) -> str:
    text = " ".join(text.split())
    try:
        check_phrases([text])
    except InputError as exc:
        raise ValueError(str(exc)) from exc
    return text


class TransformEdit(_Model):
    """A pose: p_scene = R(rotation) · (scale · p_object) + translation."""

    rotation: tuple[Coordinate, Coordinate, Coordinate, Coordinate] = Field(
        description="unit quaternion w, x, y, z"
    )
    translation: tuple[Coordinate, Coordinate, Coordinate] = Field(
        description="in the frame and units of the unedited scene"
    )
    scale: Factor

    @model_validator(mode="after")
    def _check(self) -> TransformEdit:
        length = math.hypot(*self.rotation)
        if abs(length - 1) > UNIT_TOLERANCE:
            raise ValueError(f"rotation has the length {length:g}; a unit quaternion has 1")
        return self

    @property
    def pose(self) -> Pose:
        length = math.hypot(*self.rotation)
        w, x, y, z = (c / length for c in self.rotation)
        if w < 0:
            w, x, y, z = -w, -x, -y, -z
        return Pose(rotation=(w, x, y, z), translation=self.translation, scale=self.scale)


class ObjectEdit(_Model):
    """The present state of one object."""

    object: Number = Field(description="its number in scene.json, or a new one for a copy")
    copy_of: Number | None = Field(default=None, description="number of the object it repeats")
    name: Annotated[str, Field(max_length=1000), AfterValidator(_name)] | None = Field(
        default=None, description="its name; null leaves it unchanged"
    )
    deleted: Annotated[bool, Field(strict=True)] = False
    transform: TransformEdit | None = Field(default=None, description="its pose; null as before")
    splats_removed: Annotated[tuple[Run, ...], Field(max_length=MOST_RUNS)] = Field(
        default=(), description="runs of splats that go: [first, count]"
    )

    @property
    def says_something(self) -> bool:
        """Whether this changes anything."""
        changed = self.name is not None or self.deleted or self.transform is not None
        return changed or bool(self.splats_removed) or self.copy_of is not None


class Edits(_Model):
    """All changes to one scene, as states."""

    version: Literal[1] = VERSION
    scene: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the unedited scene.json")
    scale: Factor | None = Field(
        default=None, description="metres in one unit of the unedited scene; null as before"
    )
    objects: Annotated[tuple[ObjectEdit, ...], Field(max_length=MOST_OBJECTS)] = ()

    @model_validator(mode="after")
    def _check(self) -> Edits:
        numbers = [entry.object for entry in self.objects]
        twice = sorted({n for n in numbers if numbers.count(n) > 1})
        if twice:
            raise ValueError(f"object {twice[0]} has two entries; at most one is allowed")
        copies = sum(entry.copy_of is not None for entry in self.objects)
        if copies > MOST_COPIES:
            raise ValueError(f"there are {copies} copies; at most {MOST_COPIES} are allowed")
        runs = sum(len(entry.splats_removed) for entry in self.objects)
        if runs > MOST_RUNS:
            raise ValueError(f"there are {runs} runs of splats; at most {MOST_RUNS} are allowed")
        return self

    @property
    def empty(self) -> bool:
        """Whether nothing is changed."""
        return self.scale is None and not any(entry.says_something for entry in self.objects)

    def normal(self) -> Edits:
        """Return the normal form: sorted, without entries that change nothing, runs merged."""
        entries = [
            entry.model_copy(update={"splats_removed": _merge_runs(entry.splats_removed)})
            for entry in sorted(self.objects, key=lambda entry: entry.object)
            # A deleted copy is no copy.
            if entry.says_something and not (entry.deleted and entry.copy_of is not None)
        ]
        return self.model_copy(update={"objects": tuple(entries)})

    def to_bytes(self) -> bytes:
        """Write the file's content, with a line for each object."""
        value = self.model_dump(mode="json")
        lines = [_line(entry) for entry in value["objects"]]
        head = [f'"{key}": {_line(value[key])},' for key in ("version", "scene", "scale")]
        body = '"objects": [' + ("\n" + ",\n".join(lines) + "\n" if lines else "") + "]"
        return "\n".join(["{", *head, body, "}", ""]).encode()

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def parse_edits(data: bytes | str) -> Edits:
    """Parse a file's content into edits in their normal form.

    What depends on the scene (its SHA-256, its objects, how many splats they have) is checked where
    they are applied.

    Raises:
        EditsError: it is too large, no JSON, of another version, or a value is not allowed.
    """
    if len(data) > MOST_BYTES:
        raise EditsError(
            f"The edits have {len(data):,} bytes; up to {MOST_BYTES:,} are read. Remove fewer "
            "separate runs of splats."
        )
    try:
        value = json.loads(data, parse_constant=_refuse_constant, object_pairs_hook=each_name_once)
    except (ValueError, RecursionError) as exc:
        raise EditsError(f"The edits are not valid JSON: {exc}.") from exc
    version = value.get("version") if isinstance(value, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise EditsError(
            f"The edits are of version {version}; this scenelift knows version {VERSION}. Use the "
            "scenelift that wrote them."
        )
    try:
        return Edits.model_validate(value).normal()
    except ValidationError as exc:
        raise EditsError(f"The edits cannot be used: {_first_problem(exc)}.") from exc


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _first_problem(exc: ValidationError) -> str:
    """Describe the first error: where it is and what was expected; count the others."""
    errors = exc.errors(include_url=False, include_input=False)
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"])[:120]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    text = first["msg"].removeprefix("Value error, ").rstrip(".")
    if first["type"] == "too_long":
        text = "{actual_length} entries, at most {max_length} are taken".format(
            **first.get("ctx", {})
        )
    return f"{where}: {text}{more}" if where else f"{text}{more}"


def _merge_runs(runs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sort runs, and merge those that touch or overlap."""
    merged_runs: list[tuple[int, int]] = []
    for first, count in sorted(runs):
        if merged_runs and first <= sum(merged_runs[-1]):
            before = merged_runs[-1][0]
            merged_runs[-1] = (before, max(sum(merged_runs[-1]), first + count) - before)
        else:
            merged_runs.append((first, count))
    return tuple(merged_runs)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
