"""The result of a run: all objects of a photo in one frame, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Background, Camera, Image, Provenance, SceneObject

__all__ = ["Scene"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All objects in one frame.

    Attributes:
        image: the photo it was lifted from.
        objects: those that were reconstructed, in the order of their index.
        camera: the camera of the photo, at the origin of the camera frame.
        provenance: how it came about.
        scene_from_camera: float64 4×4 rigid transform; identity unless the scene was levelled.
        units: "metres" or "scene units".
        up: against gravity, in the scene frame.
        levels: heights along `up` of the floor and table tops that the photo shows.
        background: what the photo shows around and behind the objects, where it was asked for.
    """

    image: Image
    objects: tuple[SceneObject, ...]
    camera: Camera
    provenance: Provenance
    scene_from_camera: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    units: str = "scene units"
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    levels: tuple[float, ...] = ()
    background: Background | None = None

    def save(self, folder: str | Path) -> Path:
        """Write every file of the scene into a folder and return the path of its `scene.json`.

        Raises:
            OutputError: the folder cannot be written.
        """
        from scenelift.output.scene import write_scene

        write_scene(self, Path(folder))
        return Path(folder) / "scene.json"
