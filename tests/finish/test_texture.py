"""Atlases hold every face once, and textures show what splats and photo show."""

import numpy as np
import pytest
import trimesh
from scipy.ndimage import distance_transform_edt

from scenelift.finish.bake import bake_gaussians, patches_of
from scenelift.finish.normals import vertex_normals
from scenelift.finish.photo import Sight
from scenelift.finish.texels import fill_between
from scenelift.finish.unwrap import unwrap
from scenelift.types import Camera, Gaussians, Image, Instance, Mesh, ObjectView, PointMap, Pose

SIZE = 256


def colors_at(points: np.ndarray) -> np.ndarray:
    return 0.5 + 0.4 * np.sin(points * [7, 5, 9])


def ball() -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=4, radius=0.45)
    vertices, faces = shape.vertices.astype(np.float32), shape.faces.astype(np.int32)
    return Mesh(vertices=vertices, faces=faces, normals=vertex_normals(vertices, faces))


def splats_on(mesh: Mesh, count: int = 20_000) -> Gaussians:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (count, 3))
    points *= 0.45 / np.linalg.norm(points, axis=1, keepdims=True)
    return Gaussians(
        means=points.astype(np.float32),
        scales=np.full((count, 3), 0.008, np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        opacities=np.full(count, 0.9, np.float32),
        sh0=Gaussians.sh0_of(colors_at(points)),
    )


def areas(at: np.ndarray) -> np.ndarray:
    a, b = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
    if at.shape[-1] == 2:
        return np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    return np.linalg.norm(np.cross(a, b), axis=1) / 2


def test_an_atlas_keeps_the_surface_and_stretches_no_face_much():
    mesh = ball()
    atlas = unwrap(mesh.vertices, mesh.faces, SIZE)
    np.testing.assert_array_equal(atlas.vertex[atlas.faces], mesh.faces)
    assert atlas.uv.min() >= 0
    assert atlas.uv.max() <= 1
    ratio = areas(atlas.uv[atlas.faces].astype(float)) / areas(
        mesh.vertices[mesh.faces].astype(float)
    )
    # A face as steep as charts allow keeps cos⁻¹(0.2) of its area.
    assert ratio.min() > 0.2 * ratio.max()


def test_no_texel_belongs_to_two_faces():
    mesh = ball()
    atlas = unwrap(mesh.vertices, mesh.faces, SIZE)
    flat = areas(atlas.uv[atlas.faces].astype(float)).sum() * SIZE**2
    # Each covered texel once: their number is the charts' area, but for the texels on borders.
    assert atlas.texels.count == pytest.approx(flat, rel=0.02)
    assert len(np.unique(atlas.texels.index)) == len(atlas.texels.index)


def test_every_texel_that_a_filter_reads_shows_the_surface_beside_it():
    mesh = ball()
    atlas = unwrap(mesh.vertices, mesh.faces, SIZE)
    corners = atlas.uv[atlas.faces] * SIZE
    inner = (
        corners.mean(1) + 0.95 * (corners - corners.mean(1)[:, None]).transpose(1, 0, 2)
    ).reshape(-1, 2)
    column, row = np.floor(inner[:, 0] - 0.5), np.floor(SIZE - inner[:, 1] - 0.5)
    read = np.concatenate(
        [(row + down) * SIZE + column + right for down in (0, 1) for right in (0, 1)]
    )
    # But at tips of charts that are thinner than a texel.
    assert np.isin(read, atlas.texels.index).mean() > 0.995
    points = atlas.texels.interpolate(atlas.faces, mesh.vertices[atlas.vertex])
    # A texel beside a chart lies on the plane of a face, up to 0.02 beyond it: 5e-4 off the ball.
    assert np.abs(np.linalg.norm(points, axis=1) - 0.45).max() < 2e-3


def test_a_texture_shows_the_splats_colours():
    mesh = ball()
    assert mesh.normals is not None
    atlas = unwrap(mesh.vertices, mesh.faces, SIZE)
    points = atlas.texels.interpolate(atlas.faces, mesh.vertices[atlas.vertex])
    normals = atlas.texels.interpolate(atlas.faces, mesh.normals[atlas.vertex])
    baked = bake_gaussians(
        splats_on(mesh), points, normals, patches_of(atlas.texels, atlas.chart), 0.006
    )
    assert baked.unseen.mean() < 0.01  # chance leaves gaps between them
    # Splats of σ 0.008 blur waves of 9 radians a unit by less than 0.3 %; the rest is their spread.
    assert np.abs(baked.rgb - colors_at(points)).mean() < 0.02


def test_a_splat_behind_the_front_wall_does_not_shine_through():
    mesh = ball()
    front = splats_on(mesh)
    red = Gaussians(
        means=(front.means * 0.97).astype(np.float32),
        scales=front.scales,
        rotations=front.rotations,
        opacities=front.opacities,
        sh0=Gaussians.sh0_of(np.tile([1.0, 0, 0], (len(front), 1))),
    )
    names = ("means", "scales", "rotations", "opacities", "sh0")
    both = Gaussians(**{n: np.concatenate([getattr(red, n), getattr(front, n)]) for n in names})
    points, normals = mesh.vertices, mesh.normals
    assert normals is not None
    each = np.arange(len(points))
    alone = bake_gaussians(front, points, normals, each, 0.006)
    walled = bake_gaussians(both, points, normals, each, 0.006)
    assert np.abs(walled.rgb - alone.rgb).mean() < 0.03


def test_where_no_splat_reaches_the_nearest_gives_the_colour():
    mesh = ball()
    far = Gaussians(
        means=np.array([[3, 0, 0]], np.float32),
        scales=np.full((1, 3), 0.01, np.float32),
        rotations=np.array([[1, 0, 0, 0]], np.float32),
        opacities=np.ones(1, np.float32),
        sh0=Gaussians.sh0_of(np.array([[0.2, 0.4, 0.6]])),
    )
    baked = bake_gaussians(
        far, mesh.vertices, mesh.vertices / 0.45, np.arange(len(mesh.vertices)), 0.01
    )
    assert baked.unseen.all()
    np.testing.assert_allclose(
        baked.rgb, np.tile([0.2, 0.4, 0.6], (len(mesh.vertices), 1)), atol=1e-6
    )


def photographed(mesh: Mesh) -> tuple[ObjectView, Pose]:
    from scenelift.geometry.transforms import pose_matrix, transform_points
    from scenelift.render.meshes import render_mesh

    pose = Pose(rotation=(0.8, 0.0, 0.6, 0.0), translation=(0.3, -0.2, -4.0), scale=1.5)
    colored = Mesh(
        vertices=transform_points(mesh.vertices, pose_matrix(pose)).astype(np.float32),
        faces=mesh.faces,
        colors=np.rint(255 * colors_at(mesh.vertices)).astype(np.uint8),
    )
    camera = Camera.from_fov(320, 240, fov_deg=40)
    drawn = render_mesh(colored, camera, shading="none")
    mask = drawn.alpha > 0.5
    instance = Instance(mask=mask, label="ball", score=1.0, box=Instance.box_of(mask))
    points = PointMap(points=camera.unproject(drawn.depth), camera=camera)
    return ObjectView(image=Image(pixels=drawn.pixels()), instance=instance, points=points), pose


def test_the_photo_colours_what_it_sees_and_nothing_else():
    mesh = ball()
    view, pose = photographed(mesh)
    expected = colors_at(mesh.vertices).astype(np.float32)
    assert mesh.normals is not None
    photo = Sight.of(view, pose, mesh).at(mesh.vertices, mesh.normals).judged(expected)
    assert not photo.refused
    used = photo.weight > 0.5
    assert 0.15 < used.mean() < 0.5  # a ball shows less than half of itself
    assert np.abs(photo.rgb[used] - expected[used]).mean() < 0.02  # half a pixel of the gradient
    from scenelift.geometry.transforms import matrix_from_quaternion

    away = (mesh.normals @ matrix_from_quaternion(pose.rotation).T)[:, 2] < -0.3
    assert (photo.weight[away] == 0).all()


def test_a_photo_of_something_else_is_refused_with_the_reason():
    mesh = ball()
    view, pose = photographed(mesh)
    grey = np.full((len(mesh.vertices), 3), 0.05, np.float32)
    assert mesh.normals is not None
    photo = Sight.of(view, pose, mesh).at(mesh.vertices, mesh.normals).judged(grey)
    assert "colours differ" in photo.refused
    assert (photo.weight == 0).all()
    moved = Pose(rotation=pose.rotation, translation=(0.9, -0.2, -4.0), scale=1.5)
    photo = Sight.of(view, moved, mesh).at(mesh.vertices, mesh.normals).judged(grey)
    assert "silhouette" in photo.refused


def test_between_charts_lies_the_nearest_colour():
    mesh = ball()
    texels = unwrap(mesh.vertices, mesh.faces, SIZE).texels
    row, column = np.divmod(texels.index, SIZE)
    filled = fill_between(texels, np.stack([row, column], -1))
    here = np.stack(np.mgrid[:SIZE, :SIZE], -1)
    taken = np.linalg.norm(filled - here, axis=-1)
    empty = np.ones((SIZE, SIZE), np.bool_)
    empty[row, column] = False
    np.testing.assert_allclose(taken, distance_transform_edt(empty), rtol=1e-12)
