"""`scene.json`: the contents of an output folder, and how they were made.

The models below are the documented schema (`docs/scene.schema.json` is made from them). Version
1 only ever gains optional fields; anything else is a new version.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scenelift.errors import InputError
from scenelift.io.regular import check_regular

__all__ = [
    "MANIFEST_NAME",
    "BackgroundModel",
    "BodyModel",
    "BoxModel",
    "CameraModel",
    "DroppedModel",
    "EditedModel",
    "ExportModel",
    "FailedModel",
    "FileModel",
    "Manifest",
    "ObjectModel",
    "PhysicsModel",
    "PoseModel",
    "PromptModel",
    "TimingModel",
    "read_manifest",
]

MANIFEST_NAME = "scene.json"

BoxValues = tuple[float, float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BoxModel(_Model):
    """A box drawn by the user."""

    box: BoxValues = Field(description="x0, y0, x1, y1 in pixels of input.png")
    label: str = ""
    positive: bool = True


class PointModel(_Model):
    """A point set by the user."""

    point: tuple[float, float] = Field(description="x, y in pixels of input.png")
    label: str = ""
    positive: bool = True


class PromptModel(_Model):
    """What was asked for."""

    phrases: list[str]
    boxes: list[BoxModel] = []
    points: list[PointModel] = []
    min_score: float | None = None
    mask_threshold: float | None = None
    max_objects: int | None = None


class CameraModel(_Model):
    """Pinhole camera of input.png at the origin of the camera frame, looking along −z, y up."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class PoseModel(_Model):
    """scene_from_object: p_scene = R(rotation) · (scale · p_object) + translation."""

    rotation: tuple[float, float, float, float] = Field(description="unit quaternion w, x, y, z")
    translation: tuple[float, float, float]
    scale: float


class FileModel(_Model):
    """A file of the folder."""

    path: str = Field(description="relative to the folder, with forward slashes")
    bytes: int
    sha256: str


class ObjectModel(_Model):
    """One object of the scene."""

    index: int = Field(description="its number in overlay.png and in the folder's name")
    name: str = Field(description="folder under objects/, and node of scene.glb")
    label: str
    class_name: str | None = None
    score: float = Field(ge=0, le=1)
    box: BoxValues = Field(description="x0, y0, x1, y1 in pixels of input.png")
    pose: PoseModel
    quality: dict[str, float] = {}
    notes: list[str] = []
    gaussians: int = Field(description="number of splats")
    splat_kernel: float = Field(
        default=0.0, description="standard deviation of the smoothing that its splats contain"
    )
    vertices: int
    faces: int
    files: dict[str, str] = Field(description="mask, splats, mesh -> path")


class FailedModel(_Model):
    """An object that was found but could not be reconstructed."""

    index: int
    label: str
    score: float
    box: BoxValues
    error: str
    reason: str


class DroppedModel(_Model):
    """A candidate that the segmenter left out; `double_of` names the object in its place."""

    label: str
    score: float
    box: BoxValues
    reason: str
    double_of: str = ""


class TimingModel(_Model):
    """How long a stage (of an object) took."""

    stage: str
    seconds: float
    object_index: int | None = None
    resumed: bool = False


class BackgroundModel(_Model):
    """What is known of the room in background.ply and background.glb."""

    mode: str
    planes: list[str] = []
    up: tuple[float, float, float]
    levels: list[float] = Field(default=[], description="heights along up of floor and table tops")


class ExportModel(_Model):
    """The options that the scene was written with, so that it can be written again."""

    preview_frames: int
    preview_size: int
    preview_path: str
    preview_format: str
    formats: list[str]
    density: list[str] = Field(default=[], description="as --density has them")


class EditedModel(_Model):
    """What was changed by hand after the run; edits.json has the details."""

    scene: str = Field(description="SHA-256 of scene.json as the run wrote it")
    edits: str = Field(description="SHA-256 of edits.json")
    scale: float | None = Field(default=None, description="metres in one unit of the run's scene")
    deleted: list[str] = Field(default=[], description="names of objects that were left out")
    objects: dict[str, list[str]] = Field(
        default={}, description="name -> what was done to it: renamed, moved, splats removed, copy"
    )


class BodyModel(_Model):
    """An object as a simulator gets it."""

    name: str = Field(description="as among the objects")
    density: float = Field(description="kg/m³, guessed by the label or given by --density")
    mass: float = Field(description="kg: density times the volume of the mesh's convex pieces")
    friction: float
    colliders: int = Field(description="number of convex pieces")
    stands_on: str = Field(
        default="floor", description="floor, surface (one of surfaces), or another body's name"
    )


class PhysicsModel(_Model):
    """Masses and supporting surfaces in scene.xml, scene.urdf and scene.usdc."""

    units: Literal["metres", "scene units"] = Field(
        description="where not metres, masses guess twice"
    )
    world_from_scene: list[list[float]] = Field(description="4×4 rows; z up, the floor at z = 0")
    surfaces: list[float] = Field(description="heights of table tops above the floor")
    bodies: list[BodyModel]


class Manifest(_Model):
    """Everything about one output folder."""

    schema_version: Literal[1] = 1
    generator: str = Field(description='"scenelift" and its version')
    fingerprint: str = Field(description="digest of photo, prompt, backends, seed and options")
    complete: bool = Field(description="false where an object failed")
    prompt: PromptModel
    seed: int
    quality: str = Field(description="which set of backends was used")
    backends: dict[str, str]
    licences: dict[str, str] = Field(default={}, description="of each backend's code and weights")
    units: Literal["metres", "scene units"]
    frame: str = "camera of the photo: x right, y up, z backward; right-handed"
    splat_frame: Literal["y-up", "y-down"] = Field(
        default="y-up",
        description="axes of scene.ply, .sog, .splat and .compressed.ply: y-up as all else, or "
        "y-down: x right, y down, z ahead",
    )
    camera: CameraModel
    scene_from_camera: list[list[float]] = Field(description="4×4 rows")
    up: tuple[float, float, float] = Field(
        default=(0.0, 1.0, 0.0), description="against gravity, in the scene frame"
    )
    levels: list[float] = Field(
        default=[], description="heights along up of the floor and table tops that the photo shows"
    )
    objects: list[ObjectModel]
    background: BackgroundModel | None = None
    export: ExportModel | None = None
    edited: EditedModel | None = Field(default=None, description="null where nothing was")
    failed: list[FailedModel] = []
    dropped: list[DroppedModel] = []
    skipped: dict[str, str] = Field(default={}, description="output -> why it was not written")
    physics: PhysicsModel | None = Field(default=None, description="with usd, mjcf or urdf")
    notes: list[str] = []
    files: list[FileModel]
    timings: list[TimingModel] = []
    wall_seconds: float | None = None
    peak_memory_bytes: int | None = Field(default=None, description="of the whole process")


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an output folder.

    Raises:
        InputError: there is no manifest, or it is not one of ours.
    """
    path = folder / MANIFEST_NAME
    check_regular(path)
    try:
        return Manifest.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError as exc:
        raise InputError(
            f"{folder} holds no {MANIFEST_NAME}. Give the output folder of a finished run."
        ) from exc
    except (OSError, ValueError, RecursionError, ValidationError) as exc:
        raise InputError(f"{path} cannot be read as a scene's manifest: {exc}") from exc


def readable_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder; None where there is none that is whole and ours."""
    try:
        return read_manifest(folder)
    except InputError:
        return None


if __name__ == "__main__":
    import sys

    json.dump(Manifest.model_json_schema(), sys.stdout, indent=2)
    sys.stdout.write("\n")
