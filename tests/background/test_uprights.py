"""Posts stand upright; what is wide, lies, or runs away keeps its depth."""

import numpy as np
import pytest

from scenelift.background.relief import grid_of
from scenelift.background.uprights import stood_up
from scenelift.types import Camera

CAMERA = Camera.from_fov(240, 180, fov_deg=60)
WALL = 4.0


@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_a_post_whose_depth_wanders_to_the_wall_is_one_upright_plane(tilt):
    rays, _ = grid_of(CAMERA, 2400)
    up = np.array([0, np.cos(np.radians(tilt)), np.sin(np.radians(tilt))])
    facing = np.array([0, up[2], -up[1]])
    post = np.zeros(rays.shape[:2], bool)
    post[10:34, 30:32] = True
    true = 2.0 / (rays @ facing)
    wandering = true * (1 + 0.25 * np.clip((22 - np.arange(len(post))) / 12, 0, 1))[:, None]
    depth = np.where(post, wandering, WALL)
    result = stood_up(depth, rays, np.ones_like(post), up)
    np.testing.assert_allclose(result[post], true[post], rtol=0.01)
    assert (result[~post] == WALL).all()


def test_what_is_wide_or_lies_or_runs_away_stays():
    rays, _ = grid_of(CAMERA, 2400)
    depth = np.full(rays.shape[:2], WALL)
    depth[5:40, 5:15] = np.linspace(2, 3, 35)[:, None]  # a cupboard
    depth[20:22, 25:50] = np.linspace(2, 3, 25)  # a rail
    depth[4:40, 52:54] = np.geomspace(0.8, 3.5, 36)[::-1, None]  # a lane's marking
    result = stood_up(depth, rays, np.ones_like(depth, bool), np.array([0, 1.0, 0]))
    np.testing.assert_array_equal(result, depth)
