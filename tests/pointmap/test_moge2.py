"""MoGe-2's points come in metres, with normals, on the rays of their camera."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scenelift.errors import InputError, WeightsError
from scenelift.models.layers.dino import DinoParams
from scenelift.models.moge.checkpoint import load_metric_moge
from scenelift.models.moge.network import MoGe, MoGeParams
from scenelift.options import BackendOptions
from scenelift.pointmap import POINT_MAPPERS
from scenelift.pointmap.metres import ScaledPointMapper, unit_ratio
from scenelift.pointmap.moge import MoGePointMapper
from scenelift.pointmap.moge2 import MetricMoGePointMapper
from scenelift.pointmap.moge_weights import metric_lacks
from scenelift.progress import silent
from scenelift.testing.fake_weights import draw_weights
from scenelift.testing.moge2_sizes import TINY, plant_metric_plane, shapes_of, write_moge2
from scenelift.types import Camera, Image, Instance, PointMap

METRES = 2.5


@pytest.fixture(scope="module")
def weight_file(tmp_path_factory):
    tensors = draw_weights(shapes_of(TINY), seed=0)
    plant_metric_plane(tensors, metres=METRES)
    return write_moge2(tmp_path_factory.mktemp("weights") / "model.pt", TINY, tensors)


@pytest.fixture
def mapper(weight_file) -> MetricMoGePointMapper:
    return MetricMoGePointMapper(load_metric_moge(weight_file))


@pytest.fixture
def photo() -> Image:
    rng = np.random.default_rng(0)
    return Image(pixels=rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))


def test_points_are_metres_on_their_rays_with_normals_towards_the_camera(mapper, photo):
    result = mapper.estimate(photo, (), silent())
    assert result.scale == "metric"
    assert result.metres_per_unit == 1
    assert "guess" in result.scale_note
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    projected = result.camera.project(result.points)
    np.testing.assert_allclose(projected, np.stack([columns, rows], -1), atol=1e-3)
    assert -result.points[24, 32, 2] == pytest.approx(METRES, rel=0.05)
    assert result.points[-1, 32, 1] < 0 < result.points[0, 32, 1]  # y is up
    assert result.normals is not None
    np.testing.assert_allclose(np.linalg.norm(result.normals, axis=-1), 1, atol=1e-5)
    # Planted: ground, whose normal is up and a little towards the camera.
    assert (result.normals[..., 1] > 0.5).all()
    assert (result.normals * result.points).sum(-1).mean() < 0


def test_a_focal_length_that_the_photo_tells_is_the_cameras(mapper, photo):
    result = mapper.estimate(replace(photo, focal_px=50.0), (), silent())
    assert result.camera.fx == pytest.approx(50)


def test_a_photo_without_surfaces_is_refused(weight_file, photo):
    network = load_metric_moge(weight_file)
    with torch.no_grad():
        network.mask_head.output_blocks[-1].bias.fill_(-9)
    with pytest.raises(InputError, match="no surface"):
        MetricMoGePointMapper(network).estimate(photo, (), silent())


def test_without_a_scale_head_lengths_are_relative(tmp_path, photo):
    config = {k: v for k, v in TINY.items() if k != "scale_head"}
    tensors = draw_weights(shapes_of(TINY), seed=0)
    plant_metric_plane(tensors)
    tensors = {k: v for k, v in tensors.items() if not k.startswith("scale_head")}
    network = load_metric_moge(write_moge2(tmp_path / "model.pt", config, tensors))
    result = MetricMoGePointMapper(network).estimate(photo, (), silent())
    assert (result.scale, result.scale_note) == ("relative", "")


def test_sizes_are_found_in_the_folder_of_weights_the_best_first(tmp_path, weight_file):
    options = BackendOptions(weights=tmp_path, device="cpu")
    assert metric_lacks("moge-2", options) == [
        "no weights of MoGe-2: scenelift models download open"
    ]
    assert metric_lacks("moge-2-small", options) == [
        "no weights of MoGe-2: scenelift models download light"
    ]
    with pytest.raises(WeightsError):
        MetricMoGePointMapper.from_options(options)
    versions = []
    for seed, size in enumerate(("vits-normal", "vitb-normal", "vitl-normal")):
        tensors = draw_weights(shapes_of(TINY), seed=seed)
        write_moge2(tmp_path / f"moge-2-{size}" / "model.pt", TINY, tensors)
        assert metric_lacks("moge-2", options) == metric_lacks("moge-2-small", options) == []
        versions.append(MetricMoGePointMapper.from_options(options).version)
    assert len(set(versions)) == 3
    small = MetricMoGePointMapper.from_options(options, name="moge-2-small")
    # On a CPU it looks more coarsely.
    assert small.version == versions[0].replace("48 tokens", "20 tokens")
    assert small.name == "moge-2-small"


class Fixed:
    """A mapper that answers with what it was given."""

    def __init__(self, name: str, points: PointMap) -> None:
        self.name, self.version, self.points = name, "1", points
        self.photos: list[Image] = []

    def estimate(self, image, instances, report):
        self.photos.append(image)
        return self.points


@pytest.fixture
def relative() -> PointMap:
    camera = Camera.from_fov(64, 48, fov_deg=60)
    rows = np.arange(48)[:, None] * np.ones(64)
    return PointMap(points=camera.unproject(3 - rows / 48), camera=camera, source="a")


def metric_of(points: PointMap, factor: float, noise: float = 0.0) -> PointMap:
    rng = np.random.default_rng(1)
    grown = points.points * np.exp(rng.normal(0, noise, (48, 64, 1))) * factor
    return replace(
        points,
        points=grown.astype(np.float32),
        scale="metric",
        scale_note="A guess.",
        normals=np.full_like(points.points, 0.5),
        source="b",
    )


def instance() -> Instance:
    mask = np.zeros((48, 64), bool)
    mask[20:40, 20:40] = True
    return Instance(mask=mask, label="cup", score=1, box=Instance.box_of(mask))


def test_metres_of_one_map_scale_the_other_which_stays_as_it_is(photo, relative):
    first, second = Fixed("moge", relative), Fixed("moge-2", metric_of(relative, 1.7))
    both = ScaledPointMapper(first, second)
    result = both.estimate(photo, [instance()], silent())
    assert result.points is relative.points
    assert result.camera == relative.camera
    assert result.scale == "metric"
    assert result.metres_per_unit == pytest.approx(1.7, rel=1e-5)
    assert result.normals is second.points.normals
    assert "A guess." in result.scale_note
    assert "Points are moge's, normals and metres moge-2's" in result.scale_note
    assert second.photos[0].focal_px == relative.camera.fx
    assert both.version == "1, metres by moge-2 1"


def test_the_ratio_withstands_what_is_wrong_elsewhere_and_noise(relative):
    metric = metric_of(relative, 0.4, noise=0.05)
    wrong = metric.points.copy()
    wrong[:10] *= 30  # the sky
    wrong[22:26, 20:40] = np.nan
    wrong[30:33, 20:40] *= 3  # an edge of the object that sees what is behind it
    ratio = unit_ratio(relative, replace(metric, points=wrong), [instance()])
    assert ratio is not None
    # A fifth of the pixels is wrong to one side: the median moves within the noise, no further.
    assert ratio.factor == pytest.approx(0.4, rel=0.05)
    assert ratio.spread < 0.2


@pytest.mark.parametrize("bias", [0.8, 1.0, 1.15])
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_the_scenes_scale_is_as_wrong_as_the_metric_map_and_no_more(relative, bias, noise):
    true = 2.5  # metres in a unit of the relative map
    ratio = unit_ratio(relative, metric_of(relative, bias * true, noise=noise), [instance()])
    assert ratio is not None
    # The median of n noisy values: 1.25 noise / √n; four times that.
    slack = 5 * noise / ratio.pixels**0.5
    assert ratio.factor / true == pytest.approx(bias, rel=slack)


def test_maps_that_do_not_see_one_scene_are_said(photo, relative):
    strange = metric_of(relative, 1.0, noise=0.6)
    both = ScaledPointMapper(Fixed("moge", relative), Fixed("moge-2", strange))
    assert "do not rely on the metres" in both.estimate(photo, [instance()], silent()).scale_note


def test_without_pixels_in_common_lengths_stay_relative(photo, relative):
    nothing = metric_of(relative, 1.0)
    nothing = replace(nothing, points=np.full_like(nothing.points, np.nan))
    both = ScaledPointMapper(Fixed("moge", relative), Fixed("moge-2", nothing))
    result = both.estimate(photo, [instance()], silent())
    assert result.scale == "relative"
    assert "lengths are relative" in result.notes[-1]


def test_full_takes_metres_where_moge_2_is_there_and_runs_without(tmp_path, weight_file):
    network = MoGe(
        MoGeParams(
            backbone=DinoParams(width=64, blocks=1, side=2, registers=0),
            layers=1,
            projection=4,
            upsampling=(4,),
            residual_blocks=1,
        )
    )
    (tmp_path / "full" / "moge").mkdir(parents=True)
    content = {"model_config": {}, "model": network.state_dict()}
    torch.save(content, tmp_path / "full" / "moge" / "model.pt")
    options = BackendOptions(weights=tmp_path, device="cpu")
    alone = POINT_MAPPERS.load("moge", options)
    assert isinstance(alone, MoGePointMapper)
    (tmp_path / "open" / "moge-2-vitl-normal").mkdir(parents=True)
    (tmp_path / "open" / "moge-2-vitl-normal" / "model.pt").symlink_to(weight_file)
    both = POINT_MAPPERS.load("moge", options)
    assert isinstance(both, ScaledPointMapper)
    assert both.name == "moge"
    assert both.version.startswith(f"{alone.version}, metres by moge-2 ")
