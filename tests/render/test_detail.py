"""Splats finer than pixels are drawn by fewer that look the same, whoever computes it."""

import numpy as np
import pytest

from scenelift import threads
from scenelift.render import detail, turntable
from scenelift.render.detail import simplify
from scenelift.render.splats import render_splats
from scenelift.render.turntable import Loop, turntable_cameras
from scenelift.types import Camera, Gaussians

PHOTO = Camera.from_fov(64, 48, fov_deg=50)


def ball(count: int, *, scale: float = 0.006) -> Gaussians:
    """Opaque discs of stripes on a sphere before the camera."""
    rng = np.random.default_rng(3)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    stripes = 0.5 + 0.4 * np.sin(6 * normals[:, :1] + [0, 2, 4])
    return Gaussians(
        means=(normals - np.array([0, 0, 4])).astype(np.float32),
        scales=(scale * np.exp(rng.normal(0, 0.3, (count, 3)))).astype(np.float32),
        rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
        opacities=rng.uniform(0.3, 0.99, count).astype(np.float32),
        sh0=Gaussians.sh0_of(stripes + rng.normal(0, 0.05, (count, 3))),
    )


def circle(splats: Gaussians, size: int = 64):
    return turntable_cameras(splats.means, PHOTO, frames=12, path="circle", size=size)


@pytest.fixture(autouse=True)
def small_scenes_count(monkeypatch):
    """Tests draw fewer splats than those of which all are drawn."""
    monkeypatch.setattr(detail, "FEW", 1)


def test_small_scenes_keep_every_splat(monkeypatch):
    many = ball(20_000)
    assert len(simplify(many, circle(many))) < len(many)
    monkeypatch.setattr(detail, "FEW", 20_001)
    assert simplify(many, circle(many)) is many


def test_few_splats_look_like_many_from_every_side():
    many = ball(120_000)
    views = circle(many)
    few = simplify(many, views)
    assert len(few) < 0.2 * len(many)
    for camera, pose in (views[0], views[3]):
        all_of_them = render_splats(many, camera, pose)
        these = render_splats(few, camera, pose)
        error = (these.color - all_of_them.color)[all_of_them.alpha > 0.1]
        assert -10 * np.log10(np.mean(error**2)) > 31
        assert abs(error.mean()) < 0.003  # neither darker nor fainter
        assert these.alpha.sum() == pytest.approx(all_of_them.alpha.sum(), rel=0.01)


def test_what_is_too_faint_to_see_is_left_out():
    dust = ball(5_000, scale=0.0004)
    views = circle(dust)
    assert render_splats(dust, *views[0]).alpha.max() == 0
    assert len(simplify(dust, views)) == 0


def test_the_nearest_camera_counts():
    many = ball(20_000)
    far, near = circle(many, 24)[0], circle(many, 24)[0]
    near[1][2, 3] -= 2.5
    assert len(simplify(many, [far])) < len(simplify(many, [far, near]))


def test_splats_as_large_as_pixels_are_left_alone():
    coarse = ball(2_000, scale=0.06)
    assert simplify(coarse, circle(coarse)) is coarse
    behind = Camera.from_fov(64, 48, fov_deg=50), np.diag([-1.0, 1, -1, 1])
    fine = ball(20_000)
    assert simplify(fine, [behind]) is fine  # a plane of cameras behind them says nothing
    assert simplify(fine, []) is fine


def test_the_choice_is_the_same_for_any_number_of_threads(monkeypatch):
    many = ball(30_000)
    monkeypatch.setattr(detail, "AT_ONCE", 7_000)
    monkeypatch.setattr(threads, "core_count", lambda: 4)
    by_four = simplify(many, circle(many))
    monkeypatch.setattr(threads, "core_count", lambda: 1)
    by_one = simplify(many, circle(many))
    for name in ("means", "scales", "rotations", "opacities", "sh0"):
        np.testing.assert_array_equal(getattr(by_four, name), getattr(by_one, name))


@pytest.mark.parametrize("name", ["means", "scales", "rotations", "opacities"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_splat_that_is_not_finite_spoils_no_other(name, bad):
    many = ball(20_000)
    views = circle(many)
    before = render_splats(simplify(many, views), *views[0])
    getattr(many, name)[5] = bad
    few = simplify(many, views)
    assert len(few) < 0.5 * len(many)
    after = render_splats(few, *views[0])
    assert abs(after.color.mean() - before.color.mean()) < 0.001


def test_a_loop_draws_one_choice_in_all_its_frames(monkeypatch):
    many, calls = ball(60_000), []

    def renderer(gaussians, device, *, surroundings=None):
        calls.append((gaussians, surroundings))
        return lambda *view, near: render_splats(gaussians, *view, near=near)

    monkeypatch.setattr(turntable, "splat_renderer", renderer)
    dust = ball(5_000, scale=0.0004)
    Loop.of(many, PHOTO, frames=4, size=64, surroundings=dust)
    ((gaussians, surroundings),) = calls
    assert len(gaussians) < 0.5 * len(many)
    assert len(surroundings) == 0
