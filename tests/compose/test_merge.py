"""Splats and meshes of one scene coincide, whatever the poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.compose import create_scene_mesh, make_scene
from scenelift.geometry.transforms import transform_points
from scenelift.testing.fakes import ball_shape
from scenelift.types import Gaussians, Instance, Mesh, Pose, SceneObject, Shape

TILT = (0.9238795325112867, 0.0, 0.0, 0.3826834323650898)  # 45° about z


def scene_object(index, shape, pose):
    mask = np.ones((4, 4), bool)
    instance = Instance(mask=mask, label="ball", score=1.0, box=Instance.box_of(mask))
    return SceneObject(index=index, instance=instance, shape=shape, pose=pose)


def squashed(shape: Shape) -> Shape:
    """A ball flattened along y and shifted, so that a wrong rotation shows."""
    factors, shift = np.array([1, 0.3, 0.6], np.float32), np.array([0, 0.1, 0], np.float32)
    assert shape.gaussians is not None
    assert shape.mesh is not None
    g, m = shape.gaussians, shape.mesh
    return Shape(
        gaussians=Gaussians(
            means=g.means * factors + shift,
            scales=g.scales,
            rotations=g.rotations,
            opacities=g.opacities,
            sh0=g.sh0,
        ),
        mesh=Mesh(vertices=m.vertices * factors + shift, faces=m.faces, colors=m.colors),
    )


@pytest.fixture
def objects():
    shape = squashed(ball_shape(np.array([200, 40, 40]), splats=4000))
    poses = [
        Pose(rotation=TILT, translation=(-1, 0, -3), scale=0.5),
        Pose(rotation=(0.5, 0.5, 0.5, 0.5), translation=(1, 0.5, -4), scale=1.5),
        Pose(rotation=(0.0, 1.0, 0.0, 0.0), translation=(0, -1, -2), scale=0.2),
    ]
    return [scene_object(k, shape, pose) for k, pose in enumerate(poses)]


def test_centroids_and_extents_of_splats_and_meshes_agree(objects):
    gaussians, nodes = make_scene(objects), create_scene_mesh(objects)
    start = 0
    for o, node in zip(objects, nodes, strict=True):
        count = len(o.shape.gaussians)
        splats = gaussians.means[start : start + count]
        start += count
        vertices = transform_points(node.mesh.vertices, node.matrix)
        size = np.ptp(vertices, axis=0).max()
        middle = (splats.min(0) + splats.max(0)) / 2
        expected = (vertices.min(0) + vertices.max(0)) / 2
        np.testing.assert_allclose(middle, expected, atol=0.01 * size)
        # The splats are inset by one standard deviation: 6 % of the diameter on each axis.
        np.testing.assert_allclose(
            np.ptp(splats, axis=0), 0.94 * np.ptp(vertices, axis=0), atol=0.02 * size
        )


def test_every_node_is_named_and_keeps_its_transform(objects):
    nodes = create_scene_mesh(objects)
    assert [n.name for n in nodes] == ["00_ball", "01_ball", "02_ball"]
    np.testing.assert_allclose(nodes[0].matrix[:3, 3], [-1, 0, -3])


def test_objects_without_splats_or_mesh_are_left_out(objects):
    only_mesh = scene_object(0, Shape(mesh=objects[0].shape.mesh), Pose())
    assert len(make_scene([only_mesh])) == 0
    assert create_scene_mesh([scene_object(0, Shape(), Pose())]) == []


def with_kernel(shape, kernel, scales):
    scales = np.full_like(shape.gaussians.scales, scales)
    return replace(shape, gaussians=replace(shape.gaussians, kernel=kernel, scales=scales))


def test_splats_of_a_scene_have_one_kernel_and_none_is_thinner():
    """SAM 3D's own `make_scene`: at least 1.1 of the object's kernel, then the least of all."""
    ball = ball_shape(np.array([200, 40, 40]), splats=5)
    scene = make_scene(
        [
            scene_object(0, with_kernel(ball, 0.001, 0.001), Pose(scale=2.0)),
            scene_object(1, with_kernel(ball, 0.001, 0.010), Pose(scale=0.5)),
            scene_object(2, with_kernel(ball, 0.0, 0.0001), Pose(scale=3.0)),
        ]
    )
    assert scene.kernel == pytest.approx(0.0005)
    thinnest = np.sqrt((1.1 * 0.002) ** 2 - 0.002**2 + 0.0005**2)
    expected = np.repeat([thinnest, 0.005, 0.0003], 5)
    np.testing.assert_allclose(scene.scales[:, 0], expected, rtol=1e-6)


def test_an_object_alone_keeps_its_scales_above_the_floor():
    ball = ball_shape(np.array([200, 40, 40]), splats=5)
    scene = make_scene([scene_object(0, with_kernel(ball, 0.0009, 0.001), Pose(scale=2.0))])
    np.testing.assert_allclose(scene.scales, 0.002, rtol=1e-6)
