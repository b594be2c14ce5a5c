"""The values that stages pass to each other: named, frozen, checked on construction.

Frames, units and value ranges are those of `docs/conventions.md`. All arrays are numpy, so that a
stage's result can be saved, compared and sent to another process whatever computed it.

Shape letters: H, W image rows and columns; N Gaussians; V vertices; F faces.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from scenelift.coordinates import Mark, boxes_of, points_of
from scenelift.errors import ImageError, InputError
from scenelift.numbers import checked_number
from scenelift.phrases import each_once, split_phrases

__all__ = [
    "PLAIN_MATERIAL",
    "PROMPT_NUMBERS",
    "SH_C0",
    "AlphaMode",
    "Background",
    "BoxPrompt",
    "Camera",
    "Dropped",
    "FailedObject",
    "Gaussians",
    "Image",
    "Instance",
    "Layout",
    "Material",
    "MaterialVolume",
    "Mesh",
    "ObjectView",
    "Placement",
    "PointMap",
    "PointPrompt",
    "Pose",
    "Prompt",
    "Provenance",
    "Reconstruction",
    "SceneObject",
    "Segmentation",
    "Shape",
    "StageTiming",
    "View",
    "object_name",
    "photo_advice",
]

D = TypeVar("D", "BoxPrompt", "PointPrompt")

# Value of the constant spherical harmonic, 1 / (2 √π): colour = 0.5 + SH_C0 · sh0.
SH_C0 = 0.28209479177387814

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in continuous pixel coordinates, x1 > x0 and y1 > y0."""


PROMPT_NUMBERS = {
    "min_score": (float, 0, 1),
    "mask_threshold": (float, 0.01, 0.99),
    "max_objects": (int, 1, 1000),
}
"""Type, least and largest value of a prompt's numbers."""


Size = tuple[int, int]
"""Height and width in pixels."""


Scale = Literal["measured", "metric", "relative"]
"""How the metres of a point map are known; see `PointMap`."""


def _expect(name: str, array: NDArray[Any], shape: tuple[int | None, ...], dtype: type) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        expected = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(
            f"{name}: expected {np.dtype(dtype).name} [{expected}], "
            f"got {array.dtype.name} {list(array.shape)}"
        )


def _expect_photo(pixels: Any) -> None:
    """Refuse what is no picture, with the way to mend it.

    Raises:
        ImageError: it is not uint8 [H, W, 3], or empty.
    """
    if not isinstance(pixels, np.ndarray):
        raise ImageError(
            f"pixels is a {type(pixels).__name__}; uint8 [H, W, 3] in sRGB was expected. Give "
            "np.asarray(pixels, np.uint8)."
        )
    array = cast("NDArray[Any]", pixels)
    try:
        _expect("pixels", array, (None, None, 3), np.uint8)
    except ValueError as exc:
        raise ImageError(f"{exc}, in sRGB. {photo_advice(array)}") from exc
    if not array.size:
        raise ImageError(f"pixels is empty, {list(array.shape)}. Check how it was cut out.")


def photo_advice(array: NDArray[Any]) -> str:
    """Explain how to make uint8 [H, W, 3] of an array that is something else."""
    if array.ndim == 4:
        return "Give one photo: pixels[0] of a batch."
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        return "Channels come last: give pixels.transpose(1, 2, 0)."
    if array.dtype == np.bool_:
        return "A mask is no photo: it goes to `masks`."
    if array.dtype == np.uint16:
        return "Of 16 bits, give (pixels / 257).round().astype(np.uint8), or the file's path."
    if np.issubdtype(array.dtype, np.floating):
        return "Of 0…1 in sRGB, give (pixels * 255).round().astype(np.uint8)."
    if array.dtype != np.uint8:
        return "Give pixels.astype(np.uint8), if all are within 0…255."
    return "Grey and RGBA arrays may be given as they are to Pipeline.run, in place of an Image."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """A photo, upright, at the size that every stage works at.

    A large photo is reduced for work. Two sizes then matter: the photo's own, in which users give
    boxes, masks, depth and intrinsics, and the working size, that of `pixels`, to which
    `geometry.photo_size` brings them and in which everything in a scene is.

    Attributes:
        pixels: uint8 [H, W, 3], sRGB, EXIF orientation applied, row 0 at the top.
        focal_px: focal length in pixels of this image where EXIF tells it, else None.
        own_size: width and height of the photo itself, upright, where `pixels` were reduced; None
            where they are the photo's own.
        detail: uint8 [H', W', 3], the same picture with more pixels, where there are more: what
            objects are cut out of for the models that look at one object closely.
        notes: what reading it changed, in plain sentences ("read at 4096 × 3072 …").
    """

    pixels: NDArray[np.uint8]
    focal_px: float | None = None
    own_size: tuple[int, int] | None = None
    detail: NDArray[np.uint8] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _expect_photo(self.pixels)
        if self.detail is not None:
            _expect("detail", self.detail, (None, None, 3), np.uint8)

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxPrompt:
    """A box the user drew: an object (or an example of what to find), or one to leave out.

    Attributes:
        box: x0, y0, x1, y1 in pixels.
        label: what the user calls it; "" where unsaid.
        positive: False marks an example of what is not meant.
    """

    box: Box
    label: str = ""
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _check_mark(self, boxes_of(self.box)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPrompt:
    """A point that the user set on an object, or beside it.

    Attributes:
        point: x, y in pixels.
        label: which object: points of one label are of one object. "cup#2" is a second object
            that is called "cup"; "" where unsaid.
        positive: whether the object is there; False takes away what is there.
    """

    point: tuple[float, float]
    label: str = ""
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", _check_mark(self, points_of(self.point)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The objects to look for: phrases, boxes and points.

    Attributes:
        phrases: one or more phrases, each searched on its own ("chair", "red mug").
        boxes: boxes drawn by the user, combined with the phrases.
        points: points set by the user; those of one label are one object.
        min_score: least score in 0…1 of an object that is kept; None for the model's own.
        mask_threshold: how sure in 0…1 a pixel must be to belong to an object; None for 0.5.
        max_objects: keep that many objects at most, those with the best scores; None for all.
    """

    phrases: tuple[str, ...] = field(default=(), kw_only=False)
    boxes: tuple[BoxPrompt, ...] = ()
    points: tuple[PointPrompt, ...] = ()
    min_score: float | None = None
    mask_threshold: float | None = None
    max_objects: int | None = None

    def __post_init__(self) -> None:
        # A lone text or box is meant as one, not as its letters or numbers.
        object.__setattr__(self, "phrases", _phrases(self.phrases))
        object.__setattr__(self, "boxes", _all_of(BoxPrompt, self.boxes, _box_prompts))
        object.__setattr__(self, "points", _all_of(PointPrompt, self.points, _point_prompts))
        for name, (kind, low, high) in PROMPT_NUMBERS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, checked_number(value, kind, name, low, high))


def _phrases(phrases: Any) -> tuple[str, ...]:
    """Split the phrases of one text, or check several texts."""
    if isinstance(phrases, str):
        return each_once(split_phrases(phrases))
    plural = not isinstance(phrases, bytes | bytearray | Mapping) and np.iterable(phrases)
    texts = tuple(cast("Sequence[str]", phrases)) if plural else ()
    if not plural or not all(isinstance(text, str) for text in texts):
        raise InputError(
            f"The phrases are {phrases!r}; a text ('cup; spoon') or a list of texts was expected."
        )
    return texts


def _all_of(kind: type[D], value: Any, read: Callable[[Any], list[D]]) -> tuple[D, ...]:
    """Read boxes or points: one, several, or a text or JSON value of them."""
    if isinstance(value, kind):
        return (value,)
    if isinstance(value, tuple | list):
        entries = cast("Sequence[Any]", value)
        if all(isinstance(entry, kind) for entry in entries):
            return tuple(entries)
        if any(isinstance(entry, kind) for entry in entries):
            return tuple(d for entry in entries for d in _all_of(kind, entry, read))
    return tuple(read(value))


def _box_prompts(value: Any) -> list[BoxPrompt]:
    return [
        BoxPrompt(box=cast("Box", d.numbers), label=d.label, positive=d.positive is not False)
        for d in boxes_of(value)
    ]


def _point_prompts(value: Any) -> list[PointPrompt]:
    return [
        PointPrompt(
            point=cast("tuple[float, float]", d.numbers),
            label=d.label,
            positive=d.positive is not False,
        )
        for d in points_of(value)
    ]


def _check_mark(prompt: BoxPrompt | PointPrompt, numbers: Sequence[Mark]) -> tuple[float, ...]:
    """Check a box's or a point's numbers and label, and return the numbers.

    Raises:
        InputError: it is several, or its label is none.
    """
    if len(numbers) != 1:
        raise InputError(f"{len(numbers)} boxes or points were given; one was expected.")
    if not isinstance(prompt.label, str):
        raise InputError(f"The label {prompt.label!r} of a box or a point is not a text.")
    return numbers[0].numbers


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instance:
    """One object found in the photo.

    Attributes:
        mask: bool [H, W] at the photo's resolution, not empty.
        label: the phrase (or the user's name) that this object matched.
        score: confidence in 0…1; 1 for what the user gave.
        box: x0, y0, x1, y1 in pixels; the tight box of the mask.
        alpha: float32 [H, W] in 0…1, the soft matte where the model gives one, else None.
        class_name: the backend's own class of the object where it has one ("dining table").
    """

    mask: NDArray[np.bool_]
    label: str
    score: float
    box: Box
    alpha: NDArray[np.float32] | None = None
    class_name: str | None = None

    def __post_init__(self) -> None:
        _expect("mask", self.mask, (None, None), np.bool_)
        if self.alpha is not None:
            _expect("alpha", self.alpha, self.mask.shape, np.float32)

    @staticmethod
    def box_of(mask: NDArray[np.bool_]) -> Box:
        """Compute the tight box of a non-empty mask, in continuous pixel coordinates."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            raise ValueError("an empty mask has no box")
        return (
            float(columns[0]),
            float(rows[0]),
            float(columns[-1] + 1),
            float(rows[-1] + 1),
        )


class _Candidate(Protocol):
    @property
    def label(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def box(self) -> Box: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A candidate that was left out, and why: the manifest lists these.

    Attributes:
        label: the phrase or name it goes by.
        score: in 0…1.
        box: x0, y0, x1, y1 in pixels of the photo.
        reason: why it was left out, for people.
        double_of: label of the object that stays in its place where both are one, else "".
    """

    label: str
    score: float
    box: Box
    reason: str
    double_of: str = ""

    @classmethod
    def of(cls, candidate: _Candidate, reason: str, *, double_of: str = "") -> Dropped:
        """Say of an instance, or of what might have become one, why it was left out."""
        return cls(
            label=candidate.label,
            score=candidate.score,
            box=candidate.box,
            reason=reason,
            double_of=double_of,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Result of the first stage.

    Attributes:
        instances: what was kept; order is the numbering of files, overlay and scene.
        dropped: what was found and left out.
        notes: plain sentences for the user ("'lamp' is not a word this model knows").
        suggestions: labels that this photo would match, best first; used when nothing matched.
        answered: phrases that need no word more where no object is called by them: a note says why,
            or their objects have names of their own ("everything").
    """

    instances: tuple[Instance, ...]
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A pinhole camera looking along −z of its frame (x right, y up, z backward).

    Attributes:
        fx, fy, cx, cy: intrinsics in pixels of a width × height image.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @classmethod
    def from_fov(cls, width: int, height: int, *, fov_deg: float) -> Camera:
        """Make a centred camera with square pixels whose longer side spans `fov_deg`."""
        focal = 0.5 * max(width, height) / math.tan(math.radians(fov_deg) / 2)
        return cls(fx=focal, fy=focal, cx=width / 2, cy=height / 2, width=width, height=height)

    def resized(self, width: int, height: int) -> Camera:
        """Return the same camera for the photo resampled to another size."""
        sx, sy = width / self.width, height / self.height
        return Camera(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            width=width,
            height=height,
        )

    def project(self, points: NDArray[Any]) -> NDArray[np.float64]:  # [..., 3] -> [..., 2]
        """Project points in the camera frame to pixels; only points with z < 0 are in front."""
        p = np.asarray(points, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = self.cx + self.fx * p[..., 0] / -p[..., 2]
            v = self.cy - self.fy * p[..., 1] / -p[..., 2]
        return np.stack([u, v], -1)

    def unproject(self, depth: NDArray[Any]) -> NDArray[np.float32]:  # [H, W] -> [H, W, 3]
        """Make a point map of a depth image: distance along the viewing axis, at pixel centres."""
        height, width = depth.shape
        if (height, width) != (self.height, self.width):
            raise ValueError(
                f"depth is {width}×{height}, the camera is for {self.width}×{self.height}"
            )
        u = np.arange(width, dtype=np.float64) + 0.5
        v = np.arange(height, dtype=np.float64)[:, None] + 0.5
        z = np.asarray(depth, np.float64)
        points = np.zeros((height, width, 3), np.float32)  # one axis at a time: photos are large
        points[..., 0] = (u - self.cx) / self.fx * z
        points[..., 1] = (self.cy - v) / self.fy * z
        points[..., 2] = -z
        return points


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointMap:
    """A 3D point for every pixel.

    Attributes:
        points: float32 [H, W, 3] in the camera frame (x right, y up, z backward), NaN where
            there is no point.
        camera: the camera the points were seen with.
        scale: how metres are known: "measured" by someone or something, "metric" as a network
            guesses them, or "relative": not at all.
        metres_per_unit: what a unit of length is, unless the scale is relative. Points stay in the
            units that a reconstructor was trained for; the layout makes the scene metric.
        scale_note: where the metres come from and how good they are, a plain sentence; the layout
            passes it on unless the user knows better.
        source: which backend made it, for the manifest.
        shows_relief: whether points follow an object's surface; where not, they say only where
            the object is.
        confidence: float32 [H, W] in 0…1, exp(−e) where e is the expected |error| of the depth's
            logarithm but for one factor a photo: 0.9 expects a tenth too near or too far. 0 where
            there is no point. None where the backend does not say.
        normals: float32 [H, W, 3], unit, of the surface at each point, in the camera frame and
            turned towards the camera; NaN where there is none. None where the backend gives none:
            the points' own neighbours tell them then.
        network_points: float32 [H, W, 3], where the photo told its focal length and so moved the
            points: where the network itself would have them, in front of `network_camera`. A model
            that was trained on a network's own points is conditioned on these. None where `points`
            are the network's own.
        network_camera: the camera that the network itself estimates; None likewise.
        notes: further plain sentences for the manifest.
    """

    points: NDArray[np.float32]
    camera: Camera
    scale: Scale = "relative"
    metres_per_unit: float = 1.0
    scale_note: str = ""
    source: str = ""
    confidence: NDArray[np.float32] | None = None
    normals: NDArray[np.float32] | None = None
    network_points: NDArray[np.float32] | None = None
    network_camera: Camera | None = None
    notes: tuple[str, ...] = ()
    shows_relief: bool = True

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        _expect("points", self.points, (*size, 3), np.float32)
        if self.scale not in get_args(Scale):
            raise ValueError(f"scale: expected one of {get_args(Scale)}, got {self.scale!r}")
        if not (self.metres_per_unit > 0 and math.isfinite(self.metres_per_unit)):
            raise ValueError(
                f"metres_per_unit must be a positive number, got {self.metres_per_unit}"
            )
        if self.confidence is not None:
            _expect("confidence", self.confidence, size, np.float32)
        if self.normals is not None:
            _expect("normals", self.normals, (*size, 3), np.float32)
        if (self.network_points is None) != (self.network_camera is None):
            raise ValueError("network_points and network_camera come together, or not at all")
        if self.network_points is not None:
            _expect("network_points", self.network_points, (*size, 3), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One object as a photo shows it.

    Attributes:
        image: the photo.
        instance: the object in it.

    Raises:
        InputError: the mask is of another size than the photo.
    """

    image: Image
    instance: Instance

    def __post_init__(self) -> None:
        self._check_size("mask", self.instance.mask)

    def _check_size(self, name: str, pixels: NDArray[Any]) -> None:
        rows, columns = pixels.shape[:2]
        if (rows, columns) != (self.image.height, self.image.width):
            raise InputError(
                f"The {name} of {self.instance.label!r} is {columns} × {rows} pixels, the photo "
                f"{self.image.width} × {self.image.height}. Make them the same size."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectView(View):
    """One object in one photo, with all that the photo tells about it.

    Attributes:
        points: the photo's point map.
        others: the other objects of the photo, which may hide parts of this one.
        index: the object's number in the photo.
        further: the same object in other photos, whose cameras are unknown.

    Raises:
        InputError: masks or point map are of another size than the photo.
    """

    points: PointMap
    others: tuple[Instance, ...] = ()
    index: int = 0
    further: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        View.__post_init__(self)
        self._check_size("point map", self.points.points)
        for other in self.others:
            self._check_size("neighbour's mask", other.mask)

    @property
    def mask(self) -> NDArray[np.bool_]:  # [H, W]
        return self.instance.mask

    @property
    def camera(self) -> Camera:
        return self.points.camera


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Similarity `scene_from_object`: p_scene = R(rotation) · (scale · p_object) + translation.

    Attributes:
        rotation: unit quaternion w, x, y, z with w ≥ 0.
        translation: in the scene frame, in its units.
        scale: uniform, > 0.
    """

    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    def __post_init__(self) -> None:
        norm = math.sqrt(sum(c * c for c in self.rotation))
        if not abs(norm - 1) < 1e-4:
            raise ValueError(f"rotation must be a unit quaternion (w, x, y, z), got norm {norm}")
        if not (self.scale > 0 and math.isfinite(self.scale)):
            raise ValueError(f"scale must be a positive number, got {self.scale}")
        if not all(math.isfinite(c) for c in self.translation):
            raise ValueError(f"translation must be finite, got {self.translation}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gaussians:
    """3D Gaussian splats with activated values.

    Attributes:
        means: float32 [N, 3].
        scales: float32 [N, 3], standard deviations along the Gaussian's own axes, > 0.
        rotations: float32 [N, 4], unit quaternions w, x, y, z.
        opacities: float32 [N] in 0…1.
        sh0: float32 [N, 3], spherical harmonics of degree 0: rgb = 0.5 + SH_C0 · sh0.
        kernel: standard deviation of the smoothing kernel that the scales contain, as the decoders
            of SAM 3D and TRELLIS add one; 0 where there is none.
    """

    means: NDArray[np.float32]
    scales: NDArray[np.float32]
    rotations: NDArray[np.float32]
    opacities: NDArray[np.float32]
    sh0: NDArray[np.float32]
    kernel: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.means)
        _expect("means", self.means, (n, 3), np.float32)
        _expect("scales", self.scales, (n, 3), np.float32)
        _expect("rotations", self.rotations, (n, 4), np.float32)
        _expect("opacities", self.opacities, (n,), np.float32)
        _expect("sh0", self.sh0, (n, 3), np.float32)

    def __len__(self) -> int:
        return len(self.means)

    @property
    def rgb(self) -> NDArray[np.float32]:  # [N, 3]
        """The sRGB colours in 0…1."""
        return np.clip(0.5 + np.float32(SH_C0) * self.sh0, 0, 1)

    @staticmethod
    def sh0_of(rgb: NDArray[Any]) -> NDArray[np.float32]:
        """Convert sRGB colours in 0…1 to degree-0 coefficients."""
        return ((np.asarray(rgb, np.float32) - 0.5) / np.float32(SH_C0)).astype(np.float32)


AlphaMode = Literal["opaque", "mask", "blend"]
"""What a material's alpha means: nothing; there or not there, from half on; how much covers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Material:
    """A surface's properties besides its base colour, in glTF's metallic-roughness model.

    Maps are spread over the mesh by its texture coordinates, row 0 at the top.

    Attributes:
        metallic: in 0…1, where `surface` does not say;
        roughness: likewise.
        surface: uint8 [h, w, 2], metallic and roughness, linear, or None.
        alpha: uint8 of the base colour texture's size, linear, or None where all is opaque.
        alpha_mode: what it means.
        normal: uint8 [h, w, 3] normal map in the tangent frame, (x, y, z) from −1…1, y upwards in
            the texture as in glTF; None for the vertices' normals. Needs the mesh's tangents.
    """

    metallic: float = 0.0
    roughness: float = 0.9
    surface: NDArray[np.uint8] | None = None
    alpha: NDArray[np.uint8] | None = None
    alpha_mode: AlphaMode = "opaque"
    normal: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        for name in ("metallic", "roughness"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in 0…1, got {value}")
        if self.surface is not None:
            _expect("surface", self.surface, (None, None, 2), np.uint8)
        if self.alpha is not None:
            _expect("alpha", self.alpha, (None, None), np.uint8)
        if self.normal is not None:
            _expect("normal", self.normal, (None, None, 3), np.uint8)
        if (self.alpha is None) != (self.alpha_mode == "opaque"):
            raise ValueError(f"alpha_mode {self.alpha_mode!r} contradicts whether alpha is given")


PLAIN_MATERIAL = Material()
"""Of a mesh that says nothing of it: not metallic, and rather rough."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaterialVolume:
    """Materials on the voxels around an object's surface, from which its textures are baked.

    A value stands at its voxel's centre; the grid's cube is centred in the object's frame.

    Attributes:
        cells: int32 [N, 3], no repeats, in 0 … resolution − 1 along x, y, z of the object's frame.
        values: float16 [N, 6]: base colour red, green, blue (sRGB), metallic, roughness, alpha;
            in 0…1, and a little beyond.
        resolution: cells along a side of the cube.
        side: of the cube, in the object's frame.
    """

    cells: NDArray[np.int32]
    values: NDArray[np.float16]
    resolution: int
    side: float = 1.0

    def __post_init__(self) -> None:
        _expect("cells", self.cells, (None, 3), np.int32)
        _expect("values", self.values, (len(self.cells), 6), np.float16)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mesh:
    """A triangle mesh, counter-clockwise seen from outside.

    Attributes:
        vertices: float32 [V, 3].
        faces: int32 [F, 3].
        colors: uint8 [V, 3] sRGB vertex colours, or None.
        uv: float32 [V, 2] texture coordinates, v upwards from the bottom row, or None.
        texture: uint8 [h, w, 3] sRGB base colour, or None. Needs `uv`.
        normals: float32 [V, 3] unit vertex normals, or None.
        tangents: float32 [V, 4], where u grows along the surface, a unit vector square to the
            normal, and 1 or −1: v grows along that much of normal × tangent. Or None.
        material: besides the base colour; None for `PLAIN_MATERIAL`. Its maps need `uv`.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    colors: NDArray[np.uint8] | None = None
    uv: NDArray[np.float32] | None = None
    texture: NDArray[np.uint8] | None = None
    normals: NDArray[np.float32] | None = None
    tangents: NDArray[np.float32] | None = None
    material: Material | None = None

    def __post_init__(self) -> None:
        v = len(self.vertices)
        _expect("vertices", self.vertices, (v, 3), np.float32)
        _expect("faces", self.faces, (None, 3), np.int32)
        if self.colors is not None:
            _expect("colors", self.colors, (v, 3), np.uint8)
        if self.uv is not None:
            _expect("uv", self.uv, (v, 2), np.float32)
        if self.normals is not None:
            _expect("normals", self.normals, (v, 3), np.float32)
        if self.texture is not None:
            _expect("texture", self.texture, (None, None, 3), np.uint8)
            if self.uv is None:
                raise ValueError("a texture needs uv")
        if self.tangents is not None:
            _expect("tangents", self.tangents, (v, 4), np.float32)
        if self.material is not None:
            self._check_maps(self.material)

    def _check_maps(self, material: Material) -> None:
        maps = (material.surface, material.alpha, material.normal)
        if self.uv is None and any(one is not None for one in maps):
            raise ValueError("a material's maps need uv")
        if material.normal is not None and (self.tangents is None or self.normals is None):
            raise ValueError("a normal map needs normals and tangents")
        alpha = material.alpha
        if alpha is not None and (self.texture is None or alpha.shape != self.texture.shape[:2]):
            raise ValueError("alpha must be of the texture's size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One object in its own frame: right-handed, y up, inside [−0.5, 0.5]³.

    Attributes:
        gaussians: the splats, or None where the backend was not asked for them.
        mesh: the surface, or None likewise.
        materials: what its textures are to be baked from, until they are; None where the splats
            say it.
    """

    gaussians: Gaussians | None = None
    mesh: Mesh | None = None
    materials: MaterialVolume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """What a reconstructor returns for one object.

    Attributes:
        shape: in the object frame.
        pose: scene_from_object, in the frame and units of the point map it was given.
        quality: figures for the manifest, by name ("mask_iou": 0.93).
        notes: plain sentences for the manifest ("the back is a guess").
        in_place: it was built where the photo shows it, ray by ray, and is not moved afterwards:
            there is no pose to refine, and a foot that was guessed says nothing about what it
            stands on.
    """

    shape: Shape
    pose: Pose
    quality: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()
    in_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the compose stage puts one object.

    Attributes:
        index: the object's number among the instances.
        pose: scene_from_object.
        quality: figures for the manifest, by name.
        notes: what was changed and why.
    """

    index: int
    pose: Pose
    quality: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Background:
    """What the photo shows around and behind the objects, in the scene frame and units.

    Attributes:
        mode: "photo" for all of it, "planes" for floor, table tops and walls alone.
        mesh: textured with the photo, completed where objects hid it.
        gaussians: the same as flat splats.
        planes: kinds of the planes in it, "ground" or "wall".
        up: against gravity.
        levels: heights along `up` of floor and table tops.
        notes: plain sentences for the manifest.
    """

    mode: str
    mesh: Mesh
    gaussians: Gaussians
    planes: tuple[str, ...] = ()
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    levels: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The result of the compose stage.

    Attributes:
        placements: one for each object, in their order.
        units: "metres" or "scene units".
        factor: units of the scene in one of the point map: placements are in the scene's.
        up: against gravity, where a ground was seen; else the camera's.
        levels: heights along `up` of the floor and table tops seen, in the scene's units.
        notes: about the scene as a whole.
    """

    placements: tuple[Placement, ...]
    units: str = "scene units"
    factor: float = 1.0
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    levels: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One object in its place.

    Attributes:
        index: number of the object in files, overlay and scene, from 0.
        instance: where it was seen.
        shape: in the object frame.
        pose: scene_from_object.
        quality: figures by name.
        notes: plain sentences for the user.
        in_place: as of its `Reconstruction`.
    """

    index: int
    instance: Instance
    shape: Shape
    pose: Pose
    quality: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()
    in_place: bool = False

    @property
    def name(self) -> str:
        """Name of its folder, of plain letters: "00_beizi"."""
        return object_name(self.index, self.instance.label)

    @property
    def title(self) -> str:
        """Name of its node in the GLB and of its group in the OBJ, as it is called: "00_杯子"."""
        return f"{self.index:02d}_{_joined(self.instance.label, str.isalnum)}"


def object_name(index: int, label: str) -> str:
    """Write number and label of an object as a name that is safe in any path: "03_red-mug".

    Other scripts are written in Latin letters: 杯子 is "beizi".
    """
    if not label.isascii():
        from anyascii import anyascii

        label = anyascii(label)
    return f"{index:02d}_{_joined(label, lambda c: c.isascii() and c.isalnum())}"


def _joined(label: str, keeps: Callable[[str], bool]) -> str:
    """Join the words of a label by hyphens."""
    safe = "".join(c if keeps(c) else "-" for c in unicodedata.normalize("NFC", label))
    return "-".join(part for part in safe.lower().split("-") if part)[:40].rstrip("-") or "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedObject:
    """An object that was found but could not be reconstructed.

    Attributes:
        index: its number among the instances.
        instance: where it was seen.
        error: slug of the error class, or the name of the unexpected exception.
        reason: a plain sentence.
    """

    index: int
    instance: Instance
    error: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """How long a stage took (of one object, where `object_index` says so).

    Attributes:
        seconds: wall time of this run; what it took to read back where `resumed`.
        resumed: the result of an earlier run was used.
    """

    stage: str
    seconds: float
    object_index: int | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a scene was made, for its manifest.

    Attributes:
        prompt: what was asked for.
        seed: the run's seed; object k used seed + k.
        backends: role -> name and version ("segmenter": "embedded 1 (nanodet …)").
        licences: role -> licences of code and weights, in a line, where they are known.
        failed: objects that were found but not reconstructed.
        dropped: candidates the segmenter left out.
        notes: plain sentences for the user, from every stage.
        timings: one entry a stage and object.
        device: where it was computed, as PyTorch names it; its preview is drawn there.
    """

    prompt: Prompt
    seed: int
    backends: Mapping[str, str]
    licences: Mapping[str, str] = field(default_factory=dict[str, str])
    failed: tuple[FailedObject, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    timings: tuple[StageTiming, ...] = ()
    device: str = "cpu"
