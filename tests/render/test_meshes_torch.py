"""Torch sees the faces that the numba renderer sees, with the same contract."""

import numpy as np
import pytest
from tests.drivers.concatenate import concatenate_meshes

from scenelift.geometry.transforms import compose_transform
from scenelift.render.meshes import render_mesh
from scenelift.render.meshes_reference import cast_rays_reference
from scenelift.types import Camera, Mesh

torch = pytest.importorskip("torch")

from scenelift.render import meshes_torch  # noqa: E402
from scenelift.render.meshes_torch import render_mesh_torch  # noqa: E402

CPU = torch.device("cpu")
OFF_CENTRE = Camera(fx=60, fy=55, cx=30, cy=20.5, width=61, height=43)
POSE = compose_transform(1, [0.96, 0.1, -0.2, 0.15], [0.3, -0.2, 0.4])


def some_triangles(count: int, *, seed: int = 0, size: float = 0.5, **extra) -> Mesh:
    """Triangles around (0, 0, −2), some of which cross the near plane."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, 1, 3)) * 0.9 + [0, 0, -2]
    corners = centres + rng.normal(size=(count, 3, 3)) * size
    return Mesh(
        vertices=corners.reshape(-1, 3).astype(np.float32),
        faces=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        **extra,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sees_the_faces_that_rays_meet(seed):
    mesh = some_triangles(150, seed=seed)
    actual = render_mesh_torch(mesh, OFF_CENTRE, POSE, device=CPU)
    face_id, barycentric, depth = cast_rays_reference(mesh, OFF_CENTRE, POSE)
    # A pixel centre within rounding of an edge may go either way: at most one in a thousand.
    same = actual.face_id == face_id
    assert same.mean() > 0.999
    assert (face_id >= 0).mean() > 0.2
    # float32 results of float64 arithmetic; slivers divide by small areas.
    np.testing.assert_allclose(actual.barycentric[same], barycentric[same], atol=1e-4)
    np.testing.assert_allclose(actual.depth[same], depth[same], rtol=1e-4)


@pytest.mark.parametrize("shading", ["none", "headlight"])
@pytest.mark.parametrize("with_normals", [False, True])
@pytest.mark.parametrize("supersample", [1, 3])
def test_colours_textures_and_light_are_those_of_the_other_renderer(
    shading, with_normals, supersample, rng
):
    colored = some_triangles(30, seed=3, colors=rng.integers(0, 256, (90, 3), np.uint8))
    textured = some_triangles(
        30,
        seed=4,
        uv=rng.uniform(0, 1, (90, 2)).astype(np.float32),
        texture=rng.integers(0, 256, (7, 5, 3), np.uint8),
    )
    mesh = concatenate_meshes([colored, textured])
    if with_normals:
        normals = rng.normal(size=mesh.vertices.shape)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        names = ("vertices", "faces", "colors", "uv", "texture")
        mesh = Mesh(**{n: getattr(mesh, n) for n in names}, normals=normals.astype(np.float32))
    options = {"shading": shading, "supersample": supersample}
    arguments = (mesh, OFF_CENTRE, POSE, (0.1, 0.4, 0.8))
    actual = render_mesh_torch(*arguments, device=CPU, **options)
    expected = render_mesh(*arguments, **options)
    for name in ("color", "alpha", "depth"):
        close = np.isclose(getattr(actual, name), getattr(expected, name), atol=2e-3)
        # Where two faces meet, a pixel may take either's colour.
        assert close.mean() > 0.998
    assert (actual.face_id is None) == (supersample > 1)


def test_neighbours_leave_no_crack():
    angles = np.linspace(0, 2 * np.pi, 97, endpoint=False)
    rim = np.stack([3 * np.cos(angles), 3 * np.sin(angles), 0 * angles - 2], -1)
    k = np.arange(97)
    mesh = Mesh(
        vertices=np.array([[0.013, 0.007, -2], *rim], np.float32),
        faces=np.stack([0 * k, k + 1, (k + 1) % 97 + 1], -1).astype(np.int32),
    )
    assert (render_mesh_torch(mesh, OFF_CENTRE, device=CPU).alpha == 1).all()


def test_more_fragments_than_fit_at_once_give_the_same_picture(monkeypatch):
    mesh = some_triangles(40)
    expected = render_mesh_torch(mesh, OFF_CENTRE, device=CPU)
    monkeypatch.setattr(meshes_torch, "FRAGMENTS_AT_ONCE", 777)
    actual = render_mesh_torch(mesh, OFF_CENTRE, device=CPU)
    np.testing.assert_array_equal(actual.face_id, expected.face_id)
    np.testing.assert_array_equal(actual.color, expected.color)


def test_no_face_leaves_the_background_and_bad_faces_are_left_out():
    empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
    broken = Mesh(
        vertices=np.array([[0, 0, -2], [0, 0, -2], [1, 0, -2], [np.nan, 0, 0]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3], [0, 0, 0]], np.int32),
    )
    for mesh in (empty, broken):
        rendering = render_mesh_torch(mesh, OFF_CENTRE, background=(0, 0.5, 1), device=CPU)
        np.testing.assert_allclose(
            rendering.color, np.broadcast_to([0, 0.5, 1], (43, 61, 3)), atol=1e-6
        )
        assert np.isposinf(rendering.depth).all()
        assert (rendering.face_id == -1).all()


def test_a_face_that_names_no_vertex_is_refused():
    bad = Mesh(vertices=np.zeros((2, 3), np.float32), faces=np.array([[0, 1, 2]], np.int32))
    with pytest.raises(ValueError, match="has 2"):
        render_mesh_torch(bad, OFF_CENTRE, device=CPU)
