"""A scene of three boxes whose place tells the axes: red to the right, green above, blue behind."""

from __future__ import annotations

import numpy as np
import trimesh

from scenelift.scene import Scene
from scenelift.types import (
    Camera,
    Gaussians,
    Image,
    Instance,
    Mesh,
    Pose,
    Prompt,
    Provenance,
    SceneObject,
    Shape,
)

__all__ = ["CENTRES", "COLOURS", "SIZE", "known_scene"]

SIZE = 0.4  # of a box's sides, in metres
CENTRES = {"red": (1.0, 0.0, -4.0), "green": (0.0, 1.0, -4.0), "blue": (0.0, 0.0, -5.0)}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


def known_scene(*, textured: bool = False) -> Scene:
    """The scene; boxes have vertex colours, or textures of one colour."""
    pixels = np.full((60, 80, 3), 128, np.uint8)
    objects = [
        SceneObject(
            index=index,
            instance=_instance(name, index),
            shape=Shape(mesh=_mesh(COLOURS[name], textured=textured), gaussians=_splats(name)),
            pose=Pose(scale=2 * SIZE, rotation=(1.0, 0.0, 0.0, 0.0), translation=CENTRES[name]),
        )
        for index, name in enumerate(CENTRES)
    ]
    return Scene(
        image=Image(pixels=pixels),
        objects=tuple(objects),
        camera=Camera(width=80, height=60, fx=80.0, fy=80.0, cx=40.0, cy=30.0),
        units="metres",
        provenance=Provenance(prompt=Prompt(phrases=tuple(CENTRES)), seed=0, backends={}),
    )


def _instance(name: str, index: int) -> Instance:
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10 + 20 * index : 20 + 20 * index] = True
    return Instance(
        mask=mask, label=name, score=0.9, box=(10.0 + 20 * index, 10.0, 20.0 + 20 * index, 20.0)
    )


def _mesh(colour: tuple[int, int, int], *, textured: bool) -> Mesh:
    box = trimesh.creation.box(extents=(0.5, 0.5, 0.5))
    vertices = box.vertices.astype(np.float32)
    faces = box.faces.astype(np.int32)
    if textured:
        return Mesh(
            vertices=vertices,
            faces=faces,
            uv=np.full((len(vertices), 2), 0.5, np.float32),
            texture=np.full((8, 8, 3), colour, np.uint8),
        )
    return Mesh(
        vertices=vertices, faces=faces, colors=np.full((len(vertices), 3), colour, np.uint8)
    )


def _splats(name: str) -> Gaussians:
    rng = np.random.default_rng(1)
    n = 400
    rgb = np.full((n, 3), np.array(COLOURS[name]) / 255, np.float32)
    return Gaussians(
        means=rng.uniform(-0.25, 0.25, (n, 3)).astype(np.float32),
        scales=np.full((n, 3), 0.02, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)),
        opacities=np.full(n, 0.95, np.float32),
        sh0=Gaussians.sh0_of(rgb),
    )
