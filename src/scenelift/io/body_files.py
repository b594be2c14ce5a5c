"""Write the meshes that MJCF and URDF files name: each body's look and convex colliders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scenelift.io.files import write_bytes
from scenelift.io.glb import GlbNode
from scenelift.io.obj import write_obj
from scenelift.io.stl import stl_bytes
from scenelift.physics.bodies import Body

__all__ = ["MESHES", "BodyFiles", "write_body_files"]

MESHES = "scene_physics"
"""Folder beside the scene file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyFiles:
    """The paths of a body's meshes.

    Attributes:
        name: of the body, of letters, digits and `_` alone.
        look: OBJ of what it looks like.
        look_files: that OBJ and all it names.
        texture: its base colour, or None.
        colour: mean sRGB where there is no texture, 0…1, which is what MuJoCo and RViz take.
        hulls: STL files of the colliders.
    """

    name: str
    look: Path
    look_files: tuple[Path, ...]
    texture: Path | None
    colour: tuple[float, float, float]
    hulls: tuple[Path, ...]

    @property
    def all(self) -> list[Path]:
        """All files of the body."""
        return [*self.hulls, *self.look_files]


def write_body_files(folder: Path, bodies: Sequence[Body]) -> list[BodyFiles]:
    """Write the meshes of bodies into a folder, which is made if it does not exist.

    Raises:
        OutputError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder, body) for body in bodies]


def _write(folder: Path, body: Body) -> BodyFiles:
    name = re.sub(r"\W", "_", body.name, flags=re.ASCII)
    hulls: list[Path] = []
    for index, hull in enumerate(body.hulls):
        file = folder / f"{name}_{index}.stl"
        write_bytes(file, stl_bytes(hull.vertices[hull.faces]))
        hulls.append(file)
    look = folder / f"{name}.obj"
    look_files = tuple(write_obj(look, [GlbNode(name=name, mesh=body.mesh)]))
    texture = None if body.mesh.texture is None else folder / f"{name}_{name}.png"
    colour = (0.6, 0.6, 0.6)
    if body.mesh.colors is not None and len(body.mesh.colors):
        r, g, b = body.mesh.colors.mean(0) / 255
        colour = (float(r), float(g), float(b))
    return BodyFiles(
        name=name,
        look=look,
        look_files=look_files,
        texture=texture,
        colour=colour,
        hulls=tuple(hulls),
    )
