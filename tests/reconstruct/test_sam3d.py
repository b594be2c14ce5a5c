"""SAM 3D Objects as a reconstructor: frames, seeds, memory, and input that is odd or bad."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scenelift.errors import Cancelled, InputError, SceneliftError, SetupError, WeightsError
from scenelift.geometry.transforms import (
    matrix_from_quaternion,
    pose_matrix,
    transform_gaussians,
    transform_points,
)
from scenelift.models.sam3d.checkpoints import CheckpointFolder, load_models
from scenelift.models.sam3d.model import SAM3D, PosedShape
from scenelift.models.sam3d.pose import PublishedPose
from scenelift.models.sam3d.preprocess import ConditionImages
from scenelift.models.slat.first_stage import Sampling
from scenelift.models.slat.flexicubes import SurfaceMesh
from scenelift.options import BackendOptions, ReconstructionOptions
from scenelift.progress import CancelToken, Event, Reporter, silent
from scenelift.reconstruct import RECONSTRUCTORS, SeveralSeedsReconstructor
from scenelift.reconstruct.sam3d import SAM3DReconstructor, reconstruction_of
from scenelift.reconstruct.sam3d_weights import convert
from scenelift.testing.fakes import ColorSegmenter, PlanePointMapper, disc_photo
from scenelift.types import (
    Camera,
    Gaussians,
    Image,
    Instance,
    Mesh,
    ObjectView,
    PointMap,
    Prompt,
    Reconstruction,
)
from scenelift.weights.content import fingerprint

CPU = torch.device("cpu")
FAST: dict[str, Any] = {"device": "cpu", "structure_steps": 2, "latent_steps": 1}


def options(folder, **others: Any) -> ReconstructionOptions:
    return ReconstructionOptions(weights=folder, **(FAST | others))


@pytest.fixture(scope="module")
def reconstructor(tiny_checkpoints) -> SAM3DReconstructor:
    return SAM3DReconstructor.load(options(tiny_checkpoints))


@pytest.fixture(scope="module")
def image() -> Image:
    return disc_photo()


@pytest.fixture(scope="module")
def points(image) -> PointMap:
    return PlanePointMapper().estimate(image, (), silent())


@pytest.fixture(scope="module")
def disc(image) -> Instance:
    return ColorSegmenter().segment(image, Prompt(phrases=("red",)), silent()).instances[0]


def masked(mask) -> Instance:
    return Instance(mask=mask, label="thing", score=1, box=(0, 0, 1, 1))


def run(reconstructor, image, instance, points, *, seed=1, report=None):
    view = ObjectView(image=image, instance=instance, points=points)
    reconstructor.begin(image, points)
    return reconstructor.reconstruct(view, seed=seed, report=report or silent())


def splats_of(result: Reconstruction) -> Gaussians:
    assert result.shape.gaussians is not None
    return result.shape.gaussians


def mesh_of(result: Reconstruction) -> Mesh:
    assert result.shape.mesh is not None
    return result.shape.mesh


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """What was reported while `expected` was made."""
    return []


@pytest.fixture(scope="module")
def expected(tiny_checkpoints, image, disc, points, events) -> Reconstruction:
    # Its own reconstructor: what one says only once is said here, whichever test comes first.
    fresh = SAM3DReconstructor.load(options(tiny_checkpoints))
    return run(fresh, image, disc, points, report=Reporter(events.append))


# Shape and frame


def test_an_object_has_splats_and_a_mesh_in_our_frame(expected):
    splats, mesh = splats_of(expected), mesh_of(expected)
    assert len(splats) == 32 * expected.quality["voxels"]
    assert abs(splats.means).max() <= 0.5
    assert abs(mesh.vertices).max() <= 0.5
    assert mesh.colors is not None
    np.testing.assert_allclose(np.linalg.norm(splats.rotations, axis=1), 1, atol=1e-5)


def test_a_seed_gives_the_same_object_and_another_gives_another(
    reconstructor, image, disc, points, expected
):
    again, other = (run(reconstructor, image, disc, points, seed=seed) for seed in (1, 2))
    assert again.pose == expected.pose
    assert np.array_equal(splats_of(again).means, splats_of(expected).means)
    assert np.array_equal(mesh_of(again).vertices, mesh_of(expected).vertices)
    assert other.pose != expected.pose


def bumpy_ball(count: int = 600) -> np.ndarray:
    """Points on a lopsided ball in the published z-up frame, inside the cube."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * (0.25, 0.35, 0.45) * (1 + 0.1 * directions[:, 2:])


def lifted(points, pose: PublishedPose) -> PosedShape:
    count = len(points)
    means = points.astype(np.float32)
    return PosedShape(
        pose=pose,
        gaussians=Gaussians(
            means=means,
            scales=np.full((count, 3), 0.01, np.float32),
            rotations=np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)),
            opacities=np.ones(count, np.float32),
            sh0=np.zeros((count, 3), np.float32),
        ),
        mesh=SurfaceMesh(
            vertices=torch.from_numpy(means[:4]),
            faces=torch.tensor([[0, 1, 2], [1, 2, 3]], dtype=torch.int32),
            attributes=torch.full((4, 6), 0.5),
        ),
        voxels=count,
        notes=(),
    )


@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_splats_and_mesh_project_to_where_the_published_formula_says(stretch):
    """Also where the object is too large for our cube and its pose has to make up for it."""
    camera = Camera(fx=90, fy=90, cx=80, cy=60, width=160, height=120)
    rng = np.random.default_rng(1)
    quaternion = rng.normal(size=4)
    pose = PublishedPose(
        rotation=quaternion / np.linalg.norm(quaternion),
        translation=np.array([0.4, -0.2, 2.5]),
        scale=np.full(3, 0.7),
    )
    points = bumpy_ball() * stretch
    result = reconstruction_of(lifted(points, pose))

    # Row vectors, x left, y up, z forward: u grows to the right, v downwards.
    scene = (points * 0.7) @ matrix_from_quaternion(pose.rotation) + pose.translation
    expected = np.stack(
        [
            camera.cx - camera.fx * scene[:, 0] / scene[:, 2],
            camera.cy - camera.fy * scene[:, 1] / scene[:, 2],
        ],
        -1,
    )
    splats, mesh = splats_of(result), mesh_of(result)
    assert abs(splats.means).max() <= 0.5
    placed = transform_gaussians(splats, result.pose)
    # Coordinates of order 1 in float32, times the focal length: a thousandth of a pixel.
    np.testing.assert_allclose(camera.project(placed.means), expected, atol=1e-3)
    corners = transform_points(mesh.vertices, pose_matrix(result.pose))
    np.testing.assert_allclose(camera.project(corners), expected[:4], atol=1e-3)
    np.testing.assert_allclose(placed.scales, 0.01 * 0.7, rtol=1e-5)


class AtTheMedian:
    """In place of the networks: a ball of the view's scale at the median of the seen points."""

    def __init__(self, model: SAM3D) -> None:
        self.models, self.device = model.models, model.device
        self.views: list[ConditionImages] = []

    def begin(self, view, *, seeds, report):
        self.views.append(view)
        return seeds

    def complete(self, view, begun, *, report):
        scale = np.full(3, 0.1 * float(view.points.scale[0]))
        pose = PublishedPose(
            rotation=np.array([1.0, 0, 0, 0]),
            translation=view.points.shift.double().numpy(),
            scale=scale,
        )
        return lifted(bumpy_ball(), pose)

    def release(self):
        pass


def test_what_stands_at_the_seen_points_lands_on_the_mask(reconstructor, image, disc, points):
    """Points go in, and the pose comes out, in axes that agree."""
    stand_in = AtTheMedian(reconstructor.model)
    adapter = SAM3DReconstructor(stand_in, version="1")  # pyright: ignore[reportArgumentType]
    result = run(adapter, image, disc, points)
    placed = transform_gaussians(splats_of(result), result.pose)
    pixels = points.camera.project(placed.means).astype(int)
    assert disc.mask[pixels[:, 1], pixels[:, 0]].all()


def test_objects_of_a_photo_share_its_tensors(reconstructor, image, points):
    adapter = SAM3DReconstructor(
        AtTheMedian(reconstructor.model),  # pyright: ignore[reportArgumentType]
        version="1",
    )
    found = ColorSegmenter().segment(image, Prompt(phrases=("red", "blue")), silent())
    one, two = (
        ObjectView(image=image, instance=instance, points=points) for instance in found.instances
    )
    adapter.begin(image, points)
    adapter.reconstruct(one, seed=1, report=silent())
    tensors = adapter._photo
    adapter.reconstruct(two, seed=1, report=silent())
    assert adapter._photo is tensors
    run(adapter, disc_photo(), found.instances[0], points)
    assert adapter._photo is not tensors
    with pytest.raises(ValueError, match="begin"):  # not silently the other photo's pixels
        adapter.reconstruct(one, seed=1, report=silent())


@pytest.mark.parametrize("equal", [False, True], ids=["four weights", "equal weights"])
def test_the_whole_photo_is_embedded_once_for_all_its_objects(tiny_checkpoints, points, equal):
    """Embedders that share weights, as the published ones do, share every picture besides."""
    models = load_models(tiny_checkpoints)
    conditions = (models.structure_condition, models.latent_condition)
    first, *others = (e.backbone for c in conditions for e in c.dino_embedders)
    for parameter, *same in zip(*(b.parameters() for b in (first, *others)), strict=True):
        for other in same if equal else ():
            other.data = parameter.data
    sampling = Sampling.of(options(tiny_checkpoints), models.settings)
    batches: list[int] = []
    for backbone in (first, *others):
        backbone.register_forward_pre_hook(lambda _, args: batches.append(len(args[0])))

    def load() -> SAM3DReconstructor:
        model = SAM3D(models, device=CPU, dtype=torch.float32, sampling=sampling)
        return SAM3DReconstructor(model, version="1")

    def seen(reconstructor, view, report=None) -> list[torch.Tensor]:
        """What the flows are told of the object, and what the first of them makes of that."""
        inputs = reconstructor._inputs(view)
        (first,) = reconstructor._first_stages(inputs, seeds=[1], report=report or silent())
        return [*first.conditions, *first.state]

    photo = disc_photo()
    found = ColorSegmenter().segment(photo, Prompt(phrases=("red", "blue")), silent()).instances
    views = [ObjectView(image=photo, instance=i, points=points) for i in (*found, found[0])]
    together, alone = load(), load()
    together.begin(photo, points)
    results = [seen(together, view) for view in views]
    assert sorted(batches) == ([1, 3, 3, 3] if equal else 2 * [1] + 6 * [1] + 6 * [2])

    # What came before makes no difference: other objects, one that was stopped, or none.
    token = CancelToken()

    def stop(event: Event) -> None:
        if event.message == "finding the shape":  # after the pictures were embedded
            token.cancel()

    with pytest.raises(Cancelled):
        seen(together, views[0], Reporter(stop, token=token))
    together.release()
    alone.begin(photo, points)
    for again in (seen(together, views[1]), seen(alone, views[1])):
        assert all(torch.equal(a, b) for a, b in zip(again, results[1], strict=True))
    assert not torch.equal(results[0][0], results[1][0])

    together.end()
    assert together._photo is None
    assert not together.model._features._of  # nothing is kept that nobody will ask for


# Several seeds at once


def start(reconstructor, image, instance, points, seeds, report=None):
    view = ObjectView(image=image, instance=instance, points=points)
    reconstructor.begin(image, points)
    return reconstructor.start_samples(view, seeds=seeds, report=report or silent())


def assert_same_object(a: Reconstruction, b: Reconstruction) -> None:
    """Up to rounding: batches are multiplied by other kernels. Coordinates are at most 0.5."""
    assert a.quality == b.quality
    np.testing.assert_allclose(pose_matrix(a.pose), pose_matrix(b.pose), atol=1e-4)
    np.testing.assert_allclose(splats_of(a).means, splats_of(b).means, atol=1e-4)
    np.testing.assert_allclose(splats_of(a).sh0, splats_of(b).sh0, atol=1e-3)
    assert len(mesh_of(a).faces) == pytest.approx(len(mesh_of(b).faces), rel=1e-3)


def test_seeds_together_give_what_each_gives_alone(reconstructor, image, disc, points, expected):
    assert isinstance(reconstructor, SeveralSeedsReconstructor)
    one, two, three = (step() for step in start(reconstructor, image, disc, points, [1, 2, 3]))
    assert_same_object(one, expected)
    assert_same_object(three, run(reconstructor, image, disc, points, seed=3))
    assert two.pose != one.pose


class Watched(nn.Module):
    """A flow that notes how large its batches are, and has room for some size only.

    Args:
        network: the flow.
        room: largest batch.
        broken: whose velocity is no number, in a batch that has so many.
    """

    def __init__(self, network: nn.Module, room: int = 99, broken: int | None = None) -> None:
        super().__init__()
        self.network, self.room, self.broken = network, room, broken
        self.sizes: list[int] = []

    def __getattr__(self, name):
        if name in ("params", "block_contexts", "remember", "embed"):
            return getattr(self.network, name)
        return super().__getattr__(name)

    def forward(self, state, *args, **kwargs):
        size = len(state[0])
        if size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.sizes.append(size)
        velocity = self.network(state, *args, **kwargs)
        if self.broken is not None:
            velocity.shape[self.broken] *= torch.nan
        return velocity


def watched(folder, reconstructor, **behaviour) -> tuple[SAM3DReconstructor, Watched]:
    models = load_models(folder)
    flow = Watched(models.structure_flow, **behaviour)
    models = dataclasses.replace(models, structure_flow=flow)
    model = SAM3D(models, device=CPU, dtype=torch.float32, sampling=reconstructor.model.sampling)
    return SAM3DReconstructor(model, version="1"), flow


def test_a_batch_that_does_not_fit_is_halved(
    tiny_checkpoints, reconstructor, image, disc, points, expected
):
    short, flow = watched(tiny_checkpoints, reconstructor, room=2)
    steps = start(short, image, disc, points, [3, 2, 1])
    assert set(flow.sizes) == {1, 2}
    result = steps[2]()
    assert result.notes == ()
    assert_same_object(result, expected)


def test_many_seeds_go_through_in_several_batches(
    tiny_checkpoints, reconstructor, image, disc, points
):
    adapter, flow = watched(tiny_checkpoints, reconstructor)
    assert len(start(adapter, image, disc, points, range(6))) == 6
    assert set(flow.sizes) == {4, 2}


def test_a_seed_whose_numbers_are_none_leaves_the_others(
    tiny_checkpoints, reconstructor, image, disc, points, expected
):
    adapter, _ = watched(tiny_checkpoints, reconstructor, broken=0)
    broken, whole = start(adapter, image, disc, points, [2, 1])
    with pytest.raises(SceneliftError, match="precision bfloat16"):
        broken()
    assert_same_object(whole(), expected)


def test_progress_of_several_seeds_never_goes_back(reconstructor, image, disc, points):
    events: list[Event] = []
    for step in start(reconstructor, image, disc, points, [1, 2], Reporter(events.append)):
        step()
    fractions = [event.fraction for event in events if event.kind == "stage_progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)


def test_a_run_is_stopped_between_two_seeds(reconstructor, image, disc, points):
    token = CancelToken()
    report = Reporter(lambda event: None, token=token)
    first, second = start(reconstructor, image, disc, points, [1, 2], report)
    first()
    token.cancel()
    with pytest.raises(Cancelled):
        second()


# Options


def test_options_change_the_result_and_the_version(tiny_checkpoints, image, disc, points):
    few = SAM3DReconstructor.load(options(tiny_checkpoints, splats_per_voxel=4))
    result = run(few, image, disc, points)
    assert len(splats_of(result)) == 4 * result.quality["voxels"]
    versions = {
        SAM3DReconstructor.load(options(tiny_checkpoints, **others)).version
        for others in (
            {},
            {"structure_steps": 3},
            {"latent_steps": 2},
            {"distilled": True},
            {"velocity_caching": True},
            {"splats_per_voxel": 4},
        )
    }
    assert len(versions) == 6


def test_defaults_are_the_published_settings(tiny_checkpoints):
    models = load_models(tiny_checkpoints)
    sampling = Sampling.of(ReconstructionOptions(), models.settings)
    assert (sampling.structure, sampling.latent) == (
        models.settings.structure_sampling,
        models.settings.latent_sampling,
    )
    plain = SAM3DReconstructor.load(BackendOptions(weights=tiny_checkpoints, device="cpu"))
    assert "25 + 25 steps" in plain.version


def test_distilled_sampling_has_few_steps_and_no_guidance(tiny_checkpoints):
    models = load_models(tiny_checkpoints)
    sampling = Sampling.of(ReconstructionOptions(distilled=True), models.settings)
    assert (sampling.structure.steps, sampling.structure.guidance) == (4, 0)
    assert sampling.latent == models.settings.latent_sampling
    sampling = Sampling.of(
        ReconstructionOptions(distilled=True, structure_steps=1), models.settings
    )
    assert sampling.structure.steps == 1


def test_a_distilled_object_is_another_one(tiny_checkpoints, image, disc, points, expected):
    distilled = SAM3DReconstructor.load(options(tiny_checkpoints, distilled=True))
    assert run(distilled, image, disc, points).pose != expected.pose


def test_an_object_with_caching_deviates_a_little(tiny_checkpoints, image, disc, points):
    exact, caching = (
        SAM3DReconstructor.load(
            options(tiny_checkpoints, structure_steps=8, latent_steps=8, velocity_caching=cached)
        )
        for cached in (False, True)
    )
    there, here = (run(one, image, disc, points) for one in (exact, caching))
    splats = [splats_of(one) for one in (there, here)]
    off = np.abs(splats[0].means.mean(0) - splats[1].means.mean(0)).max()
    assert 0 < off < 0.05 * np.ptp(splats[0].means)
    assert abs(len(splats[0]) - len(splats[1])) <= 0.1 * len(splats[0])


@pytest.mark.parametrize("name", ["structure_steps", "latent_steps"])
def test_counts_begin_at_one(name):
    counts: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=name):
        ReconstructionOptions(**counts)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_makes_nearly_the_same_object(
    reconstructor, tiny_checkpoints, image, disc, points, expected, dtype
):
    """On the CPU, where it is slow, but by the same casts as on a GPU."""
    models = load_models(tiny_checkpoints)
    model = SAM3D(models, device=CPU, dtype=dtype, sampling=reconstructor.model.sampling)
    half = run(SAM3DReconstructor(model, version="half"), image, disc, points)
    assert models.latent_flow.compute_dtype == dtype
    assert models.latent_flow.out_layer.weight.dtype == torch.float32
    # Voxels at the threshold may fall on either side; the structure is the same.
    assert half.quality["voxels"] == pytest.approx(expected.quality["voxels"], rel=0.05)
    assert half.pose.scale == pytest.approx(expected.pose.scale, rel=0.05)


# Weights


def test_a_converted_folder_gives_nearly_the_same_object(
    tiny_checkpoints, reconstructor, tmp_path, image, disc, points, expected
):
    convert(silent(), tiny_checkpoints, out=tmp_path / "full" / "sam3d-safetensors")
    converted = SAM3DReconstructor.load(options(tmp_path))
    assert converted.version != reconstructor.version
    result = run(converted, image, disc, points)
    assert result.quality["voxels"] == pytest.approx(expected.quality["voxels"], rel=0.05)


def test_weights_are_found_in_the_home(tiny_checkpoints, tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    entry = RECONSTRUCTORS.entry("sam3d")
    assert "scenelift models download full" in entry.lacks(BackendOptions())[0]
    with pytest.raises(WeightsError, match="facebook/sam-3d-objects"):
        SAM3DReconstructor.load(BackendOptions())
    (tmp_path / "weights" / "full").mkdir(parents=True)
    (tmp_path / "weights" / "full" / "sam3d").symlink_to(tiny_checkpoints)
    assert entry.lacks(BackendOptions()) == []
    assert SAM3DReconstructor.load(BackendOptions(device="cpu")).version


def test_the_version_follows_the_content_of_equally_long_files(tmp_path):
    paths = [tmp_path / folder / "flow.ckpt" for folder in ("a", "b", "same")]
    for path, value in zip(paths, (0.0, 1.0, 0.0), strict=True):
        path.parent.mkdir()
        weights = torch.zeros(3_000_000)
        weights[1_234_567] = value  # far from what is sampled: only its checksum tells
        torch.save({"w": weights}, path)
    a, b, same = (fingerprint([path]) for path in paths)
    assert paths[0].stat().st_size == paths[1].stat().st_size
    assert a == same != b


@pytest.mark.parametrize("name", ["slat_generator.ckpt", "slat_decoder_mesh.ckpt"])
def test_damaged_and_missing_files_are_named(tiny_checkpoints, tmp_path, name):
    for path in tiny_checkpoints.iterdir():
        (tmp_path / path.name).symlink_to(path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=name):
        SAM3DReconstructor.load(options(tmp_path))
    (tmp_path / name).write_bytes(content[: len(content) // 3])
    with pytest.raises(WeightsError, match=name):
        SAM3DReconstructor.load(options(tmp_path))


def test_a_device_that_is_not_there_is_told_before_weights_are_read(tmp_path):
    with pytest.raises(SetupError, match="cuda:9"):
        SAM3DReconstructor.load(options(tmp_path, device="cuda:9"))


# Odd and bad input


def test_a_mask_at_the_border_works(reconstructor, image, points):
    mask = np.zeros((image.height, image.width), bool)
    mask[-40:, :30] = True
    assert run(reconstructor, image, masked(mask), points).shape.gaussians is not None


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [(0, 0, "mask is empty"), (1, 1, "1×1 pixels"), (20, 1, "at least 3×3")],
)
def test_a_mask_without_extent_is_refused(reconstructor, image, points, rows, columns, message):
    mask = np.zeros((image.height, image.width), bool)
    mask[:rows, :columns] = True
    with pytest.raises(InputError, match=message):
        run(reconstructor, image, masked(mask), points)


def test_a_mask_of_another_photo_is_refused(reconstructor, image, points):
    with pytest.raises(InputError, match="10 × 20 pixels, the photo 160 × 120"):
        run(reconstructor, image, masked(np.ones((20, 10), bool)), points)


def test_a_photo_of_one_pixel_is_refused(reconstructor):
    camera = Camera.from_fov(1, 1, fov_deg=55)
    points = PointMap(points=np.ones((1, 1, 3), np.float32), camera=camera)
    photo = Image(pixels=np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(InputError, match="1×1 pixels"):
        run(reconstructor, photo, masked(np.ones((1, 1), bool)), points)


@pytest.mark.parametrize("everywhere", [False, True])
def test_without_depth_under_the_mask_size_and_place_are_guessed_and_said_to_be(
    reconstructor, image, disc, points, everywhere
):
    holed = points.points.copy()
    holed[np.ones_like(disc.mask) if everywhere else disc.mask] = np.nan
    result = run(reconstructor, image, disc, dataclasses.replace(points, points=holed))
    assert "no depth under this object's mask" in result.notes[0]
    assert np.isfinite(pose_matrix(result.pose)).all()


def test_a_run_is_stopped_between_two_steps_of_a_sampler(reconstructor, image, disc, points):
    token, seen = CancelToken(), []

    def watch(event):
        seen.append(event)
        if event.message == "finding the shape" and len(seen) > 3:
            token.cancel()

    with pytest.raises(Cancelled):
        run(reconstructor, image, disc, points, report=Reporter(watch, token=token))
    assert seen[-1].message == "finding the shape"
    assert seen[-1].fraction < 0.45


def test_progress_never_goes_back_and_names_what_is_done(expected, events):
    steps = [event for event in events if event.kind == "stage_progress"]
    fractions = [event.fraction for event in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert {"finding the shape", "adding detail", "decoding the mesh"} <= {
        event.message for event in steps
    }
    assert sum("CPU" in event.message for event in events if event.kind == "note") == 1


# Memory


class OutOfMemory(nn.Module):
    """A network that runs out of memory the first times it is called."""

    def __init__(self, network: nn.Module, failures: int) -> None:
        super().__init__()
        self.network, self.failures = network, failures

    def __getattr__(self, name):
        if name in ("params", "block_contexts", "remember", "embed"):
            return getattr(self.network, name)
        return super().__getattr__(name)

    def forward(self, *args, **kwargs):
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.network(*args, **kwargs)


def short_of_memory(folder, reconstructor, failures: int, *networks: str) -> SAM3DReconstructor:
    models = load_models(folder)
    models = dataclasses.replace(
        models, **{name: OutOfMemory(getattr(models, name), failures) for name in networks}
    )
    model = SAM3D(
        models,
        device=CPU,
        dtype=torch.float32,
        sampling=reconstructor.model.sampling,
        fewer_splats=lambda: CheckpointFolder(folder).gaussian_decoder(4),
    )
    return SAM3DReconstructor(model, version="1")


def test_one_failure_a_stage_changes_nothing(
    tiny_checkpoints, reconstructor, image, disc, points, expected
):
    names = ("structure_flow", "latent_flow", "gaussian_decoder", "mesh_decoder")
    short = short_of_memory(tiny_checkpoints, reconstructor, 1, *names)
    result = run(short, image, disc, points)
    assert result.notes == ()
    assert result.pose == expected.pose
    assert len(splats_of(result)) == len(splats_of(expected))
    assert len(mesh_of(result).faces) == len(mesh_of(expected).faces)


def test_two_failures_of_the_splats_decoder_give_fewer_splats(
    tiny_checkpoints, reconstructor, image, disc, points
):
    short = short_of_memory(tiny_checkpoints, reconstructor, 2, "gaussian_decoder")
    result = run(short, image, disc, points)
    assert "4 splats a voxel" in result.notes[0]
    assert len(splats_of(result)) == 4 * result.quality["voxels"]


def test_two_failures_of_the_latent_flow_halve_the_resolution(
    tiny_checkpoints, reconstructor, image, disc, points, expected
):
    short = short_of_memory(tiny_checkpoints, reconstructor, 2, "latent_flow")
    result = run(short, image, disc, points)
    assert "half the resolution" in result.notes[0]
    assert result.quality["voxels"] < expected.quality["voxels"] / 2
    # The halved voxels fill half of the cube, and the pose makes up for it.
    assert result.pose.scale == pytest.approx(2 * expected.pose.scale, rel=0.05)


@pytest.mark.parametrize(
    ("name", "failures"), [("structure_decoder", 2), ("latent_flow", 3), ("mesh_decoder", 2)]
)
def test_after_an_object_that_did_not_fit_the_next_one_works(
    tiny_checkpoints, reconstructor, image, disc, points, name, failures
):
    short = short_of_memory(tiny_checkpoints, reconstructor, failures, name)
    with pytest.raises(SceneliftError, match="too little memory on cpu"):
        run(short, image, disc, points)
    assert short.model.memory.resident == ()
    assert len(mesh_of(run(short, image, disc, points)).faces) > 0


class Overflow(OutOfMemory):
    """A network whose results are no numbers."""

    def forward(self, *args, **kwargs):
        velocity = self.network(*args, **kwargs)
        return type(velocity)(*(part * torch.nan for part in velocity))


def test_numbers_that_are_none_are_told(tiny_checkpoints, reconstructor, image, disc, points):
    models = load_models(tiny_checkpoints)
    models = dataclasses.replace(models, structure_flow=Overflow(models.structure_flow, 0))
    model = SAM3D(models, device=CPU, dtype=torch.float32, sampling=reconstructor.model.sampling)
    with pytest.raises(SceneliftError, match="precision bfloat16"):
        run(SAM3DReconstructor(model, version="1"), image, disc, points)
