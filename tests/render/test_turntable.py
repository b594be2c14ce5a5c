"""The loop starts at the photo's side, keeps everything in sight and closes without a jump."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import Cancelled
from scenelift.geometry.transforms import (
    compose_transform,
    concatenate_gaussians,
    transform_points,
)
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.render.turntable import Loop, turntable_cameras
from scenelift.types import Camera, Gaussians

PHOTO = Camera.from_fov(800, 600, fov_deg=60)


def cloud(seed: int = 0, count: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, 3)) * [1.5, 0.4, 0.8] + [0.5, -0.3, -4]


def red_cloud() -> Gaussians:
    means = cloud().astype(np.float32)
    n = len(means)
    return Gaussians(
        means=means,
        scales=np.full((n, 3), 0.05, np.float32),
        rotations=np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        opacities=np.full(n, 0.9, np.float32),
        sh0=Gaussians.sh0_of(np.tile([1.0, 0.0, 0.0], (n, 1))),
    )


def azimuths(views, points) -> np.ndarray:
    centre = (points.min(0) + points.max(0)) / 2
    offset = np.array([pose[:3, 3] - centre for _, pose in views])
    return np.degrees(np.unwrap(np.arctan2(offset[:, 0], offset[:, 2])))


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 99),
    yaw=st.floats(-3, 3),
    pitch=st.floats(-1.2, 1.2),
    path=st.sampled_from(["swing", "circle"]),
    portrait=st.booleans(),
)
def test_everything_is_in_sight_of_every_upright_camera(seed, yaw, pitch, path, portrait):
    turn = compose_transform(1, [np.cos(yaw / 2), 0, np.sin(yaw / 2), 0], [0, 0, 0])
    pose = turn @ compose_transform(1, [np.cos(pitch / 2), np.sin(pitch / 2), 0, 0], [0, 0, 0])
    points = transform_points(cloud(seed), pose)
    photo = Camera.from_fov(600, 800, fov_deg=60) if portrait else PHOTO
    views = turntable_cameras(points, photo, pose, frames=12, path=path, size=100)
    used = 0.0
    for camera, scene_from_camera in views:
        assert max(camera.width, camera.height) == 100
        rotation = scene_from_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) > 0
        assert rotation[1, 0] == 0  # the horizon is level
        assert rotation[1, 1] > 0
        local = transform_points(points, np.linalg.inv(scene_from_camera))
        assert (local[:, 2] < 0).all()
        half = np.array([camera.width, camera.height]) / 2
        reach = np.abs(camera.project(local) - half) / half
        assert reach.max() < 0.95
        used = max(used, reach.max())
    assert used > 0.93  # and the picture is not larger than it needs to be


def test_swings_to_both_sides_of_the_photo_and_back():
    views = turntable_cameras(cloud(), PHOTO, frames=36, swing_deg=40)
    angles = azimuths(views, cloud())
    # Seen from the scene's centre at about (0.5, −0.3, −4), the photo's camera is at −7°.
    assert angles[0] == pytest.approx(-7, abs=1)
    assert angles.max() - angles[0] == pytest.approx(40, abs=1e-6)
    assert angles[0] - angles.min() == pytest.approx(40, abs=1e-6)
    steps = np.abs(np.diff([*angles, angles[0]]))
    assert steps.max() < 40 * 2 * np.pi / 36 + 1e-6  # no jump, not even at the seam


def test_full_circle_in_equal_steps():
    steps = np.diff(azimuths(turntable_cameras(cloud(), PHOTO, frames=8, path="circle"), cloud()))
    np.testing.assert_allclose(steps, 45)


def test_a_flight_rises_comes_close_and_returns():
    points = cloud()
    views = turntable_cameras(points, PHOTO, frames=24, path="flight")
    circle = turntable_cameras(points, PHOTO, frames=24, path="circle")
    centre = (points.min(0) + points.max(0)) / 2
    offsets = np.array([pose[:3, 3] - centre for _, pose in views])
    distances = np.linalg.norm(offsets, axis=1)
    assert np.degrees(np.arcsin(offsets[:, 1] / distances)).argmax() == 12
    assert distances.min() < 0.8 * distances.max()
    np.testing.assert_allclose(azimuths(views, points), azimuths(circle, points))
    # Smooth, at the seam too: no step is much longer than the others.
    steps = np.linalg.norm(np.diff([*offsets, offsets[0]], axis=0), axis=1)
    assert steps.max() < 2.5 * np.median(steps)


def test_one_point_can_be_looked_at_and_none_cannot():
    ((camera, pose),) = turntable_cameras(np.array([[0, 0, -2.0]]), PHOTO, frames=1)
    local = transform_points([[0, 0, -2.0]], np.linalg.inv(pose))
    np.testing.assert_allclose(camera.project(local)[0], [camera.width / 2, camera.height / 2])
    with pytest.raises(ValueError, match="at least one point"):
        turntable_cameras(np.zeros((0, 3)), PHOTO)
    with pytest.raises(ValueError, match="at least one splat"):
        Loop.of(concatenate_gaussians([]), PHOTO)


def test_draws_the_scene_in_every_frame():
    loop = Loop.of(red_cloud(), PHOTO, frames=8, size=64).pictures(silent())
    assert len(loop) == 8
    for frame in loop:
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        red = (frame[..., 0] > 200) & (frame[..., 1] < 100)
        assert red.mean() > 0.05
        assert (frame[0] == 255).all()


def test_can_be_stopped():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        Loop.of(red_cloud(), PHOTO, size=32).pictures(Reporter(lambda e: None, token=token))
