"""A closed mesh is one without an edge of one or three faces, however its vertices are split."""

import dataclasses

import numpy as np

from scenelift.geometry.isosurface import isosurface
from scenelift.io.closed import is_closed
from scenelift.types import Mesh


def ball() -> Mesh:
    side = np.linspace(-1, 1, 12)
    x, y, z = np.meshgrid(side, side, side, indexing="ij")
    corners, faces = isosurface((0.7 - np.sqrt(x * x + y * y + z * z)).astype(np.float32))
    return Mesh(vertices=corners.astype(np.float32), faces=faces.astype(np.int32))


def split(mesh: Mesh) -> Mesh:
    """Each face has vertices of its own, as along the seams of a texture."""
    numbers = np.arange(3 * len(mesh.faces), dtype=np.int32).reshape(-1, 3)
    return Mesh(vertices=mesh.vertices[mesh.faces.ravel()], faces=numbers)


def test_a_ball_is_closed_until_a_face_is_missing_or_there_twice():
    for mesh in (ball(), split(ball())):
        assert is_closed(mesh)
        assert not is_closed(dataclasses.replace(mesh, faces=mesh.faces[1:]))
        twice = np.concatenate([mesh.faces, mesh.faces[:1]])
        assert not is_closed(dataclasses.replace(mesh, faces=twice))


def test_lines_are_no_faces_and_minus_zero_is_zero():
    mesh = split(ball())
    moved = mesh.vertices - mesh.vertices[0]
    moved[0] = -0.0
    line = np.array([[0, 0, 1], [5, 7, 5]], np.int32)
    assert is_closed(Mesh(vertices=moved, faces=np.concatenate([mesh.faces, line])))
    assert is_closed(Mesh(vertices=moved, faces=line))
