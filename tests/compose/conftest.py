"""Photographs of simple furniture in known places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.render.meshes import render_mesh
from scenelift.types import Camera, Image, Instance, Mesh, ObjectView, PointMap, Pose, Shape

CAMERA = Camera.from_fov(160, 120, fov_deg=55)
COLOURS = {"seat": (200, 60, 50), "back": (60, 90, 200), "leg": (70, 60, 50)}


@dataclass(frozen=True)
class Photograph:
    """What the stages before compose would know, without an error."""

    image: Image
    instances: tuple[Instance, ...]
    points: PointMap

    def view(self, index: int) -> ObjectView:
        return ObjectView(image=self.image, instance=self.instances[index], points=self.points)


def boxes(*parts: tuple[str, Sequence[float], Sequence[float]]) -> Mesh:
    """Coloured boxes, given as (colour, centre, size)."""
    vertices, faces, colors = [], [], []
    for colour, centre, size in parts:
        box = trimesh.creation.box(size)
        faces.append(np.asarray(box.faces) + sum(map(len, vertices)))
        vertices.append(np.asarray(box.vertices) + centre)
        colors.append(np.tile(COLOURS[colour], (len(box.vertices), 1)))
    return Mesh(
        vertices=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        colors=np.concatenate(colors).astype(np.uint8),
    )


@pytest.fixture(scope="session")
def chair() -> Shape:
    """A chair 1 high: its back at −z, so that no turn maps it onto itself."""
    legs = [("leg", (x, -0.27, z), (0.06, 0.46, 0.06)) for x in (-0.2, 0.2) for z in (-0.2, 0.2)]
    mesh = boxes(
        ("seat", (0, 0, 0), (0.46, 0.08, 0.46)),
        ("back", (0, 0.27, -0.2), (0.46, 0.46, 0.06)),
        *legs,
    )
    return Shape(mesh=mesh)


@pytest.fixture(scope="session")
def crate() -> Shape:
    return Shape(mesh=boxes(("seat", (0, 0, 0), (1, 1, 1))))


@pytest.fixture(scope="session")
def photograph() -> Callable[..., Photograph]:
    """Photograph shapes in poses; the ground, where there is one, is at y = `ground`."""

    def take(placed: Sequence[tuple[Shape, Pose]], *, ground: float | None = None) -> Photograph:
        u = CAMERA.unproject(np.ones((CAMERA.height, CAMERA.width)))
        depth = np.full((CAMERA.height, CAMERA.width), 8.0)
        if ground is not None:
            below = u[..., 1] < -1e-3
            depth[below] = np.minimum(8.0, ground / u[..., 1][below])
        pixels = np.full((CAMERA.height, CAMERA.width, 3), 190, np.uint8)
        owner = np.full(depth.shape, -1)
        for k, (shape, pose) in enumerate(placed):
            drawn = render_mesh(_placed(shape, pose), CAMERA, shading="headlight")
            nearer = drawn.depth < depth
            depth[nearer], owner[nearer] = drawn.depth[nearer], k
            pixels[nearer] = drawn.pixels()[nearer]
        instances = tuple(
            Instance(mask=owner == k, label=f"thing {k}", score=1.0, box=_box(owner == k))
            for k in range(len(placed))
        )
        points = PointMap(points=CAMERA.unproject(depth), camera=CAMERA, source="truth")
        return Photograph(image=Image(pixels=pixels), instances=instances, points=points)

    return take


def _placed(shape: Shape, pose: Pose) -> Mesh:
    assert shape.mesh is not None
    return Mesh(
        vertices=transform_points(shape.mesh.vertices, pose_matrix(pose)).astype(np.float32),
        faces=shape.mesh.faces,
        colors=shape.mesh.colors,
    )


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    return Instance.box_of(mask) if mask.any() else (0.0, 0.0, 1.0, 1.0)
