"""Meta's own package behind our protocol, tested on a stand-in with its signatures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from scenelift.types import ObjectView

torch = pytest.importorskip("torch")

from scenelift.compat import official_setup  # noqa: E402
from scenelift.compat.official_setup import Abilities, can_draw, lacks, probe  # noqa: E402
from scenelift.errors import (  # noqa: E402
    BackendUnavailable,
    DeviceMemoryError,
    SetupError,
    WeightsError,
)
from scenelift.geometry.transforms import (  # noqa: E402
    matrix_from_quaternion,
    pose_matrix,
    transform_points,
)
from scenelift.options import BackendOptions, ReconstructionOptions  # noqa: E402
from scenelift.progress import silent  # noqa: E402
from scenelift.qualities import FROM_FILES, choose_backends  # noqa: E402
from scenelift.reconstruct import RECONSTRUCTORS  # noqa: E402
from scenelift.testing.fakes import ColorSegmenter, PlanePointMapper, disc_photo  # noqa: E402
from scenelift.types import Prompt  # noqa: E402

STAND_INS = Path(__file__).parent / "stand_ins"
OURS = ("utils3d", "sam3d_objects", "scenelift.compat.utils3d", "hydra", "omegaconf")
EVERYTHING = Abilities(texture="nvdiffrast", clean_up=True)
NOTHING = Abilities(texture=None, clean_up=False, notes=("No texture here.",))

CONFIG = """
_target_: sam3d_objects.pipeline.inference_pipeline_pointmap.InferencePipelinePointMap
dtype: float16
depth_model:
  _target_: torch.nn.Identity
"""


def _forget():
    for name in [n for n in sys.modules if n.split(".")[0] in OURS or n.startswith(OURS)]:
        del sys.modules[name]


class _Config(dict):
    """What OmegaConf gives: a mapping with attributes."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def _instantiate(node):
    """Hydra's `instantiate`, for what the stand-in's configuration needs of it."""
    if not isinstance(node, dict):
        return node
    arguments = {name: _instantiate(value) for name, value in node.items() if name != "_target_"}
    if "_target_" not in node:
        return arguments
    module, _, name = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


@pytest.fixture
def package(monkeypatch):
    """Meta's package, and Hydra, as far as it is used."""
    yaml = pytest.importorskip("yaml")
    monkeypatch.syspath_prepend(STAND_INS)
    _forget()
    monkeypatch.delenv("LIDRA_SKIP_INIT", raising=False)
    omegaconf = SimpleNamespace(
        load=lambda path: _Config(yaml.safe_load(Path(path).read_text())),
        to_container=dict,
    )
    monkeypatch.setitem(sys.modules, "omegaconf", SimpleNamespace(OmegaConf=omegaconf))
    monkeypatch.setitem(sys.modules, "hydra", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "hydra.utils", SimpleNamespace(instantiate=_instantiate))
    yield
    _forget()


@pytest.fixture
def config_file(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(CONFIG)
    (tmp_path / "ss_generator.ckpt").write_bytes(b"weights")
    return tmp_path / "pipeline.yaml"


@pytest.fixture
def official(package, config_file):
    """Makes a reconstructor of the stand-in, with given abilities."""
    from scenelift.compat.official import OfficialReconstructor, _build

    def make(abilities=EVERYTHING, **options):
        pipeline = _build(config_file, "cpu", abilities)
        reconstructor = OfficialReconstructor(
            pipeline,
            version="test",
            abilities=abilities,
            options=ReconstructionOptions(**options),
        )
        return reconstructor, pipeline

    return make


@pytest.fixture(scope="module")
def seen():
    """An object in a photo."""
    photo = disc_photo()
    found = ColorSegmenter().segment(photo, Prompt(phrases=("red",)), report=silent())
    points = PlanePointMapper().estimate(photo, found.instances, report=silent())
    return ObjectView(image=photo, instance=found.instances[0], points=points)


def lift(reconstructor, seen, seed=3):
    return reconstructor.reconstruct(seen, seed=seed, report=silent())


class TestFrames:
    def test_object_is_y_up_and_splats_coincide_with_the_mesh(self, official, seen):
        made = lift(official(NOTHING)[0], seen)
        means, vertices = made.shape.gaussians.means, made.shape.mesh.vertices
        # 0.8 was the height along z in the package's frame.
        for corners in (means, vertices):
            np.testing.assert_allclose(np.ptp(corners, axis=0), (0.6, 0.8, 0.4), atol=1e-6)
        corners = {tuple(v) for v in np.round(vertices, 5).tolist()}
        assert {tuple(v) for v in np.round(means, 5).tolist()} == corners

    def test_pose_puts_the_object_where_it_was_seen(self, official, seen):
        made = lift(official(NOTHING)[0], seen)
        centre = np.nanmean(seen.points.points[seen.mask], axis=0)
        np.testing.assert_allclose(made.pose.translation, centre, atol=1e-5)
        assert made.pose.scale == pytest.approx(2)

    def test_a_corner_lands_where_the_published_formula_puts_it(self, official, seen):
        made = lift(official(NOTHING)[0], seen)
        corner = np.array([0.3, -0.2, 0.4])  # z up
        angle = np.deg2rad(30) / 2
        turn = matrix_from_quaternion([np.cos(angle), 0, np.sin(angle), 0])
        flip = np.array([-1, 1, -1])  # PyTorch3D's axes to ours
        placed = 2 * corner @ turn * flip + made.pose.translation
        x, y, z = corner
        ours = transform_points([[x, z, -y]], pose_matrix(made.pose))
        np.testing.assert_allclose(ours[0], placed, atol=1e-6)

    def test_points_go_in_with_pytorch3d_axes(self, official, seen):
        reconstructor, pipeline = official()
        lift(reconstructor, seen)
        got = pipeline.asked["pointmap"].numpy()
        np.testing.assert_array_equal(got, seen.points.points * np.float32([-1, 1, -1]))

    def test_splats_are_activated_values(self, official, seen):
        splats = lift(official()[0], seen).shape.gaussians
        np.testing.assert_allclose(splats.opacities, 0.5)
        np.testing.assert_allclose(np.linalg.norm(splats.rotations, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(splats.scales, np.log1p(np.exp(-4)), rtol=1e-5)


class TestWhatIsAskedFor:
    def test_mask_is_the_alpha_channel_and_seed_is_ours(self, official, seen):
        reconstructor, pipeline = official(structure_steps=7, latent_steps=9)
        lift(reconstructor, seen, seed=11)
        assert pipeline.asked["image"].dtype == np.uint8
        np.testing.assert_array_equal(pipeline.asked["image"][..., 3] == 255, seen.mask)
        assert pipeline.asked["seed"] == 11
        assert pipeline.asked["stage1_inference_steps"] == 7
        assert pipeline.asked["stage2_inference_steps"] == 9
        assert pipeline.asked["with_layout_postprocess"] is False

    def test_same_seed_same_result_of_torch_and_numpy_alike(self, official, seen):
        reconstructor, _ = official()
        first, again = lift(reconstructor, seen), lift(reconstructor, seen)
        np.testing.assert_array_equal(first.shape.gaussians.sh0, again.shape.gaussians.sh0)
        np.testing.assert_array_equal(first.shape.mesh.texture, again.shape.mesh.texture)
        other = lift(reconstructor, seen, seed=4)
        assert not np.array_equal(first.shape.gaussians.sh0, other.shape.gaussians.sh0)

    def test_texture_and_clean_up_where_they_can_be_had(self, official, seen):
        reconstructor, pipeline = official(EVERYTHING)
        mesh = lift(reconstructor, seen).shape.mesh
        assert mesh.texture.shape == (4, 4, 3)
        assert mesh.uv.shape == (len(mesh.vertices), 2)
        assert mesh.colors is None
        assert pipeline.asked["with_mesh_postprocess"] is True
        assert pipeline.rendering_engine == "nvdiffrast"

    def test_vertex_colours_and_no_clean_up_otherwise_and_it_says_so(self, official, seen):
        reconstructor, pipeline = official(NOTHING)
        made = lift(reconstructor, seen)
        assert (made.shape.mesh.colors == [10, 20, 30]).all()
        assert made.shape.mesh.texture is None
        assert pipeline.asked["with_texture_baking"] is False
        assert pipeline.asked["with_mesh_postprocess"] is False
        assert made.notes == ("No texture here.",)

    def test_the_version_tells_results_apart(self, official):
        assert official(EVERYTHING)[0].version != official(NOTHING)[0].version
        assert official(structure_steps=9)[0].version != official()[0].version

    def test_too_little_memory_names_the_way_out(self, official, seen, monkeypatch):
        reconstructor, pipeline = official()

        def exhausted(*args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        monkeypatch.setattr(pipeline, "run", exhausted)
        with pytest.raises(DeviceMemoryError, match="--reconstructor sam3d"):
            lift(reconstructor, seen)


class TestLoading:
    def test_a_configuration_may_build_nothing_foreign(self, package, config_file):
        from scenelift.compat.official import _build

        config_file.write_text(CONFIG + "  extra: [{_target_: os.system, command: 'true'}]\n")
        with pytest.raises(WeightsError, match=r"os\.system"):
            _build(config_file, "cpu", NOTHING)

    def test_settings_of_the_pipeline(self, official):
        pipeline = official(NOTHING)[1]
        assert (pipeline.device, pipeline.compile_model) == ("cpu", False)
        assert pipeline.rendering_engine == "pytorch3d"

    def test_without_cuda_it_names_our_own(self, package, config_file):
        from scenelift.compat.official import OfficialReconstructor

        options = BackendOptions(weights=config_file.parent, device="cpu")
        with pytest.raises(SetupError, match="--reconstructor sam3d"):
            OfficialReconstructor.load(options)

    def test_without_the_package_the_registry_says_what_is_missing(self, tmp_path):
        with pytest.raises(BackendUnavailable, match="sam3d_objects is not installed"):
            RECONSTRUCTORS.load("official", BackendOptions(weights=tmp_path))

    def test_it_takes_the_place_of_a_qualitys_own(self, monkeypatch, config_file):
        monkeypatch.setattr(official_setup, "lacks", lambda options: [])
        options = BackendOptions(weights=config_file.parent)
        choice = choose_backends(
            "embedded",
            options,
            segmenter=FROM_FILES,
            pointmapper=FROM_FILES,
            reconstructor="official",
        )
        assert choice.names.reconstructor == "official"
        assert choice.quality == "custom"

    def test_nothing_is_missing_where_all_is_there(self, package, config_file, monkeypatch):
        monkeypatch.setattr(official_setup, "find_spec", lambda name: name)
        assert lacks(BackendOptions(weights=config_file.parent)) == []


class TestProbing:
    """What a rasteriser does to the process that tries it decides, not what it says."""

    @pytest.fixture
    def pretend(self, monkeypatch, tmp_path):
        """Installs a package that does something when it is used."""
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

        def install(program, name="diff_gaussian_rasterization"):
            (tmp_path / f"{name}.py").write_text(program)
            monkeypatch.setattr(official_setup, "find_spec", lambda wanted: wanted)

        return install

    def test_one_that_works(self, pretend):
        pretend("")
        assert can_draw("diff_gaussian_rasterization")

    @pytest.mark.parametrize(
        "program",
        [
            "raise ImportError('libcudart.so.12: cannot open shared object file')",
            "raise RuntimeError('Error building extension')",
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "import os; os._exit(3)",
        ],
        ids=["import error", "failed compilation", "crash", "exit"],
    )
    def test_one_that_fails(self, pretend, program):
        pretend(program)
        assert not can_draw("diff_gaussian_rasterization")

    def test_one_that_hangs(self, pretend):
        pretend("import time; time.sleep(60)")
        assert not can_draw("diff_gaussian_rasterization", seconds=0.5)

    def test_one_that_draws_nothing(self, pretend, tmp_path):
        (tmp_path / "nvdiffrast").mkdir()
        pretend(
            "import torch as t\n"
            "RasterizeCudaContext = object\n"
            "def rasterize(ctx, pos, tri, resolution):\n"
            "    return t.zeros(1, 8, 8, 4), None\n",
            name="nvdiffrast/torch",
        )
        assert not can_draw("nvdiffrast")

    def test_one_that_is_not_installed(self):
        assert not can_draw("nvdiffrast")

    @pytest.mark.parametrize(
        ("works", "lacking", "texture", "clean_up"),
        [
            ({"nvdiffrast", "diff_gaussian_rasterization"}, (), "nvdiffrast", True),
            ({"pytorch3d", "diff_gaussian_rasterization"}, (), "pytorch3d", False),
            ({"pytorch3d"}, (), None, False),
            ({"nvdiffrast"}, (), None, True),
            ({"nvdiffrast", "diff_gaussian_rasterization"}, ("pymeshfix",), "nvdiffrast", False),
            ({"nvdiffrast", "diff_gaussian_rasterization"}, ("xatlas",), None, True),
            (set(), (), None, False),
        ],
    )
    def test_what_follows(self, monkeypatch, works, lacking, texture, clean_up):
        monkeypatch.setattr(official_setup, "can_draw", lambda name: name in works)
        there = lambda name: None if name in lacking else name  # noqa: E731
        monkeypatch.setattr(official_setup, "find_spec", there)
        found = probe()
        assert (found.texture, found.clean_up) == (texture, clean_up)
        assert len(found.notes) == (texture is None) + (not clean_up)
