"""What a synthetic photo shows and what is said to be true of it agree."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.synthetic import scenes

from scenelift.geometry.transforms import pose_matrix, transform_points
from scenelift.training.scenes import layout
from scenelift.training.scenes.meshes import join
from scenelift.training.scenes.plans import PLANS
from scenelift.training.scenes.props import box, quad
from scenelift.training.scenes.raycast import Light, Sky, Tracer, View
from scenelift.types import Camera

KITCHEN = next(k for k, plan in enumerate(PLANS) if plan.name == "kitchen")


@pytest.fixture
def scene(models):
    return scenes.make_scene(0, KITCHEN, width=128, height=96, samples=1)


@pytest.fixture
def view():
    return View(camera=Camera.from_fov(40, 30, fov_deg=60), world_from_camera=np.eye(4))


def test_depth_is_along_the_viewing_axis_and_the_nearer_surface_hides_the_other(view):
    wall = quad((-9, -9, -4), (18, 0, 0), (0, 18, 0))
    block = box((-0.5, -0.5, -3), (0.5, 0.5, -2))
    numbers, depth = Tracer([wall, block], [0, 1]).truth(view)
    assert numbers[15, 20] == 1
    assert depth[15, 20] == pytest.approx(2, rel=1e-5)
    # The corner of the photo sees the wall at an angle: its distance is more, its depth is not.
    assert numbers[0, 0] == 0
    assert depth[0, 0] == pytest.approx(4, rel=1e-5)


def test_a_ray_into_the_sky_hits_nothing(view):
    numbers, depth = Tracer([box((0, 0, 5), (1, 1, 6))], [1]).truth(view)
    assert (numbers == -1).all()
    assert np.isnan(depth).all()


def test_a_block_casts_its_shadow_away_from_the_light():
    down = np.array([[1, 0, 0, 0], [0, 0, 1, 6], [0, -1, 0, 0], [0, 0, 0, 1]], float)
    view = View(camera=Camera.from_fov(120, 120, fov_deg=60), world_from_camera=down)
    floor = quad((-9, 0, 9), (18, 0, 0), (0, 0, -18))
    light = Light(
        center=np.array([-500.0, 500, 0]),
        edge_a=np.zeros(3),
        edge_b=np.zeros(3),
        color=np.ones(3),
        reference=np.inf,
        ambient=np.zeros(3),
        reach=1.0,
    )
    sky = Sky(horizon=np.ones(3), zenith=np.ones(3))
    tracer = Tracer([floor, box((-0.5, 0, -0.5), (0.5, 1, 0.5))], [0, 1])
    photo = tracer.photo(view, light, sky, np.random.default_rng(0), samples=1, light_rays=1)
    # 6 m above the floor a pixel is 5.8 cm: the shadow of the 1 m block ends 26 pixels from the
    # middle. Light is smoothed over 7 pixels.
    middle = photo[60].mean(-1)
    assert middle[60 + 17] < 0.05 * middle[60 - 17]
    assert middle[60 + 40] == pytest.approx(middle[60 - 40], rel=0.05)


def test_scenes_are_the_same_every_time(models):
    first, again = (scenes.make_scene(3, KITCHEN, width=64, height=48, samples=1) for _ in range(2))
    np.testing.assert_array_equal(first.image.pixels, again.image.pixels)
    assert [o.pose for o in first.objects] == [o.pose for o in again.objects]


def test_pose_and_mesh_put_an_object_where_its_mask_is(scene):
    for o in scene.objects:
        placed = transform_points(o.mesh.vertices, pose_matrix(o.pose))
        u, v = scene.camera.project(placed).T
        x0, y0, x1, y1 = o.instance.box
        # A mask holds the pixels whose centres are covered: within half a pixel of the vertices.
        assert (x0 >= u.min() - 0.5, x1 <= u.max() + 0.5) == (True, True)
        assert (y0 >= v.min() - 0.5, y1 <= v.max() + 0.5) == (True, True)


def test_true_points_lie_on_the_true_box_of_their_object(scene):
    for o in scene.objects:
        placed = transform_points(o.mesh.vertices, pose_matrix(o.pose))
        seen = scene.points.points[o.mask]
        # Depths are float32 at 10 m.
        assert (seen >= placed.min(0) - 1e-4).all()
        assert (seen <= placed.max(0) + 1e-4).all()


def test_objects_stand_upright_on_the_floor_or_on_each_other(scene):
    tops = [0.0]
    for o in sorted(scene.objects, key=lambda o: o.label != "cabinet"):
        matrix = scene.world_from_camera @ pose_matrix(o.pose)
        placed = transform_points(o.mesh.vertices, matrix)
        # Poses are kept to float64, meshes to float32.
        assert min(abs(placed[:, 1].min() - top) for top in tops) < 1e-5
        np.testing.assert_allclose(matrix[:3, 1] / o.pose.scale, [0, 1, 0], atol=1e-6)
        tops.append(placed[:, 1].max())


def test_masks_do_not_overlap_and_are_large_enough_to_ask_for(scene):
    assert np.sum([o.mask for o in scene.objects], axis=0).max() == 1
    assert len(scene.objects) >= scenes.MIN_OBJECTS
    assert all(o.mask.mean() >= scenes.MIN_SHARE for o in scene.objects)
    assert all(o.visible >= scenes.MIN_VISIBLE for o in scene.objects)


def test_footprints_keep_apart_whatever_the_plan(models):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        placed, _ = layout.arrange(PLANS[KITCHEN], "test", rng)
        for k, a in enumerate(placed):
            for b in placed[:k]:
                if a.position[1] == b.position[1]:
                    assert not layout.overlap(a.footprint(), b.footprint())


def test_a_saved_scene_comes_back_whole(scene, tmp_path):
    scenes._save(scene, tmp_path / "scene.npz")
    back = scenes._load(tmp_path / "scene.npz")
    assert (back.name, back.camera) == (scene.name, scene.camera)
    np.testing.assert_array_equal(back.image.pixels, scene.image.pixels)
    np.testing.assert_array_equal(back.depth, scene.depth)
    for o, before in zip(back.objects, scene.objects, strict=True):
        np.testing.assert_array_equal(o.mask, before.mask)
        assert (o.label, o.entry, o.pose) == (before.label, before.entry, before.pose)


def test_joining_keeps_every_triangle_with_its_texture():
    red, blue = (np.full((2, 2, 3), c, np.uint8) for c in (10, 200))
    a = quad((0, 0, 0), (1, 0, 0), (0, 1, 0), texture=red)
    b = quad((0, 0, 1), (1, 0, 0), (0, 1, 0))
    c = quad((0, 0, 2), (1, 0, 0), (0, 1, 0), texture=blue)
    both = join([a, b, c])
    assert both.face_texture.tolist() == [0, 0, -1, -1, 1, 1]
    assert both.vertices[both.faces[4]][:, 2].tolist() == [2, 2, 2]
