"""MoGe's points arrive in the package's camera frame, on the rays of the camera they come with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scenelift.errors import Cancelled, InputError, WeightsError
from scenelift.models.layers.dino import DinoParams
from scenelift.models.moge.checkpoint import MoGeSettings
from scenelift.models.moge.network import MoGe, MoGeParams
from scenelift.models.moge.parts import view_plane
from scenelift.options import BackendOptions
from scenelift.pointmap.moge import MoGePointMapper
from scenelift.pointmap.moge_weights import lacks
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.types import Image

TINY = MoGeParams(
    backbone=DinoParams(width=64, blocks=1, side=2, registers=0),
    layers=1,
    projection=4,
    upsampling=(4,),
    hidden_ratio=1,
    residual_blocks=1,
)
FOCAL, SHIFT = 0.9, 0.6


class WavySurface(MoGe):
    """A network that sees a made-up surface, on the left three quarters of the photo."""

    def forward(self, image, tokens):
        height, width = image.shape[-2:]
        plane = view_plane(height, width, width / height, image)
        z = 2 + plane[0] + 0.3 * torch.sin(5 * plane[1])
        points = torch.stack([plane[0] * z / FOCAL, plane[1] * z / FOCAL, z - SHIFT], -1)
        mask = torch.zeros(height, width)
        mask[:, : 3 * width // 4] = 1
        return points[None], mask[None]


@pytest.fixture
def photo() -> Image:
    rng = np.random.default_rng(0)
    return Image(pixels=rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))


def test_points_lie_on_the_rays_of_their_pixels(photo):
    result = MoGePointMapper(WavySurface(TINY), MoGeSettings()).estimate(photo, (), silent())

    valid = np.asarray(np.isfinite(result.points).all(axis=-1))
    assert valid[:, :48].all()
    assert np.isnan(result.points[:, 48:]).all()
    # In front of a camera that looks along −z, with x right and y up.
    assert (result.points[valid][:, 2] < 0).all()
    assert result.points[0, 0, 0] < 0 < result.points[0, 0, 1]
    columns, rows = np.meshgrid(np.arange(48) + 0.5, np.arange(48) + 0.5)
    expected = np.stack([columns, rows], -1)
    # Half a pixel: the fit stops once a step gains less than a thousandth.
    np.testing.assert_allclose(result.camera.project(result.points[:, :48]), expected, atol=0.5)
    assert result.camera.fx == result.camera.fy == pytest.approx(FOCAL * 40, rel=1e-2)
    assert (result.camera.cx, result.camera.cy) == (32, 24)
    assert result.scale == "relative"


def test_a_focal_length_that_the_photo_tells_is_the_cameras(photo):
    told = Image(pixels=photo.pixels, focal_px=50.0)
    result = MoGePointMapper(WavySurface(TINY), MoGeSettings()).estimate(told, (), silent())
    assert result.camera.fx == pytest.approx(50)
    columns, rows = np.meshgrid(np.arange(48) + 0.5, np.arange(48) + 0.5)
    projected = result.camera.project(result.points[:, :48])
    # float32 points of a photo 64 pixels wide.
    np.testing.assert_allclose(projected, np.stack([columns, rows], -1), atol=1e-3)


def moge(**options):
    return MoGePointMapper(WavySurface(TINY), MoGeSettings(), **options)


def test_the_networks_own_points_stay_for_conditioning(photo):
    """As the published pipeline of SAM 3D has them, which knows of no EXIF."""
    told = replace(photo, focal_px=50.0)
    published = moge().estimate(photo, (), silent())
    result = moge().estimate(told, (), silent())
    np.testing.assert_array_equal(result.network_points, published.points)
    assert result.network_camera == published.camera
    assert published.network_points is None


def test_the_photos_focal_length_may_serve_everything_or_nothing(photo):
    told = replace(photo, focal_px=50.0)
    everything = moge(exif_focal="everything").estimate(told, (), silent())
    assert everything.camera.fx == pytest.approx(50)
    assert everything.network_points is None
    nothing = moge(exif_focal="nothing").estimate(told, (), silent())
    assert nothing.camera == moge().estimate(photo, (), silent()).camera
    assert len({moge(exif_focal=use).version for use in ("camera", "everything", "nothing")}) == 3


class Nothing(MoGe):
    """A network that sees no surface."""

    def forward(self, image, tokens):
        points, mask = torch.ones(1, *image.shape[-2:], 3), torch.zeros(1, *image.shape[-2:])
        return points, mask


def test_a_photo_without_surfaces_is_refused(photo):
    with pytest.raises(InputError, match="no surface"):
        MoGePointMapper(Nothing(TINY), MoGeSettings()).estimate(photo, (), silent())


def test_a_stopped_run_does_not_start(photo):
    token = CancelToken()
    token.cancel()
    mapper = MoGePointMapper(Nothing(TINY), MoGeSettings())
    with pytest.raises(Cancelled):
        mapper.estimate(photo, (), Reporter(lambda event: None, token=token))


def test_the_version_tells_weights_apart():
    versions = set()
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        versions.add(MoGePointMapper(MoGe(TINY), MoGeSettings()).version)
    assert len(versions) == 2


def test_weights_are_found_in_the_folder_of_weights(tmp_path, photo):
    options = BackendOptions(weights=tmp_path, device="cpu")
    assert "scenelift models download full" in lacks(options)[0]
    with pytest.raises(WeightsError):
        MoGePointMapper.from_options(options)
    (tmp_path / "moge").mkdir()
    config = {"num_tokens_range": [4, 8]}
    torch.save(
        {"model_config": config, "model": MoGe(TINY).state_dict()}, tmp_path / "moge/model.pt"
    )
    assert lacks(options) == []
    mapper = MoGePointMapper.from_options(options)
    assert mapper.settings.tokens == 8
    with torch.inference_mode():
        points, mask = mapper.network(torch.rand(1, 3, 48, 64), mapper.settings.tokens)
    assert points.shape == (1, 48, 64, 3)
    assert mask.shape == (1, 48, 64)
