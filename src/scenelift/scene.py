"""The result of a run: all objects of a photo in one frame, and how they were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.numbers import wrong_type
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
            InputError: it is no path, or an empty one, which would be the current folder.
            OutputError: the folder cannot be written.
        """
        from scenelift.output.scene import write_scene

        if not isinstance(folder, str | Path):
            raise wrong_type("folder", folder, "a path")
        if not str(folder).strip() or "\0" in str(folder):
            raise InputError(f"folder is {str(folder)!r}; give a path, '.' for the current folder.")
        write_scene(self, Path(folder))
        return Path(folder) / "scene.json"
