"""Meshes are drawn as rays see them, where the camera says, without cracks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.drivers.concatenate import concatenate_meshes

from scenelift.geometry.transforms import compose_transform
from scenelift.render.meshes import render_mesh
from scenelift.render.meshes_reference import cast_rays_reference
from scenelift.types import Camera, Mesh

OFF_CENTRE = Camera(fx=60, fy=55, cx=30, cy=20.5, width=61, height=43)


def some_triangles(count: int, *, seed: int = 0) -> Mesh:
    """Triangles of all sizes on both sides of the camera's near plane."""
    rng = np.random.default_rng(seed)
    size = np.repeat(np.exp(rng.uniform(-3, 0.5, count)), 3)[:, None]
    centres = np.repeat(rng.normal(size=(count, 3)) * [1.5, 1.5, 1.2] + [0, 0, -2], 3, axis=0)
    vertices = centres + size * rng.normal(size=(3 * count, 3))
    return Mesh(
        vertices=vertices.astype(np.float32),
        faces=np.arange(3 * count, dtype=np.int32).reshape(-1, 3),
        colors=rng.integers(0, 256, (3 * count, 3), np.uint8),
    )


def square(size: float = 1.0, z: float = -2.0, **extra: np.ndarray) -> Mesh:
    """A square facing the camera, corners from the lower left counter-clockwise."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    return Mesh(
        vertices=(corners * size / 2 + [0, 0, z]).astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        **extra,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sees_the_faces_that_rays_meet(seed):
    mesh = some_triangles(150, seed=seed)
    pose = compose_transform(1, [0.96, 0.1, -0.2, 0.15], [0.3, -0.2, 0.4])
    actual = render_mesh(mesh, OFF_CENTRE, pose)
    face_id, barycentric, depth = cast_rays_reference(mesh, OFF_CENTRE, pose)
    # A pixel centre within rounding of an edge may go either way: at most one in a thousand.
    same = actual.face_id == face_id
    assert same.mean() > 0.999
    assert (face_id >= 0).mean() > 0.2
    # float32 results of float64 arithmetic; slivers divide by small areas.
    np.testing.assert_allclose(actual.barycentric[same], barycentric[same], atol=1e-4)
    np.testing.assert_allclose(actual.depth[same], depth[same], rtol=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    corners=st.lists(
        st.tuples(st.floats(-1, 1), st.floats(-0.7, 0.7), st.floats(-4, -2)), min_size=3, max_size=3
    )
)
def test_lands_where_the_camera_projects_it(corners):
    points = np.array(corners, np.float32)
    mesh = Mesh(vertices=points, faces=np.array([[0, 1, 2]], np.int32))
    rendering = render_mesh(mesh, OFF_CENTRE)
    row, column = np.nonzero(rendering.face_id == 0)
    weights = rendering.barycentric[row, column]
    pixels = OFF_CENTRE.project(weights.astype(np.float64) @ points)
    # Weights are float32: a hundredth of a pixel for a sliver, far less for other triangles.
    np.testing.assert_allclose(pixels, np.stack([column, row], -1) + 0.5, atol=1e-2)


def test_neighbours_leave_no_crack_and_no_overlap():
    """A fan of thin triangles covers its square once, at every pixel."""
    angles = np.linspace(0, 2 * np.pi, 97, endpoint=False)
    rim = np.stack([3 * np.cos(angles), 3 * np.sin(angles), 0 * angles - 2], -1)
    mesh = Mesh(
        vertices=np.array([[0.013, 0.007, -2], *rim], np.float32),
        faces=np.stack(
            [0 * np.arange(97), np.arange(97) + 1, (np.arange(97) + 1) % 97 + 1], -1
        ).astype(np.int32),
    )
    assert (render_mesh(mesh, OFF_CENTRE).alpha == 1).all()


def test_a_ground_plane_through_the_camera_is_clipped_at_the_near_plane():
    ground = Mesh(
        vertices=np.array([[-9, -0.5, 9], [9, -0.5, 9], [9, -0.5, -9], [-9, -0.5, -9]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
    )
    rendering = render_mesh(ground, OFF_CENTRE)
    below = np.arange(OFF_CENTRE.height) + 0.5 - OFF_CENTRE.cy > 55 * 0.5 / 9
    assert (rendering.alpha[below] == 1).all()
    assert (rendering.alpha[~below] == 0).all()
    # On the plane y = −0.5: depth = 0.5 · fy / (v − cy).
    v = np.arange(OFF_CENTRE.height)[below] + 0.5
    expected = np.broadcast_to(0.5 * 55 / (v - 20.5)[:, None], (len(v), 61))
    np.testing.assert_allclose(rendering.depth[below], expected, rtol=1e-5)


def test_without_shading_vertex_colours_come_back():
    colors = np.full((4, 3), [200, 100, 50], np.uint8)
    rendering = render_mesh(square(5, colors=colors), OFF_CENTRE, shading="none")
    assert (rendering.pixels() == [200, 100, 50]).all()


def test_texture_is_upright_and_not_mirrored():
    texture = np.zeros((2, 2, 3), np.uint8)
    texture[0, 0], texture[0, 1], texture[1, 0], texture[1, 1] = (
        *([255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]),
    )
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    camera = Camera(fx=62, fy=62, cx=31, cy=31, width=62, height=62)  # the square fills it
    mesh = square(2, uv=uv, texture=texture)
    pixels = render_mesh(mesh, camera, shading="none").pixels()
    # At the middles of the four texels bilinear weights are 1.
    assert pixels[15, 15].tolist() == [255, 0, 0]
    assert pixels[15, 46].tolist() == [0, 255, 0]
    assert pixels[46, 15].tolist() == [0, 0, 255]
    assert pixels[46, 46].tolist() == [255, 255, 255]


def test_headlight_is_brightest_face_on():
    flat = square(8)
    tilted = Mesh(
        vertices=flat.vertices @ np.float32([[1, 0, 0], [0, 1, 1.5], [0, 0, 1]]), faces=flat.faces
    )
    camera = Camera.from_fov(9, 9, fov_deg=5)
    face_on = render_mesh(flat, camera).color[4, 4, 0]
    oblique = render_mesh(tilted, camera).color[4, 4, 0]
    plain = render_mesh(flat, camera, shading="none").color[4, 4, 0]
    assert face_on == pytest.approx(plain, abs=1e-3)
    assert oblique < face_on - 0.05


def test_supersampling_measures_how_much_of_a_pixel_is_covered():
    camera = Camera(fx=10, fy=10, cx=5, cy=5, width=10, height=10)
    mesh = square(0.9)  # edges at 2.75 and 7.25 pixels
    rendering = render_mesh(mesh, camera, supersample=4)
    assert rendering.face_id is None
    assert rendering.alpha.sum() == pytest.approx(4.5**2)
    assert rendering.alpha[2, 5] == pytest.approx(0.25)
    assert rendering.depth[5, 5] == pytest.approx(2)
    assert rendering.depth[2, 5] == pytest.approx(2)


def test_the_same_mesh_gives_the_same_bytes():
    mesh = some_triangles(60)
    once, again = render_mesh(mesh, OFF_CENTRE), render_mesh(mesh, OFF_CENTRE)
    assert once.color.tobytes() == again.color.tobytes()
    assert once.face_id.tobytes() == again.face_id.tobytes()


def test_no_face_leaves_the_background():
    empty = Mesh(vertices=np.zeros((0, 3), np.float32), faces=np.zeros((0, 3), np.int32))
    for shading in ("none", "headlight"):
        rendering = render_mesh(empty, OFF_CENTRE, background=(0, 0.5, 1), shading=shading)
        np.testing.assert_allclose(
            rendering.color, np.broadcast_to([0, 0.5, 1], (43, 61, 3)), atol=1e-6
        )
        assert np.isposinf(rendering.depth).all()


def test_degenerate_and_infinite_faces_are_left_out():
    vertices = np.array(
        [[0, 0, -2], [0, 0, -2], [1, 0, -2], [np.nan, 0, -2], [0, 1, -2], [np.inf, 1, -2]],
        np.float32,
    )
    faces = np.array([[0, 1, 2], [0, 2, 3], [2, 4, 5], [0, 0, 0]], np.int32)
    rendering = render_mesh(Mesh(vertices=vertices, faces=faces), OFF_CENTRE)
    assert (rendering.alpha == 0).all()
    assert np.isfinite(rendering.color).all()


def test_a_face_that_names_no_vertex_is_refused():
    bad = Mesh(vertices=np.zeros((2, 3), np.float32), faces=np.array([[0, 1, 2]], np.int32))
    with pytest.raises(ValueError, match="has 2"):
        render_mesh(bad, OFF_CENTRE)


def test_concatenated_meshes_look_like_the_meshes():
    rng = np.random.default_rng(0)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    meshes = [
        square(0.8, 0.0, uv=uv, texture=rng.integers(0, 256, (7, 5, 3), np.uint8)),
        square(0.8, 0.0, colors=rng.integers(0, 256, (4, 3), np.uint8)),
        square(0.8, 0.0, uv=uv, texture=rng.integers(0, 256, (3, 9, 3), np.uint8)),
        square(0.8, 0.0),
    ]
    places = [
        compose_transform(1.5, [0.9, 0, 0.3, 0.1], [x, y, -2.5])
        for x, y in ((-0.6, -0.5), (0.6, -0.5), (-0.6, 0.5), (0.6, 0.5))
    ]
    together = render_mesh(concatenate_meshes(meshes, places), OFF_CENTRE)
    for mesh, place in zip(meshes, places, strict=True):
        alone = render_mesh(concatenate_meshes([mesh], [place]), OFF_CENTRE)
        own = np.isclose(together.depth, alone.depth) & (alone.alpha > 0)
        assert own.sum() > 50
        # Texture coordinates in the stack are float32: 1e-4 is rounding. A wrapped sample at the
        # rim of a texture that repeats differs, hence the share.
        assert np.isclose(together.color[own], alone.color[own], atol=1e-3).mean() > 0.99
