"""Meshes that no decoder should make are finished, or refused with the reason; nothing crashes."""

import numpy as np
import pytest
import trimesh

from scenelift.errors import ReconstructionError
from scenelift.finish.stage import finish_mesh
from scenelift.options import FinishOptions
from scenelift.types import Mesh

SMALL = FinishOptions(faces=400, texture_size=128)


def mesh_of(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return Mesh(vertices=vertices.astype(np.float32), faces=faces.astype(np.int32))


def assert_usable(mesh: Mesh) -> None:
    """Every number is finite, every face has its corners and a texture to show."""
    assert mesh.uv is not None
    assert mesh.normals is not None
    assert mesh.texture is not None
    for values in (mesh.vertices, mesh.uv, mesh.normals):
        assert np.isfinite(values).all()
    assert len(mesh.faces)
    assert mesh.faces.min() >= 0
    assert mesh.faces.max() < len(mesh.vertices)


def test_a_mesh_with_no_faces_is_refused():
    with pytest.raises(ReconstructionError, match="none of 0 faces has finite corners"):
        finish_mesh(mesh_of(np.zeros((0, 3)), np.zeros((0, 3))), None, SMALL)


def test_a_mesh_of_vertices_that_are_nan_is_refused():
    ball = trimesh.creation.icosphere(subdivisions=2)
    with pytest.raises(ReconstructionError, match="none of 320 faces has finite corners"):
        finish_mesh(mesh_of(np.full_like(ball.vertices, np.nan), ball.faces), None, SMALL)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_faces_at_vertices_that_are_not_finite_go_and_their_holes_close(value):
    ball = trimesh.creation.icosphere(subdivisions=3)
    vertices = ball.vertices.copy()
    vertices[::200] = value
    done = finish_mesh(mesh_of(vertices, ball.faces), None, SMALL)
    assert_usable(done.mesh)
    assert done.quality["mesh_watertight"] == 1
    assert "broken" in done.notes[0]


@pytest.mark.parametrize("noise", [0.0, 1e-7])
@pytest.mark.parametrize("direction", [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.3, -0.7, 0.5)])
def test_a_mesh_of_zero_area_is_refused(direction, noise):
    """A point or a line, exactly or but for what float32 rounds away."""
    rng = np.random.default_rng(0)
    along = rng.uniform(-0.5, 0.5, (40, 1)) * direction
    spread = noise * np.linalg.norm(direction) * rng.normal(size=(40, 3))
    with pytest.raises(ReconstructionError, match="an area"):
        finish_mesh(mesh_of(along + spread, rng.integers(0, 40, (60, 3))), None, SMALL)


@pytest.mark.parametrize("options", [SMALL, FinishOptions(faces=20_000, texture_size=128)])
def test_of_ten_thousand_components_of_one_size_as_many_stay_as_the_budget_has_room_for(options):
    """None of them is a floater beside the others."""
    grain = trimesh.creation.icosahedron()
    at = np.random.default_rng(0).uniform(-0.5, 0.5, (10_000, 1, 3))
    first = len(grain.vertices) * np.arange(10_000)[:, None, None]
    cloud = mesh_of(
        (4e-3 * grain.vertices + at).reshape(-1, 3), (grain.faces + first).reshape(-1, 3)
    )
    done = finish_mesh(cloud, None, options)
    assert_usable(done.mesh)
    assert len(done.mesh.faces) <= options.faces
    assert len(done.mesh.faces) > 0.5 * options.faces
    left_out = 10_000 - options.faces // 16
    assert done.notes[0].startswith(f"{left_out} pieces are left out")
    assert done.quality["mesh_floaters_removed"] == 0


def test_a_single_face_is_finished():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    assert_usable(finish_mesh(mesh_of(corners, np.array([[0, 1, 2]])), None, SMALL).mesh)
