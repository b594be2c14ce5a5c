"""The way up and the levels of a room come from the points that nobody asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scenelift.geometry.ground import find_ground
from scenelift.types import Camera, Instance, PointMap

CAMERA = Camera.from_fov(200, 150, fov_deg=60)


def looking_down(pitch: float, *levels: tuple[float, slice, slice], wall: float = 4.0) -> PointMap:
    """A room seen from above: a floor 1.5 below, a wall, and levels in parts of the picture."""
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    world_from_camera = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    rays = CAMERA.unproject(np.ones((150, 200))) @ world_from_camera.T
    with np.errstate(divide="ignore"):
        distance = np.minimum(
            np.where(rays[..., 1] < 0, -1.5 / rays[..., 1], np.inf), -wall / rays[..., 2]
        )
    for height, rows, columns in levels:
        distance[rows, columns] = height / rays[rows, columns, 1]
    return PointMap(points=CAMERA.unproject(distance), camera=CAMERA, source="truth")


@pytest.mark.parametrize("pitch", [10, 25, 40])
def test_the_floor_gives_the_way_up(pitch):
    ground = find_ground(looking_down(pitch), [])
    assert ground is not None
    up = [0, np.cos(np.radians(pitch)), np.sin(np.radians(pitch))]
    np.testing.assert_allclose(ground.up, up, atol=1e-3)
    assert ground.levels == pytest.approx((-1.5,), abs=0.01)


def test_a_table_top_is_a_second_level():
    ground = find_ground(looking_down(25, (-0.8, slice(80, 130), slice(60, 150))), [])
    assert ground is not None
    assert ground.levels == pytest.approx((-1.5, -0.8), abs=0.01)
    assert set(np.unique(ground.level)) == {0, 1}


def test_noise_and_a_bias_do_not_tip_it_over():
    points = looking_down(25)
    rng = np.random.default_rng(0)
    depth = -points.points[..., 2] * np.exp(0.004 * rng.normal(size=(150, 200)))
    depth *= 1 + 0.02 * np.sin(np.arange(200) / 40)
    noisy = PointMap(points=CAMERA.unproject(depth), camera=CAMERA, source="noise")
    ground = find_ground(noisy, [])
    assert ground is not None
    # A bias of 2 % of the distance over a fifth of the picture tips a floor by about 2°.
    assert ground.up @ [0, np.cos(np.radians(25)), np.sin(np.radians(25))] > np.cos(np.radians(3))


def test_a_wall_is_no_ground():
    depth = np.full((150, 200), 3.0)
    points = PointMap(points=CAMERA.unproject(depth), camera=CAMERA, source="truth")
    assert find_ground(points, []) is None


def test_what_was_asked_for_is_left_out():
    points = looking_down(25)
    everything = np.ones((150, 200), bool)
    instance = Instance(mask=everything, label="all", score=1.0, box=Instance.box_of(everything))
    assert find_ground(points, [instance]) is None


def test_a_map_without_points_has_no_ground():
    points = PointMap(
        points=np.full((150, 200, 3), np.nan, np.float32), camera=CAMERA, source="nothing"
    )
    assert find_ground(points, []) is None


def test_given_normals_find_the_floor_in_points_too_rough_for_their_own():
    points = looking_down(25)
    up = np.array([0, np.cos(np.radians(25)), np.sin(np.radians(25))])
    rng = np.random.default_rng(0)
    rough = -points.points[..., 2] * np.exp(0.02 * rng.normal(size=(150, 200)))
    noisy = PointMap(points=CAMERA.unproject(rough), camera=CAMERA, source="noise")
    on_floor = points.points @ up < -1.49
    seen = np.where(on_floor[..., None], up, [0, 0, 1]) + 0.05 * rng.normal(size=(150, 200, 3))
    seen /= np.linalg.norm(seen, axis=-1, keepdims=True)
    helped = find_ground(replace(noisy, normals=seen.astype(np.float32)), [])
    alone = find_ground(noisy, [])
    assert helped is not None
    assert helped.up @ up > np.cos(np.radians(1.5))
    assert helped.levels[0] == pytest.approx(-1.5, abs=0.03)
    # The same points without them: nothing, or a floor that fewer points agree with.
    assert alone is None or alone.share < 0.7 * helped.share


def test_where_normals_are_missing_the_points_tell():
    points = looking_down(25)
    nothing = np.full_like(points.points, np.nan)
    ground, plain = find_ground(replace(points, normals=nothing), []), find_ground(points, [])
    assert ground is not None
    assert plain is not None
    assert ground.levels == plain.levels
    assert (ground.up == plain.up).all()
