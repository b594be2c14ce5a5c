"""Splats are drawn as the reference draws them, where the camera says, and whatever comes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift import jit
from scenelift.geometry.transforms import compose_transform
from scenelift.render.splats import front_to_back, render_splats
from scenelift.render.splats_reference import render_splats_reference
from scenelift.types import Camera, Gaussians

OFF_CENTRE = Camera(fx=60, fy=55, cx=30, cy=20.5, width=61, height=43)


def some_splats(count: int, *, seed: int = 0, scale: float = 0.1) -> Gaussians:
    rng = np.random.default_rng(seed)
    rotations = rng.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    several = np.where(np.arange(count) % 7, 1, 4)  # what some of them stand for
    return Gaussians(
        means=(rng.normal(size=(count, 3)) * 0.6 + [0, 0, -3]).astype(np.float32),
        scales=(scale * np.exp(rng.normal(size=(count, 3)))).astype(np.float32),
        rotations=rotations.astype(np.float32),
        opacities=(rng.uniform(0, 1, count) * several).astype(np.float32),
        sh0=Gaussians.sh0_of(rng.uniform(0, 1, (count, 3))),
    )


def ball(
    centre: tuple[float, float, float],
    *,
    scale: float = 0.02,
    rgb: tuple[float, float, float] = (1, 0, 0),
    opacity: float = 1.0,
) -> Gaussians:
    return Gaussians(
        means=np.array([centre], np.float32),
        scales=np.full((1, 3), scale, np.float32),
        rotations=np.array([[1, 0, 0, 0]], np.float32),
        opacities=np.array([opacity], np.float32),
        sh0=Gaussians.sh0_of(np.array([rgb])),
    )


def joined(*parts: Gaussians) -> Gaussians:
    names = ("means", "scales", "rotations", "opacities", "sh0")
    return Gaussians(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


def changed(gaussians: Gaussians, **arrays: np.ndarray) -> Gaussians:
    names = ("means", "scales", "rotations", "opacities", "sh0")
    return Gaussians(**{n: getattr(gaussians, n) for n in names} | arrays)


@pytest.mark.parametrize("spread", [0, 1e-6, 0.1, 1, 15])
def test_depths_are_sorted_as_they_came_where_they_are_equal(spread):
    rng = np.random.default_rng(1)
    depth = np.exp(spread * rng.normal(size=5000).clip(-5, 5)).astype(np.float32)
    depth[1::3] = depth[::3][: len(depth[1::3])]
    depth[rng.integers(0, 5000, 50)] = np.inf
    expected = np.argsort(depth, kind="stable")
    np.testing.assert_array_equal(front_to_back(depth), expected[np.isfinite(depth[expected])])
    assert len(front_to_back(np.full(3, np.inf, np.float32))) == 0


@pytest.mark.parametrize("scale", [0.003, 0.1, 1.0])
def test_draws_what_the_reference_draws(scale):
    splats = some_splats(150, scale=scale)
    pose = compose_transform(1, [0.96, 0.1, -0.2, 0.15], [0.3, -0.2, 0.4])
    actual = render_splats(splats, OFF_CENTRE, pose, (0.2, 0.5, 0.9))
    expected = render_splats_reference(splats, OFF_CENTRE, pose, (0.2, 0.5, 0.9))
    # Rounding is 1e-6. A splat that is just bright enough to be drawn in one and not in the other
    # changes a pixel by 1/255 of what lies behind; such ties must stay rare.
    for name in ("color", "alpha"):
        difference = np.abs(getattr(actual, name) - getattr(expected, name))
        assert difference.max() < 1.1 / 255
        assert (difference > 1e-5).mean() < 1e-3
    seen = expected.alpha > 1 / 255
    np.testing.assert_array_equal(np.isfinite(actual.depth), np.isfinite(expected.depth))
    # A tie in a faint pixel moves its mean depth by more than rounding, hence the median.
    assert np.median(np.abs(actual.depth[seen] - expected.depth[seen])) < 1e-4


@settings(deadline=None, max_examples=40)
@given(
    x=st.floats(-0.9, 0.9), y=st.floats(-0.6, 0.6), z=st.floats(-4, -2), turn=st.floats(-0.3, 0.3)
)
def test_lands_where_the_camera_projects_it(x, y, z, turn):
    pose = compose_transform(1, [1, 0.1, turn, 0], [0.1, 0.05, 0.2])
    centre = pose @ [x, y, z, 1]
    rendering = render_splats(ball(tuple(centre[:3])), OFF_CENTRE, pose)
    v, u = np.mgrid[: OFF_CENTRE.height, : OFF_CENTRE.width] + 0.5
    mean = [np.average(c, weights=rendering.alpha) for c in (u, v)]
    expected = OFF_CENTRE.project(np.array([x, y, z]))
    inside = (expected > 4).all() and (expected < [57, 39]).all()
    if inside:  # else the picture's edge cuts the splat, and its mean is elsewhere
        # The cut at 1/255 makes a splat's outline, and so its mean, jump by a part of a pixel.
        np.testing.assert_allclose(mean, expected, atol=0.15)
        row, column = int(expected[1]), int(expected[0])
        # Perspective makes the mean depth of a ball its centre's.
        assert rendering.depth[row, column] == pytest.approx(-z, rel=1e-5)


def test_nearer_splats_hide_farther_ones_whatever_their_order():
    red, green = ball((0, 0, -2), scale=0.3), ball((0, 0, -3), scale=0.3, rgb=(0, 1, 0))
    camera = Camera.from_fov(33, 33, fov_deg=60)
    first = render_splats(joined(red, green), camera)
    second = render_splats(joined(green, red), camera)
    np.testing.assert_array_equal(first.color, second.color)
    assert first.color[16, 16, 0] > 0.95 > 0.05 > first.color[16, 16, 1]


def test_small_splats_fade_instead_of_growing():
    """A splat a tenth as wide covers a hundredth of the area, far below the size of a pixel too."""
    camera = Camera.from_fov(65, 65, fov_deg=60)
    areas = [
        render_splats(ball((0, 0, -2), scale=s), camera).alpha.sum() for s in (0.02, 0.01, 0.005)
    ]
    # The cut at 1/255 takes more from a faint splat, so the ratio is a little above four.
    assert 3.5 < areas[0] / areas[1] < 5
    assert 3.5 < areas[1] / areas[2] < 5


def test_the_same_splats_give_the_same_bytes():
    splats = some_splats(500)
    once, again = render_splats(splats, OFF_CENTRE), render_splats(splats, OFF_CENTRE)
    assert once.color.tobytes() == again.color.tobytes()
    assert once.depth.tobytes() == again.depth.tobytes()


def test_one_thread_draws_the_same_bytes(monkeypatch):
    splats = some_splats(500)
    expected = render_splats(splats, OFF_CENTRE).color.tobytes()
    for threads in (1, 5):
        monkeypatch.setattr(jit, "thread_count", lambda threads=threads: threads)
        assert render_splats(splats, OFF_CENTRE).color.tobytes() == expected


def test_no_splat_leaves_the_background():
    rendering = render_splats(some_splats(0), OFF_CENTRE, background=(0.25, 0.5, 0.75))
    assert (rendering.color == np.array([0.25, 0.5, 0.75], np.float32)).all()
    assert (rendering.alpha == 0).all()
    assert np.isposinf(rendering.depth).all()


def test_a_picture_of_one_pixel():
    camera = Camera(fx=1, fy=1, cx=0.5, cy=0.5, width=1, height=1)
    rendering = render_splats(ball((0, 0, -2), scale=2.0), camera)
    assert rendering.color.shape == (1, 1, 3)
    assert rendering.alpha[0, 0] > 0.5


def test_splats_behind_the_camera_are_not_drawn():
    behind = joined(ball((0, 0, 2), scale=0.5), ball((0, 0, -0.005), scale=0.5))
    assert (render_splats(behind, OFF_CENTRE).alpha == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("name", ["means", "scales", "rotations", "opacities"])
def test_impossible_splats_leave_the_others_alone(name, bad):
    good = some_splats(20)
    array = getattr(good, name).copy()
    array[7] = bad
    rendering = render_splats(changed(good, **{name: array}), OFF_CENTRE)
    for values in (rendering.color, rendering.alpha):
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1
    assert not np.isnan(rendering.depth).any()


def test_flat_needle_and_point_splats_are_finite():
    flat = some_splats(30)
    scales = flat.scales.copy()
    scales[:10, 0], scales[10:20, :2], scales[20:] = 0, 0, 0
    rendering = render_splats(changed(flat, scales=scales), OFF_CENTRE)
    assert np.isfinite(rendering.color).all()
    assert rendering.alpha.max() > 0.1  # discs are still seen


def test_read_only_and_strided_arrays_are_accepted():
    splats = some_splats(20)
    expected = render_splats(splats, OFF_CENTRE).color
    wide = np.repeat(splats.means, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    np.testing.assert_array_equal(
        render_splats(changed(splats, means=wide), OFF_CENTRE).color, expected
    )
