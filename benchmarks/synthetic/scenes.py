"""Photos with known truth: masks, depth, camera, and each object's mesh and pose."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import SetupError
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.io.files import atomic_write
from scenelift.training.scenes.backdrops import backdrop, light, sky
from scenelift.training.scenes.catalogue import Entry, cache_folder, catalogue
from scenelift.training.scenes.classes import COCO, Split
from scenelift.training.scenes.layout import PlacedObject, Plan, arrange
from scenelift.training.scenes.meshes import Surface, load_entry
from scenelift.training.scenes.photo import develop, encode, exposure
from scenelift.training.scenes.plans import PLANS
from scenelift.training.scenes.raycast import Light, Sky, Tracer, View
from scenelift.training.scenes.viewpoint import viewpoint
from scenelift.types import Camera, Image, Instance, Mesh, PointMap, Pose

__all__ = [
    "MIN_SHARE",
    "MIN_VISIBLE",
    "SIZES",
    "Room",
    "SyntheticObject",
    "SyntheticScene",
    "load_or_make",
    "make_room",
    "make_scene",
    "remembered",
]

VERSION = 2
"""Raise it when scenes change: figures of different versions are not comparable."""

SIZES = {"small": 12, "large": 96}
"""Scenes of each size; a small set is the beginning of the large one of the same seed."""

WIDTH, HEIGHT = 512, 384
MIN_SHARE = 0.003
"""An object whose visible pixels are a smaller share of the photo is left out of the scene."""
MIN_VISIBLE = 0.4
"""So is one of whose silhouette less is visible."""
MIN_OBJECTS, MAX_OBJECTS = 3, 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticObject:
    """One object and everything that is true of it.

    Attributes:
        label: what people call it; see `known`.
        entry: the catalogue's model: id, name, author, licence.
        mask: bool [H, W], its visible pixels.
        visible: share of its silhouette that nothing hides, 0…1.
        pose: scene_from_object, in the camera frame, metres.
    """

    label: str
    entry: Entry
    mask: NDArray[np.bool_]
    visible: float
    pose: Pose

    @property
    def known(self) -> bool:
        """Whether the label is one of COCO's 80 classes."""
        return self.label in COCO

    @property
    def surface(self) -> Surface:
        """Its shape and colours in the object frame: y up, front +z, inside [−0.5, 0.5]³."""
        surface = load_entry(self.entry)
        if surface is None:
            raise SetupError(f"{self.entry.id} was rendered and cannot be read any more")
        return surface

    @property
    def mesh(self) -> Mesh:
        """Its shape in the object frame. No colours."""
        return Mesh(vertices=self.surface.vertices, faces=self.surface.faces)

    @property
    def instance(self) -> Instance:
        """The perfect answer of a segmenter."""
        return Instance(mask=self.mask, label=self.label, score=1.0, box=Instance.box_of(self.mask))


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticScene:
    """A photo with known truth.

    Attributes:
        name: "kitchen 0004", unique within a seed.
        image: the photo.
        camera: its intrinsics.
        depth: float32 [H, W], metres along the viewing axis, NaN for the sky.
        world_from_camera: rigid 4×4; the world's y is up and its floor at 0.
        objects: three to six, the largest mask first.
    """

    name: str
    image: Image
    camera: Camera
    depth: NDArray[np.float32]
    world_from_camera: NDArray[np.float64]
    objects: tuple[SyntheticObject, ...]

    @cached_property
    def points(self) -> PointMap:
        """The perfect answer of a point mapper."""
        return PointMap(
            points=self.camera.unproject(self.depth),
            camera=self.camera,
            scale="measured",
            source="truth",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Room:
    """The room that a photo was taken of, to be looked at from elsewhere.

    Attributes:
        tracer: its surfaces; number 0 is what is no object.
        light, sky: as for the photo.
        gain: the photo's exposure.
    """

    tracer: Tracer
    light: Light
    sky: Sky
    gain: float

    def picture(self, view: View, samples: int = 2) -> NDArray[np.uint8]:
        """What a camera without noise sees, exposed as the photo was."""
        rng = np.random.default_rng(0)
        linear = self.tracer.photo(view, self.light, self.sky, rng, samples=samples)
        return (encode(linear * self.gain) * 255).clip(0, 255).round().astype(np.uint8)


def load_or_make(
    size: Literal["small", "large"],
    seed: int = 0,
    split: Split = "test",
    count: int | None = None,
) -> list[SyntheticScene]:
    """The benchmark's scenes, or the first `count`, from the cache where they were made before.

    Raises:
        SetupError: the meshes cannot be fetched.
    """
    return [_load_or_make_one(seed, index, split) for index in range(SIZES[size])[:count]]


def _load_or_make_one(seed: int, index: int, split: Split) -> SyntheticScene:
    kind = f"seed-{seed}" if split == "test" else f"seed-{seed}-{split}"
    return remembered(kind, index, lambda: make_scene(seed, index, split=split))


def remembered(kind: str, index: int, make: Callable[[], SyntheticScene]) -> SyntheticScene:
    """A scene from the cache, or made and kept there."""
    path = cache_folder() / f"scenes-v{VERSION}" / kind / f"{index:04d}.npz"
    if path.is_file():
        return _load(path)
    scene = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    _save(scene, path)
    return scene


def make_scene(
    seed: int,
    index: int,
    *,
    split: Split = "test",
    width: int = WIDTH,
    height: int = HEIGHT,
    samples: int = 2,
) -> SyntheticScene:
    """Lay out and render one scene; arguments and result as of `make_room`, without the room."""
    scene, _ = make_room(seed, index, split=split, width=width, height=height, samples=samples)
    return scene


def make_room(
    seed: int,
    index: int,
    *,
    split: Split = "test",
    width: int = WIDTH,
    height: int = HEIGHT,
    samples: int = 2,
) -> tuple[SyntheticScene, Room]:
    """Lay out and render one scene; the same arguments give the same scene.

    Args:
        seed, index: which one; plans take turns.
        split: "test" shows the benchmark's models, "train" all others.
        width, height: of the photo in pixels.
        samples: squared, rays through each pixel.
    """
    for attempt in range(300):
        rng = np.random.default_rng([seed, index, attempt, split == "train"])
        made = _attempt(PLANS[index % len(PLANS)], index, split, rng, (width, height), samples)
        if made is not None:
            return made
    raise AssertionError(f"no layout for scene {index} of seed {seed}: a plan is too full")


def _attempt(
    plan: Plan,
    index: int,
    split: Split,
    rng: np.random.Generator,
    size: tuple[int, int],
    samples: int,
) -> tuple[SyntheticScene, Room] | None:
    placed, (width, depth) = arrange(plan, split, rng)
    placed = placed[:MAX_OBJECTS]
    if len(placed) < MIN_OBJECTS:
        return None
    view = viewpoint(plan, placed, width, rng, size)
    if view is None:
        return None
    behind = backdrop(plan, width, depth, rng)

    # Leave out what can hardly be seen; the others may be seen better then, never worse.
    while True:
        numbers = [0] * len(behind) + list(range(1, len(placed) + 1))
        moved = [p.surface.moved(p.world_from_object) for p in placed]
        tracer = Tracer([*behind, *moved], numbers)
        ids, depths = tracer.truth(view)
        visible = [_visible(surface, ids == k, view) for k, surface in enumerate(moved, start=1)]
        pixels = [int((ids == k).sum()) for k in range(1, len(placed) + 1)]
        keep = [
            n >= MIN_SHARE * ids.size and share >= MIN_VISIBLE
            for n, share in zip(pixels, visible, strict=True)
        ]
        if all(keep):
            break
        placed = _without_hidden(placed, keep)
        if len(placed) < MIN_OBJECTS:
            return None

    lamp, above = light(plan, width, depth, rng), sky(rng)
    linear = tracer.photo(view, lamp, above, rng, samples=samples)
    exposing = copy.deepcopy(rng)  # the photo's own draw of the exposure comes first
    room = Room(tracer=tracer, light=lamp, sky=above, gain=exposure(linear, exposing))
    camera_from_world = np.linalg.inv(view.world_from_camera)
    objects = [
        SyntheticObject(
            label=p.label,
            entry=p.entry,
            mask=ids == k,
            visible=visible[k - 1],
            pose=pose_from_matrix(camera_from_world @ p.world_from_object),
        )
        for k, p in enumerate(placed, start=1)
    ]
    objects.sort(key=lambda o: -int(o.mask.sum()))
    scene = SyntheticScene(
        name=f"{plan.name} {index:04d}",
        image=Image(pixels=develop(linear, rng)),
        camera=view.camera,
        depth=depths,
        world_from_camera=view.world_from_camera,
        objects=tuple(objects),
    )
    return scene, room


def _without_hidden(placed: Sequence[PlacedObject], keep: Sequence[bool]) -> list[PlacedObject]:
    """Those to keep that do not stand on one that goes."""
    gone = [p for p, stays in zip(placed, keep, strict=True) if not stays]
    return [
        p
        for p, stays in zip(placed, keep, strict=True)
        if stays and not any(_stands_on(p, support) for support in gone)
    ]


def _stands_on(upper: PlacedObject, lower: PlacedObject) -> bool:
    level = abs(upper.position[1] - (lower.position[1] + lower.height)) < 1e-6
    apart = np.subtract(upper.position, lower.position)[[0, 2]]
    return level and float(np.linalg.norm(apart)) < math.hypot(*lower.half)


def _visible(surface: Surface, mask: NDArray[np.bool_], view: View) -> float:
    """Share of the object's own silhouette that its mask covers."""
    alone, _ = Tracer([surface], [1]).truth(view)
    return float(mask.sum() / max(1, (alone == 1).sum()))


def _save(scene: SyntheticScene, path: Path) -> None:
    about = {
        "name": scene.name,
        "camera": {f: getattr(scene.camera, f) for f in Camera.__slots__},
        "objects": [
            {
                "label": o.label,
                "entry": o.entry.id,
                "visible": o.visible,
                "rotation": o.pose.rotation,
                "translation": o.pose.translation,
                "scale": o.pose.scale,
            }
            for o in scene.objects
        ],
    }
    numbers = np.zeros(scene.depth.shape, np.uint8)
    for k, o in enumerate(scene.objects, start=1):
        numbers[o.mask] = k
    with atomic_write(path) as file:
        np.savez_compressed(
            file,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            pixels=scene.image.pixels,
            depth=scene.depth,
            numbers=numbers,
            world_from_camera=scene.world_from_camera,
        )


def _load(path: Path) -> SyntheticScene:
    by_id = {entry.id: entry for entry in catalogue()}
    # Our own file, read without pickles.
    with np.load(path, allow_pickle=False) as file:  # noqa: TID251
        about = json.loads(file["about"].tobytes())
        numbers = file["numbers"]
        objects = tuple(
            SyntheticObject(
                label=o["label"],
                entry=by_id[o["entry"]],
                mask=numbers == k,
                visible=o["visible"],
                pose=Pose(
                    rotation=tuple(o["rotation"]),
                    translation=tuple(o["translation"]),
                    scale=o["scale"],
                ),
            )
            for k, o in enumerate(about["objects"], start=1)
        )
        return SyntheticScene(
            name=about["name"],
            image=Image(pixels=file["pixels"]),
            camera=Camera(**about["camera"]),
            depth=file["depth"],
            world_from_camera=file["world_from_camera"],
            objects=objects,
        )
