"""Photos of the models that watch training: of authors none of whose work it sees.

Their scenes are made as the training's are, clutter and random proportions included, and the
benchmark's own models are not among them: choices made on them do not spoil its figures.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic.scenes import (
    MIN_SHARE,
    MIN_VISIBLE,
    SyntheticObject,
    SyntheticScene,
    remembered,
)
from scenelift.geometry.transforms import pose_from_matrix
from scenelift.training.scenes.generate import SceneMaker
from scenelift.training.scenes.pack import MOST_FACES, MeshPack
from scenelift.training.scenes.sources import training_models
from scenelift.types import Camera, Image

__all__ = ["VALIDATION_SIZES", "load_or_make_validation"]

VALIDATION_SIZES = {"small": 12, "large": 36}
"""Photos of each size; the small set is the beginning of the large one of the same seed."""

FIRST_SEED = 77
"""Training's own validation scenes have other seeds."""


def load_or_make_validation(size: Literal["small", "large"], seed: int = 0) -> list[SyntheticScene]:
    """The validation scenes, from the cache where they were made before.

    Lengths of cluttered scenes are in a unit of their own, not in metres.

    Raises:
        SetupError: the meshes cannot be fetched.
    """
    return [
        remembered(f"validation-seed-{seed}", index, lambda index=index: _make(seed, index))
        for index in range(VALIDATION_SIZES[size])
    ]


@lru_cache(maxsize=1)
def _maker() -> tuple[MeshPack, SceneMaker]:
    models = training_models(only="val")
    pack = MeshPack(tuple(m for m in models if len(m.surface.faces) <= MOST_FACES))
    return pack, SceneMaker(pack, "val")


def _make(seed: int, index: int) -> SyntheticScene:
    pack, maker = _maker()
    made = maker.scene((FIRST_SEED + seed, index))
    pixels, numbers, focal = made.pixels[0], made.numbers[0], float(made.focal[0])
    height, width = numbers.shape
    depth = made.depth[0].astype(np.float32)
    objects = []
    for k, number in enumerate(made.number):
        mask = numbers == number
        if mask.mean() < MIN_SHARE or made.visible[k] < MIN_VISIBLE:
            continue
        model = pack.models[made.model[k]]
        camera_from_object = np.eye(4)
        camera_from_object[:3] = made.pose[k]
        objects.append(
            SyntheticObject(
                label=model.label or model.entry.name.lower(),
                entry=model.entry,
                mask=mask,
                visible=float(made.visible[k]),
                pose=pose_from_matrix(camera_from_object),
            )
        )
    return SyntheticScene(
        name=f"validation {index:04d}",
        image=Image(pixels=pixels),
        camera=Camera(width=width, height=height, fx=focal, fy=focal, cx=width / 2, cy=height / 2),
        depth=np.where(depth > 0, depth, np.float32(np.nan)),
        world_from_camera=_level(made.up[0].astype(np.float64)),
        objects=tuple(sorted(objects, key=lambda o: -int(o.mask.sum()))),
    )


def _level(up: NDArray[np.float64]) -> NDArray[np.float64]:  # [3] -> [4, 4]
    """A rotation that turns `up` to y; where the floor lies is not known."""
    matrix = np.eye(4)
    across = np.cross(up, [0.0, 0.0, 1.0])
    if np.linalg.norm(across) < 1e-6:  # seen from straight above
        across = np.array([1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    matrix[:3, :3] = np.stack([across, up, np.cross(across, up)])
    return matrix
