"""Training scenes as arrays, made as fast as the cores allow.

Half of them are the rooms, tables and streets of `plans`, half the disorder of `clutter`. A shard
is a file of a few dozen scenes; a trainer reads shards while others are still being made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.errors import InputError
from scenelift.geometry.transforms import unit_vector
from scenelift.training.scenes import props
from scenelift.training.scenes.backdrops import backdrop, light, sky
from scenelift.training.scenes.clutter import NO_PICTURES, Texture, clutter, restyled
from scenelift.training.scenes.layout import arrange
from scenelift.training.scenes.meshes import Surface
from scenelift.training.scenes.pack import MeshPack, Model
from scenelift.training.scenes.photo import develop, worn
from scenelift.training.scenes.pictures import Pictures
from scenelift.training.scenes.plans import PLANS
from scenelift.training.scenes.raycast import Light, Sky, Tracer, View
from scenelift.training.scenes.vessels import PREFIX
from scenelift.training.scenes.viewpoint import viewpoint
from scenelift.training.scenes.weights import share_of_models, weight_of
from scenelift.types import Camera

__all__ = ["HEIGHT", "MOST_OBJECTS", "WIDTH", "SceneMaker", "Scenes", "make_shards"]

WIDTH, HEIGHT = 512, 384
PLANNED, PLANNED_HELD_OUT = 0.55, 0.5
"""Share of scenes from `plans`, of training and of what is kept out; the rest is clutter."""
CLOSE_UPS = 0.4
"""Share of scenes in which the camera turns to one object and zooms in on it."""
COMPOSITES = 0.2
"""Share of cluttered scenes whose background is replaced by a photograph."""
GLOSSY = 0.35
"""Share of objects that mirror something."""
MOST_OBJECTS = 31
LEAST_SHARE = 0.0015
"""An object whose visible pixels are a smaller share of the photo is not counted as one."""
SAMPLES = 400
"""Surface points of each model from which its visible share is estimated."""
CELL = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenes:
    """Some scenes, and the objects in them.

    Attributes:
        pixels: uint8 [S, H, W, 3], sRGB.
        depth: float16 [S, H, W], along the viewing axis in metres; 0 for the sky, −1 where a
            photograph is behind the objects.
        numbers: uint8 [S, H, W], 0 background, else the object's number in its scene.
        focal: float32 [S], pixels; the principal point is the picture's middle.
        up: float32 [S, 3], the world's up in the camera frame.
        metric: bool [S], whether sizes are true ones.
        scene, number: int32 [K], of each object.
        model: int32 [K], index in the pack.
        pose: float32 [K, 3, 4], camera_from_object of the canonical frame; it may stretch.
        visible: float32 [K], about the share of the silhouette that is seen.
        box: int32 [K, 4], x0, y0, x1, y1 of its visible pixels.
    """

    pixels: NDArray[np.uint8]
    depth: NDArray[np.float16]
    numbers: NDArray[np.uint8]
    focal: NDArray[np.float32]
    up: NDArray[np.float32]
    metric: NDArray[np.bool_]
    scene: NDArray[np.int32]
    number: NDArray[np.int32]
    model: NDArray[np.int32]
    pose: NDArray[np.float32]
    visible: NDArray[np.float32]
    box: NDArray[np.int32]

    def save(self, path: Path) -> None:
        """Write a shard; readers never see half of one.

        It is not flushed to disk: a lost shard is made again.
        """
        partial = path.with_name(f".{path.name}")
        with partial.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Scenes:
        # Our own file, read without pickles.
        with np.load(path, allow_pickle=False) as file:  # noqa: TID251
            return cls(**{f.name: file[f.name] for f in fields(cls)})

    @classmethod
    def join(cls, parts: Sequence[Scenes]) -> Scenes:
        """Join several into one; `scene` counts on."""
        start = np.cumsum([0] + [len(part.pixels) for part in parts])
        joined = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)
        }
        joined["scene"] = np.concatenate(
            [part.scene + offset for part, offset in zip(parts, start, strict=False)]
        ).astype(np.int32)
        return cls(**joined)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layout:
    """A scene before it is rendered; objects are model index, world_from_object and surface."""

    objects: list[tuple[int, NDArray[np.float64], Surface]]
    behind: list[Surface]
    view: View
    light: Light
    sky: Sky
    metric: bool


class SceneMaker:
    """Makes scenes of the models of one split of a pack.

    Args:
        pack: the models.
        split: "train" or "val".
        size: width and height of the photos.
        pictures: real places and things to be seen behind and on walls.
    """

    def __init__(
        self,
        pack: MeshPack,
        split: str = "train",
        size: tuple[int, int] = (WIDTH, HEIGHT),
        pictures: Pictures = NO_PICTURES,
    ) -> None:
        self._pack, self._split, self._size = pack, split, size
        self._pictures = pictures
        # What is kept out is measured with the models as they are.
        self._varied = split == "train"
        self._index = {id(m): k for k, m in enumerate(pack.models)}
        self._by_entry = {m.entry.id: k for k, m in enumerate(pack.models)}
        labels = ("pybullet", PREFIX)
        self._models = [m for m in pack.of_split(split) if not m.entry.id.startswith(labels)]
        solids = [m for m in pack.of_split("train") if m.entry.id.startswith("pybullet")]
        turned = [m for m in pack.of_split(split) if m.entry.id.startswith(PREFIX)]
        # Solids of no kind now and then: about one object in ten. The pack says how many vessels.
        some = solids[: max(1, len(self._models) // 9)]
        self._choice: list[Model] = [*self._models, *some, *turned]
        if not self._models:
            raise InputError(f"The mesh pack has no model of the split {split!r}.")
        shares = share_of_models(self._choice)
        self._shares = shares if self._varied else None
        self._draw = partial(pack.draw, weight=weight_of) if self._varied else pack.draw
        self._textures = _textures(pack, split)
        if self._varied:
            count = max(1, len(self._textures) // 5)
            of_places = [*pictures.textures] * 4 + [*pictures.photos]
            self._textures += [of_places[k % len(of_places)] for k in range(count) if of_places]
        self._samples: dict[int, NDArray[np.float32]] = {}

    def scene(self, seed: Sequence[int]) -> Scenes:
        """Make one scene; the same seed gives the same scene."""
        rng = np.random.default_rng([*seed, self._split == "train"])
        while True:
            planned = rng.random() < (PLANNED if self._varied else PLANNED_HELD_OUT)
            layout = self._planned(rng) if planned else self._cluttered(rng)
            if layout is not None and layout.objects:
                if self._varied and rng.random() < CLOSE_UPS:
                    layout = replace(layout, view=self._closer(layout, rng))
                behind = None
                if self._varied and not planned and rng.random() < COMPOSITES:
                    behind = self._photograph(rng)
                scene = self._render(layout, rng, behind)
                if scene is not None:
                    return scene

    def _planned(self, rng: np.random.Generator) -> _Layout | None:
        plan = PLANS[rng.integers(len(PLANS))]
        arrangement, (width, depth) = arrange(plan, self._split, rng, self._draw)
        if not arrangement:
            return None
        view = viewpoint(plan, arrangement, width, rng, self._size, fov=(38, 72))
        if view is None:
            return None
        return _Layout(
            objects=[
                (
                    self._by_entry[p.entry.id],
                    p.world_from_object,
                    restyled(p.surface, self._textures, rng, painted=self._varied),
                )
                for p in arrangement
            ],
            behind=backdrop(plan, width, depth, rng),
            view=view,
            light=light(plan, width, depth, rng),
            sky=sky(rng),
            metric=True,
        )

    def _cluttered(self, rng: np.random.Generator) -> _Layout:
        layout = clutter(
            self._choice,
            self._textures,
            self._size,
            rng,
            varied=self._varied,
            shares=self._shares,
            pictures=self._pictures,
        )
        return _Layout(
            objects=[
                (self._index[id(model)], pose, surface)
                for (model, pose), surface in zip(layout.models, layout.surfaces, strict=True)
            ],
            behind=layout.behind,
            view=layout.view,
            light=layout.light,
            sky=layout.sky,
            metric=layout.metric,
        )

    def _closer(self, layout: _Layout, rng: np.random.Generator) -> View:
        """Move in: the same place through a longer lens, with one object near its middle."""
        _, pose, surface = layout.objects[int(rng.integers(len(layout.objects)))]
        points = surface.vertices[:: max(1, len(surface.vertices) // 60)]
        points = points @ pose[:3, :3].T + pose[:3, 3]
        old = layout.view.world_from_camera
        eye, middle = old[:3, 3], (points.min(0) + points.max(0)) / 2
        back = unit_vector(eye - middle)
        right = np.cross(old[:3, 1], back)
        if np.linalg.norm(right) < 0.1:
            return layout.view
        right = unit_vector(right)
        rotation = np.stack([right, np.cross(back, right), back], 1)
        local = (points - eye) @ rotation
        if not (local[:, 2] < -1e-3).all():
            return layout.view
        width, height = self._size
        tangents = np.abs(local[:, :2] / -local[:, 2:]).max(0)
        # The object spans so much of the photo.
        share = rng.uniform(0.3, 1.0)
        focal = share * min(width / 2 / max(tangents[0], 1e-3), height / 2 / max(tangents[1], 1e-3))
        focal = float(np.clip(focal, 0.45 * width, 5 * width))
        shift = rng.normal(0, 0.12, 2) * (width, height) / focal
        back = unit_vector(back + rotation[:, :2] @ shift)
        right = unit_vector(np.cross(rotation[:, 1], back))
        world_from_camera = np.eye(4)
        world_from_camera[:3, :3] = np.stack([right, np.cross(back, right), back], 1)
        world_from_camera[:3, 3] = eye
        camera = Camera(width=width, height=height, fx=focal, fy=focal, cx=width / 2, cy=height / 2)
        return View(camera=camera, world_from_camera=world_from_camera)

    def _photograph(self, rng: np.random.Generator) -> NDArray[np.uint8] | None:
        """Cut a part out of a photograph, as large as the scenes are."""
        photos = self._pictures.photos
        if not photos:
            return None
        picture = Pillow.fromarray(photos[int(rng.integers(len(photos)))])
        width, height = self._size
        side = rng.uniform(0.6, 1.0) * min(picture.width / width, picture.height / height)
        left = rng.uniform(0, picture.width - side * width)
        top = rng.uniform(0, picture.height - side * height)
        box = (left, top, left + side * width, top + side * height)
        return np.asarray(picture.resize((width, height), Pillow.Resampling.BICUBIC, box=box))

    def _render(
        self, layout: _Layout, rng: np.random.Generator, photograph: NDArray[np.uint8] | None
    ) -> Scenes | None:
        objects = layout.objects[:MOST_OBJECTS]
        numbers = [0] * len(layout.behind) + list(range(1, len(objects) + 1))
        moved = [surface.moved(pose) for _, pose, surface in objects]
        gloss = _gloss(numbers, rng) if self._varied else None
        tracer = Tracer([*layout.behind, *moved], numbers, gloss)
        linear, ids, depth = tracer.shot(layout.view, layout.light, layout.sky, rng)
        nearest = np.nanmin(depth) if np.isfinite(depth).any() else 0
        most_sky = 0.7 if layout.sky.panorama is None else 0.95
        if not nearest > 0.02 or np.isnan(depth).mean() > most_sky:
            return None
        pixels = develop(linear.astype(np.float32), rng)
        if photograph is not None:
            pixels = np.where(ids[..., None] > 0, pixels, photograph)
            depth = np.where(ids > 0, depth, -1)
        elif layout.sky.panorama is not None:
            depth = np.where(np.isnan(depth), -1, depth)
        if self._varied:
            pixels = worn(pixels, rng)
        camera_from_world = np.linalg.inv(layout.view.world_from_camera)
        rows = []
        for k, (model, pose, _) in enumerate(objects, start=1):
            mask = ids == k
            if np.count_nonzero(mask) < LEAST_SHARE * mask.size:
                continue
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            camera_from_object = camera_from_world @ pose
            visible = self._visible(model, camera_from_object, mask, layout.view.camera)
            box = (xs[0], ys[0], xs[-1] + 1, ys[-1] + 1)
            rows.append((k, model, camera_from_object[:3], visible, box))
        if not rows:
            return None
        return Scenes(
            pixels=pixels[None],
            depth=np.nan_to_num(depth, nan=0).clip(-1, 6e4).astype(np.float16)[None],
            numbers=np.maximum(ids, 0).astype(np.uint8)[None],
            focal=np.array([layout.view.camera.fx], np.float32),
            up=camera_from_world[:3, 1].astype(np.float32)[None],
            metric=np.array([layout.metric]),
            scene=np.zeros(len(rows), np.int32),
            number=np.array([r[0] for r in rows], np.int32),
            model=np.array([r[1] for r in rows], np.int32),
            pose=np.array([r[2] for r in rows], np.float32),
            visible=np.array([r[3] for r in rows], np.float32),
            box=np.array([r[4] for r in rows], np.int32),
        )

    def _visible(
        self,
        model: int,
        camera_from_object: NDArray[np.float64],
        mask: NDArray[np.bool_],
        camera: Camera,
    ) -> float:
        """Estimate which share of a silhouette a mask covers, in cells of a few pixels."""
        if model not in self._samples:
            self._samples[model] = _surface_points(self._pack.models[model].surface, SAMPLES)
        points = self._samples[model] @ camera_from_object[:3, :3].T + camera_from_object[:3, 3]
        points = points[points[:, 2] < -1e-3]
        if not len(points):
            return 0.0
        cells = np.floor(camera.project(points) / CELL).astype(int)
        height, width = mask.shape
        inside = ((cells >= 0) & (cells < (width // CELL, height // CELL))).all(1)
        grid = mask[: height // CELL * CELL, : width // CELL * CELL]
        grid = np.any(grid.reshape(height // CELL, CELL, width // CELL, CELL), axis=(1, 3))
        visible = np.zeros(len(cells), bool)
        visible[inside] = grid[cells[inside, 1], cells[inside, 0]]
        every, first = np.unique(cells, axis=0, return_index=True)
        return float(visible[first].mean()) if len(every) else 0.0


def _gloss(numbers: Sequence[int], rng: np.random.Generator) -> NDArray[np.float64]:  # [S, 2]
    """Choose how much each surface mirrors, and the sharpness of its highlight."""
    strength = rng.choice([0.04, 0.1, 0.3], len(numbers), p=[0.6, 0.3, 0.1])
    share = np.where(np.array(numbers) > 0, GLOSSY, 0.3 * GLOSSY)
    strength = strength * (rng.random(len(numbers)) < share)
    return np.stack([strength, 2 ** rng.uniform(3, 9, len(numbers))], 1)


def _surface_points(surface: Surface, count: int) -> NDArray[np.float32]:  # [count, 3]
    rng = np.random.default_rng(0)
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    areas = np.cumsum(np.linalg.norm(np.cross(b - a, c - a), axis=1).astype(np.float64))
    face = np.searchsorted(areas, rng.random(count) * areas[-1]).clip(0, len(areas) - 1)
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    a, b, c = a[face], b[face], c[face]
    return (a + u * (b - a) + v * (c - a)).astype(np.float32)


def _textures(pack: MeshPack, split: str) -> list[Texture]:
    """Collect textures for floors, walls and boxes: those of the models, and drawn ones."""
    paths = [
        texture
        for model in pack.of_split(split)
        for texture in model.surface.textures
        if min(texture.shape[:2]) >= 64
    ]
    return [*paths, *(d for d in _random_textures() for _ in range(max(1, len(paths) // 60)))]


@lru_cache(maxsize=1)
def _random_textures() -> tuple[Texture, ...]:
    rng = np.random.default_rng(1)
    objects = []
    for _ in range(6):
        colour = rng.uniform(0.2, 0.9, 3)
        objects += [
            props.planks(rng, colour),
            props.tiles(rng, colour, count=int(rng.integers(2, 7))),
            props.fabric(rng, colour, contrast=rng.uniform(0.01, 0.15)),
            props.speckle(rng, colour),
            props.bricks(rng, colour),
        ]
    return tuple(objects)


def make_shards(
    pack: MeshPack,
    folder: Path,
    *,
    seed: int,
    worker: int,
    workers: int,
    count: int,
    per_shard: int = 16,
    split: str = "train",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    pictures: Pictures = NO_PICTURES,
) -> None:
    """Make this worker's share of `count` scenes; existing shards are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    maker = SceneMaker(pack, split, size, pictures)
    for shard in range(worker, math.ceil(count / per_shard), workers):
        path = folder / f"{split}-{shard:06d}.npz"
        if path.is_file():
            continue
        first = shard * per_shard
        Scenes.join([maker.scene((seed, index)) for index in range(first, first + per_shard)]).save(
            path
        )
