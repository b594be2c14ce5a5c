"""TRELLIS makes an object of its picture on black, and the photo says where it stands."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from scenelift.compose.fit import FittedPose
from scenelift.errors import Cancelled, DeviceMemoryError, WeightsError
from scenelift.models.slat.model import LiftedShape
from scenelift.models.trellis.preprocess import crop_on_black
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.progress import CancelToken, Reporter, silent
from scenelift.reconstruct import (
    RECONSTRUCTORS,
    SeveralSeedsReconstructor,
    SeveralViewsReconstructor,
)
from scenelift.reconstruct.trellis import TrellisReconstructor
from scenelift.testing.fakes import ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.types import (
    Image,
    Instance,
    ObjectView,
    PointMap,
    Pose,
    Prompt,
    Reconstruction,
    View,
)

FAST: dict[str, Any] = {"device": "cpu", "structure_steps": 3, "latent_steps": 2}


@pytest.fixture(scope="module")
def reconstructor(tiny_open) -> TrellisReconstructor:
    return TrellisReconstructor.load(ReconstructionOptions(weights=tiny_open, **FAST))


def place_anywhere(shape, view, *, up, seed, report) -> FittedPose:
    """In place of the search, which has tests of its own."""
    report.update(1.0)
    return FittedPose(pose=Pose(translation=(0, 0, -2)), confidence=0.1, quality={})


@pytest.fixture(scope="module")
def quick(reconstructor) -> TrellisReconstructor:
    """The same model, with no search for the pose."""
    return TrellisReconstructor(reconstructor.model, version="quick", place=place_anywhere)


@pytest.fixture(scope="module")
def image() -> Image:
    return disc_photo()


@pytest.fixture(scope="module")
def points(image) -> PointMap:
    return PlanePointMapper().estimate(image, (), silent())


@pytest.fixture(scope="module")
def disc(image) -> Instance:
    return ColorSegmenter().segment(image, Prompt(phrases=("red",)), silent()).instances[0]


def run(reconstructor, image, disc, points, *, further=(), seed=3, report=None) -> Reconstruction:
    view = ObjectView(image=image, instance=disc, points=points, further=tuple(further))
    return reconstructor.reconstruct(view, seed=seed, report=report or silent())


@pytest.fixture(scope="module")
def result(reconstructor, image, disc, points) -> Reconstruction:
    return run(reconstructor, image, disc, points)


def lifted(reconstructor, pictures, **options):
    return reconstructor.model.lift(pictures, seed=3, **options)


@pytest.fixture(scope="module")
def picture(image, disc) -> np.ndarray:
    alpha = np.where(disc.mask, 255, 0).astype(np.uint8)
    return crop_on_black(image.pixels, alpha, size=56)


@pytest.fixture(scope="module")
def once(reconstructor, picture) -> LiftedShape:
    return lifted(reconstructor, [picture])


def test_an_object_has_splats_a_mesh_and_a_pose_with_its_confidence(result):
    splats, mesh = result.shape.gaussians, result.shape.mesh
    assert len(splats) == 32 * result.quality["voxels"]
    assert abs(splats.means).max() <= 0.5
    assert abs(mesh.vertices).max() <= 0.5
    assert 0 <= result.quality["pose_confidence"] <= 1
    assert result.pose.translation[2] < 0  # in front of the camera
    assert result.quality["hidden_outline"] == 0


def test_no_voxel_is_left_out(reconstructor, picture):
    """Unlike SAM 3D Objects, TRELLIS keeps the interior too."""
    settings = reconstructor.model.models.settings
    assert not settings.prune_interior
    assert settings.most_voxels is None


def test_a_seed_gives_the_same_shape_and_another_gives_another(reconstructor, picture, once):
    again = lifted(reconstructor, [picture])
    other = reconstructor.model.lift([picture], seed=4)
    np.testing.assert_allclose(again.gaussians.means, once.gaussians.means, atol=1e-4)
    assert other.gaussians.means.shape != once.gaussians.means.shape or not np.allclose(
        other.gaussians.means, once.gaussians.means, atol=1e-3
    )


def test_seeds_together_give_what_each_gives_alone(quick, image, disc, points, result):
    assert isinstance(quick, SeveralSeedsReconstructor)
    view = ObjectView(image=image, instance=disc, points=points)
    steps = quick.start_samples(view, seeds=[4, 3], report=silent())
    other, same = (step() for step in steps)
    # Batches are multiplied by other kernels: rounding, of coordinates of at most 0.5.
    np.testing.assert_allclose(same.shape.gaussians.means, result.shape.gaussians.means, atol=1e-4)
    assert same.quality["voxels"] == result.quality["voxels"]
    assert (
        other.shape.gaussians.means.shape != result.shape.gaussians.means.shape
        or not np.allclose(other.shape.gaussians.means, result.shape.gaussians.means, atol=1e-3)
    )


def test_what_the_photo_shows_is_looked_at_once_for_all_seeds(
    quick, image, disc, points, monkeypatch
):
    looked = []
    look = quick.model._look
    monkeypatch.setattr(quick.model, "_look", lambda picture: looked.append(1) or look(picture))
    view = ObjectView(image=image, instance=disc, points=points)
    steps = quick.start_samples(view, seeds=[3, 4], report=silent())
    for step in steps:
        step()
    assert looked == [1]


def test_what_surrounds_the_object_does_not_matter(quick, image, disc, points, result):
    noise = np.random.default_rng(0).integers(0, 256, image.pixels.shape, dtype=np.uint8)
    elsewhere = replace(image, pixels=np.where(disc.mask[..., None], image.pixels, noise))
    again = run(quick, elsewhere, disc, points)
    # Where tensors lie in memory decides how sums are grouped: up to 1e-6 was seen.
    np.testing.assert_allclose(again.shape.gaussians.means, result.shape.gaussians.means, atol=1e-4)


@pytest.mark.parametrize("mode", ["stochastic", "multidiffusion"])
def test_the_same_photo_twice_is_the_photo(reconstructor, picture, once, mode):
    """Both modes: the mean of equal velocities is the velocity, and so is either of them."""
    twice = lifted(reconstructor, [picture, picture], mode=mode)
    np.testing.assert_allclose(twice.gaussians.means, once.gaussians.means, atol=1e-4)


@pytest.mark.parametrize("mode", ["stochastic", "multidiffusion"])
def test_a_second_photo_changes_the_shape(reconstructor, picture, once, mode):
    other = np.roll(picture[:, ::-1], 9, axis=0)
    both = lifted(reconstructor, [picture, other], mode=mode)
    assert both.voxels != once.voxels or not np.allclose(
        both.gaussians.means, once.gaussians.means, atol=1e-5
    )


def test_a_pose_that_is_not_sure_is_flagged(quick, image, disc, points):
    found = run(quick, image, disc, points)
    assert any("pose is uncertain" in note for note in found.notes)


def test_more_photos_than_steps_are_told(quick, image, disc, points):
    views = [View(image=image, instance=disc)] * 2
    found = run(quick, image, disc, points, further=views)
    assert any("3 photos and 2 steps" in note for note in found.notes)


def test_an_object_that_the_photo_cuts_off_is_flagged(quick, image, points):
    mask = np.zeros((image.height, image.width), bool)
    mask[20:80, :50] = True
    cut = Instance(mask=mask, label="box", score=1, box=Instance.box_of(mask))
    found = run(quick, image, cut, points)
    assert found.quality["hidden_outline"] == pytest.approx(60 / 220, abs=0.01)
    assert any("hidden or cut off" in note for note in found.notes)


def test_a_soft_matte_without_anything_opaque_is_not_an_empty_one(quick, image, disc, points):
    faint = replace(disc, alpha=np.where(disc.mask, 0.6, 0.0).astype(np.float32))
    found = run(quick, image, faint, points)
    assert found.quality["voxels"] > 0


def test_memory_that_ran_out_is_freed_and_explained(quick, image, disc, points, monkeypatch):
    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(quick.model.models.latent_flow, "forward", full)
    with pytest.raises(DeviceMemoryError, match="--device cpu"):
        run(quick, image, disc, points)
    assert quick.model.memory.resident == ()


def test_a_stopped_run_stops(quick, image, disc, points):
    token = CancelToken()

    def stop(event) -> None:
        if event.message == "adding detail":
            token.cancel()

    with pytest.raises(Cancelled):
        run(quick, image, disc, points, report=Reporter(stop, token=token))


def test_progress_never_goes_back(quick, image, disc, points):
    events = []
    run(quick, image, disc, points, report=Reporter(events.append))
    fractions = [e.fraction for e in events if e.kind == "stage_progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)


def test_it_is_one_that_takes_several_photos(reconstructor):
    assert isinstance(reconstructor, SeveralViewsReconstructor)


def test_the_version_tells_weights_and_settings_apart(reconstructor, tiny_open):
    options = ReconstructionOptions(weights=tiny_open, **FAST, view_mode="multidiffusion")
    other = TrellisReconstructor.load(options)
    assert reconstructor.version.startswith("trellis-image-large ")
    assert "3 + 2 steps" in reconstructor.version
    assert other.version != reconstructor.version


def test_options_of_sam3d_alone_change_nothing(reconstructor, tiny_open):
    # A flow that was not distilled makes nothing of four steps without guidance.
    options = ReconstructionOptions(weights=tiny_open, distilled=True, splats_per_voxel=4, **FAST)
    other = TrellisReconstructor.load(options)
    assert other.model.sampling == reconstructor.model.sampling
    assert other.version == reconstructor.version


def test_missing_weights_are_named_with_the_command_that_gets_them(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    options = BackendOptions(weights=tmp_path / "weights", device="cpu")
    assert RECONSTRUCTORS.entry("trellis").lacks(options) == [
        "no weights of TRELLIS: scenelift models download open",
        "no weights of DINOv2: scenelift models download open",
    ]
    with pytest.raises(WeightsError, match="models download open"):
        TrellisReconstructor.load(options)
