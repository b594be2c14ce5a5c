"""Torch draws the splats that the numba renderer draws, with the same contract."""

import os
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.geometry.transforms import compose_transform
from scenelift.render.splats import render_splats
from scenelift.render.splats_reference import render_splats_reference
from scenelift.types import Camera, Gaussians

torch = pytest.importorskip("torch")

from scenelift.render.splats_torch import (  # noqa: E402
    SplatTensors,
    blend_tiles,
    draw_splats,
    list_pairs,
    project,
)

KERNEL_RUNS = find_spec("triton") is not None and (
    torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"
)

OFF_CENTRE = Camera(fx=60, fy=55, cx=30, cy=20.5, width=61, height=43)
POSE = compose_transform(1, [0.96, 0.1, -0.2, 0.15], [0.3, -0.2, 0.4])


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


def draw(splats: Gaussians, *arguments, device: str = "cpu", **options):
    tensors = SplatTensors.from_gaussians(splats, torch.device(device))
    return draw_splats(tensors, *arguments, **options).to_numpy()


def assert_same_picture(actual, expected):
    # Single precision against double: 1e-5 is rounding. A splat that is just bright enough to be
    # drawn in one and not in the other, or two at the same depth to the last bit, change a pixel
    # by a part of what lies behind; such ties must stay rare.
    for name in ("color", "alpha"):
        difference = np.abs(getattr(actual, name) - getattr(expected, name))
        assert difference.max() < 2 / 255
        assert (difference > 1e-4).mean() < 3e-3
    seen = expected.alpha > 1 / 255
    assert np.isfinite(actual.depth[seen]).all()
    assert np.median(np.abs(actual.depth[seen] - expected.depth[seen])) < 1e-4


@pytest.mark.parametrize("scale", [0.003, 0.1, 1.0])
def test_draws_what_the_reference_draws(scale):
    splats = some_splats(150, scale=scale)
    arguments = (OFF_CENTRE, POSE, (0.2, 0.5, 0.9))
    assert_same_picture(draw(splats, *arguments), render_splats_reference(splats, *arguments))


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 999),
    count=st.sampled_from([0, 1, 40, 3000]),
    width=st.integers(1, 90),
    height=st.integers(1, 70),
)
def test_draws_what_numba_draws_whatever_the_size(seed, count, width, height):
    splats = some_splats(count, seed=seed, scale=0.05)
    camera = OFF_CENTRE.resized(width, height)
    actual, expected = draw(splats, camera, POSE), render_splats(splats, camera, POSE)
    assert actual.color.shape == (height, width, 3)
    for name in ("color", "alpha"):
        difference = np.abs(getattr(actual, name) - getattr(expected, name))
        # Ties, as above: tiny pictures have few pixels to be rare among.
        assert difference.max() < 4 / 255
        assert np.median(difference) < 1e-5


def test_many_opaque_layers_end_where_nothing_is_seen_through():
    """More layers than are blended at once, and a stop in the middle of them."""
    splats = some_splats(4000, scale=0.3)
    splats.opacities[:] = 0.9
    camera = Camera.from_fov(40, 30, fov_deg=30)
    assert_same_picture(draw(splats, camera), render_splats(splats, camera))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("name", ["means", "scales", "rotations", "opacities"])
def test_impossible_splats_leave_the_others_alone(name, bad):
    splats = some_splats(20)
    getattr(splats, name)[7] = bad
    rendering = draw(splats, OFF_CENTRE)
    for values in (rendering.color, rendering.alpha):
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1
    assert not np.isnan(rendering.depth).any()


def test_flat_and_needle_splats_are_as_bright_as_they_are():
    flat = some_splats(60, scale=0.4)
    flat.scales[:20, 0], flat.scales[20:40, :2] = 0, 0
    assert_same_picture(draw(flat, OFF_CENTRE), render_splats(flat, OFF_CENTRE))


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]
)
@pytest.mark.parametrize("pairs", [1, 100, 2000])
def test_a_picture_does_not_depend_on_what_is_listed_together(monkeypatch, pairs, device):
    splats = some_splats(300, scale=0.3)
    whole = draw(splats, OFF_CENTRE, POSE, device=device)
    assert_same_picture(whole, draw(splats, OFF_CENTRE, POSE))
    monkeypatch.setattr("scenelift.render.splats_torch.PAIRS_AT_ONCE", pairs)
    in_bands = draw(splats, OFF_CENTRE, POSE, device=device)
    np.testing.assert_array_equal(in_bands.color, whole.color)
    np.testing.assert_array_equal(in_bands.depth, whole.depth)
    monkeypatch.setattr("scenelift.render.splats_torch.SPLATS_AT_ONCE", 70)
    in_parts = draw(splats, OFF_CENTRE, POSE, device=device)
    np.testing.assert_allclose(in_parts.color, whole.color, atol=1e-5)


def test_bands_hold_few_splats_and_no_part_is_projected_in_vain(monkeypatch):
    from scenelift.render import splats_torch

    splats, tall = some_splats(400, scale=0.02), Camera.from_fov(32, 192, fov_deg=60)
    whole = draw(splats, tall, POSE)
    inner, sort = splats_torch.project, splats_torch._front_to_back
    projected, sizes = [], []

    def project(part, *rest):
        projected.append(len(part.means))
        return inner(part, *rest)

    def front_to_back(parts):
        screen = sort(parts)
        sizes.append(len(screen.table))
        return screen

    monkeypatch.setattr(splats_torch, "project", project)
    monkeypatch.setattr(splats_torch, "_front_to_back", front_to_back)
    draw(splats, tall, POSE)
    (visible,) = sizes
    assert sum(projected) == 400
    projected.clear()
    sizes.clear()
    monkeypatch.setattr(splats_torch, "SORTED_AT_ONCE", visible // 3)
    monkeypatch.setattr(splats_torch, "SPLATS_AT_ONCE", 100)
    in_bands = draw(splats, tall, POSE)
    np.testing.assert_allclose(in_bands.color, whole.color, atol=1e-5)
    assert len(sizes) >= 3
    assert max(sizes) <= visible // 3
    # Once to count what every row has, and once for every band that a part of them touches.
    assert 400 < sum(projected) < 400 * (1 + len(sizes))
    assert sum(sizes) < 1.5 * visible  # few are in two bands


def test_a_picture_of_few_splats_asks_its_device_for_no_room(monkeypatch):
    from scenelift.render import splats_torch

    monkeypatch.setattr(splats_torch, "room_on", lambda device: pytest.fail("that takes long"))
    splats = some_splats(50)
    assert_same_picture(draw(splats, OFF_CENTRE), render_splats(splats, OFF_CENTRE))


def test_pixels_are_the_picture_in_bytes():
    tensors = SplatTensors.from_gaussians(some_splats(30), torch.device("cpu"))
    rendering = draw_splats(tensors, OFF_CENTRE)
    np.testing.assert_array_equal(rendering.pixels(), rendering.to_numpy().pixels())


@pytest.mark.skipif(not KERNEL_RUNS, reason="needs a CUDA device, or TRITON_INTERPRET=1")
def test_the_kernel_blends_as_plain_tensors_do():
    from scenelift.render.splats_triton import blend_tiles_triton

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    splats = SplatTensors.from_gaussians(some_splats(400, scale=0.2), device)
    pairs, starts = list_pairs(splats, OFF_CENTRE, POSE)
    size = (OFF_CENTRE.width, OFF_CENTRE.height)
    actual = blend_tiles_triton(pairs, starts, *size)
    # The same sums in another order; a tie at a threshold changes a pixel by 1/255.
    difference = (actual - blend_tiles(pairs, starts, *size)).abs()
    assert difference[..., [0, 1, 2, 4]].max() < 2 / 255
    assert (difference > 1e-4).float().mean() < 3e-3


@pytest.mark.skipif(not KERNEL_RUNS, reason="needs a CUDA device, or TRITON_INTERPRET=1")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, which interprets it
@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 1e38])
def test_the_kernel_projects_as_plain_tensors_do(bad):
    from scenelift.render.project_triton import project_triton

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gaussians = some_splats(1100, scale=0.2)
    gaussians.scales[:50, 0], gaussians.scales[50:100, :2] = 0, 0
    for k, name in enumerate(("means", "scales", "rotations", "opacities")):
        getattr(gaussians, name)[200 + k] = bad
    splats = SplatTensors.from_gaussians(gaussians, device)
    view = torch.eye(4, device=device)
    view[2, 2] = -1
    table, reach, visible = project(splats, OFF_CENTRE, view, 0.01)
    own_table, own_reach, own_visible = project_triton(splats, OFF_CENTRE, view, 0.01)
    assert 100 < int(visible.sum()) < 1100
    assert int((visible != own_visible).sum()) <= 2  # at a threshold
    both = visible & own_visible
    torch.testing.assert_close(own_table[both], table[both], rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(own_reach[both], reach[both], rtol=2e-3, atol=2e-3)
