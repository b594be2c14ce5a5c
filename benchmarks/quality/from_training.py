"""Answers that know what training saw and nothing of the photo's object but its place.

A reconstructor that does no better than the mean of its training shapes has learned no more than
what furniture is like; one below the nearest of them would have done better to look it up
(Tatarchenko et al. 2019, "What Do Single-view 3D Reconstruction Networks Learn?").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from benchmarks.quality.baselines import corners_of, placed
from benchmarks.synthetic import SyntheticObject, SyntheticScene
from scenelift.errors import SetupError
from scenelift.io.files import atomic_write
from scenelift.progress import Reporter
from scenelift.reconstruct.embedded.frame import standing
from scenelift.training.scenes.catalogue import cache_folder, catalogue
from scenelift.training.scenes.meshes import load_entry
from scenelift.training.scenes.pack import MOST_FACES
from scenelift.training.scenes.sources import training_models
from scenelift.training.scenes.volumes import GRID, volume_of
from scenelift.types import Image, Instance, Mesh, ObjectView, PointMap, Reconstruction, Shape

__all__ = ["MeanReconstructor", "NearestReconstructor", "TrainingVolumes", "mean_shape"]

VERSION = 1
"""Raise it when `volume_of` or the split changes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingVolumes:
    """What each of the catalogue's training models fills.

    Attributes:
        ids: of the catalogue's entries.
        packed: uint8 [N, 64³ / 8], the bits of `volume_of`.
    """

    ids: tuple[str, ...]
    packed: NDArray[np.uint8]

    @classmethod
    def load_or_make(cls) -> TrainingVolumes:
        """From the cache, or made in about two minutes.

        Raises:
            SetupError: the meshes cannot be fetched.
        """
        path = cache_folder() / f"training-volumes-v{VERSION}.npz"
        if path.is_file():
            # Our own file, read without pickles.
            with np.load(path, allow_pickle=False) as file:  # noqa: TID251
                return cls(ids=tuple(file["ids"].tolist()), packed=file["packed"])
        models = [m for m in training_models(only="train") if len(m.surface.faces) <= MOST_FACES]
        made = cls(
            ids=tuple(m.entry.id for m in models),
            packed=np.stack([np.packbits(volume_of(m.surface)) for m in models]),
        )
        with atomic_write(path) as file:
            np.savez_compressed(file, ids=np.array(made.ids), packed=made.packed)
        return made

    def mean(self) -> NDArray[np.float32]:  # [64, 64, 64]
        """Share of the models that fill each voxel."""
        filled = np.zeros(GRID**3, np.int32)
        for bits in self.packed:
            filled += np.unpackbits(bits)
        return (filled / len(self.packed)).astype(np.float32).reshape((GRID,) * 3)

    def nearest(self, volume: NDArray[np.bool_]) -> str:
        """Id of the model whose volume has the largest IoU with another, as both are."""
        bits = np.packbits(volume)
        common = np.bitwise_count(self.packed & bits).sum(1, dtype=np.int64)
        either = np.bitwise_count(self.packed | bits).sum(1, dtype=np.int64)
        return self.ids[int(np.argmax(common / either))]


def mean_shape(share: NDArray[np.float32]) -> Mesh:
    """The level of a mean occupancy [X, Y, Z] that encloses the mean volume, in [−0.5, 0.5]³."""
    filled = round(float(share.sum()))
    least = np.partition(share, -filled, axis=None)[-filled]
    # Between two values that occur, so that no voxel lies on the surface and pinches it.
    level = float(least + share[share < least].max()) / 2
    # An empty border closes the surface.
    vertices, faces, _, _ = marching_cubes(np.pad(share, 1), level)
    return Mesh(
        vertices=((vertices - 0.5) / GRID - 0.5).astype(np.float32),
        faces=np.ascontiguousarray(faces[:, ::-1], np.int32),
    )


class MeanReconstructor:
    """The mean of the training's shapes: upright, facing the camera, as large as the points say.

    Args:
        volumes: of the training's models.
        scenes: of what will be asked; they say which way is up.
    """

    name, version = "mean shape", "1"

    def __init__(self, volumes: TrainingVolumes, scenes: Sequence[SyntheticScene]) -> None:
        self._mesh, self._scenes = mean_shape(volumes.mean()), scenes

    def begin(self, image: Image, points: PointMap) -> None:
        """A new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        scene, _ = _asked(self._scenes, view.instance)
        camera_from_object = standing(scene.world_from_camera[1, :3])
        low, high = corners_of(view, camera_from_object)
        vertices = self._mesh.vertices.astype(np.float64)
        floor, top = vertices.min(0), vertices.max(0)
        fitted = low + (vertices - floor) / (top - floor) * (high - low)
        return placed(fitted @ camera_from_object.T, self._mesh.faces)


class NearestReconstructor:
    """An oracle: of all training models the one most like the truth, in the true pose.

    No retrieval from the training's models has a larger volume IoU, save for the alignment.

    Args:
        volumes: of the training's models.
        scenes: of what will be asked; they say what is true.
    """

    name, version = "nearest training model (oracle)", "1"

    def __init__(self, volumes: TrainingVolumes, scenes: Sequence[SyntheticScene]) -> None:
        self._volumes, self._scenes = volumes, scenes

    def begin(self, image: Image, points: PointMap) -> None:
        """A new photo; there is nothing to prepare."""

    def reconstruct(self, view: ObjectView, *, seed: int, report: Reporter) -> Reconstruction:
        _, truth = _asked(self._scenes, view.instance)
        mesh = _mesh(self._volumes.nearest(volume_of(truth.surface)))
        return Reconstruction(shape=Shape(mesh=mesh), pose=truth.pose)


def _asked(
    scenes: Sequence[SyntheticScene], instance: Instance
) -> tuple[SyntheticScene, SyntheticObject]:
    """Whose mask it is."""
    return next((s, o) for s in scenes for o in s.objects if o.mask is instance.mask)


@lru_cache(maxsize=64)
def _mesh(model: str) -> Mesh:
    surface = load_entry(next(entry for entry in catalogue() if entry.id == model))
    if surface is None:
        raise SetupError(f"{model} was a training model and cannot be read any more")
    return Mesh(vertices=surface.vertices, faces=surface.faces)
