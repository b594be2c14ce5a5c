"""The room is in the files of a run, last, and in no file of the objects."""

import numpy as np
import pytest
from tests.background.room import FLOOR, WALL, room

from scenelift.geometry.transforms import transform_points
from scenelift.io.glb import read_glb
from scenelift.io.splat_reader import read_splats
from scenelift.options import ExportOptions, LayoutOptions
from scenelift.output.manifest import read_manifest
from scenelift.output.scene import write_scene
from scenelift.types import PointMap

QUICK = ExportOptions(preview_frames=2, preview_size=64, formats=("usd", "usdz", "splat"))


@pytest.fixture(scope="module")
def lifted(tmp_path_factory):
    from scenelift.pipeline import Pipeline
    from scenelift.testing.fakes import (
        BallReconstructor,
        ColorSegmenter,
        PlanePointMapper,
        disc_photo,
    )

    pipeline = Pipeline(ColorSegmenter(), PlanePointMapper(), BallReconstructor())
    scene = pipeline.run(disc_photo(), "red; blue")
    folder = tmp_path_factory.mktemp("room")
    write_scene(scene, folder, options=QUICK)
    return scene, folder


def names_in(path):
    from pxr import Usd

    stage = Usd.Stage.Open(str(path))
    return [prim.GetName() for prim in stage.GetDefaultPrim().GetChildren()]


def test_the_background_is_a_file_of_its_own_and_the_last_node(lifted):
    scene, folder = lifted
    names = [node.name for node in read_glb(folder / "scene.glb")]
    assert names == ["00_red", "01_blue", "background"]
    (alone,) = read_glb(folder / "background.glb")
    assert len(alone.mesh.faces) == len(scene.background.mesh.faces) > 100
    assert "o background" in (folder / "scene.obj").read_text()
    for name in ("scene.usdc", "scene.usdz"):
        names = names_in(folder / name)
        assert names[-1] == "background"
        assert [n for n in names if n.startswith("object_")] == ["object_00_red", "object_01_blue"]
    listed = {f.path for f in read_manifest(folder).files}
    assert {"background.ply", "background.glb"} <= listed


def test_splat_files_hold_objects_alone_and_coincide_with_the_background(lifted):
    scene, folder = lifted
    objects = sum(len(o.shape.gaussians) for o in scene.objects)
    assert len(read_splats(folder / "scene.ply")) == objects
    assert len(read_splats(folder / "scene.splat")) == objects
    behind = read_splats(folder / "background.ply").means
    np.testing.assert_allclose(behind, scene.background.gaussians.means, atol=1e-5)
    low, high = scene.background.mesh.vertices.min(0), scene.background.mesh.vertices.max(0)
    assert (behind >= low - 0.1).all()
    assert (behind <= high + 0.1).all()


def test_without_it_a_scene_is_as_ever(pipeline, photo, tmp_path):
    scene = pipeline.run(photo, "red", layout=LayoutOptions(background="none"))
    assert scene.background is None
    write_scene(scene, tmp_path, options=QUICK)
    assert not list(tmp_path.glob("background.*"))


def test_its_points_lie_where_the_photo_has_them(lifted):
    scene, _ = lifted
    camera = scene.camera
    places = camera.project(scene.background.gaussians.means.astype(np.float64))
    beyond = 0.17 * camera.width  # the margin
    assert (places[:, 0] > -beyond).all()
    assert (places[:, 0] < camera.width + beyond).all()
    inside = transform_points(scene.background.mesh.vertices, np.eye(4))
    assert (inside[:, 2] < 0).all()


@pytest.mark.parametrize("bias", [1.0, 1.15])
def test_a_door_measures_what_the_network_says_and_no_other_error_is_added(bias):
    """Points as a metric network gives them, in half metres, too far by a factor and noisy."""
    from scenelift.pipeline import Pipeline
    from scenelift.testing.fakes import BallReconstructor, ColorSegmenter

    image, points, _, _ = room()
    noise = np.random.default_rng(0).normal(1, 0.01, points.points.shape[:2])
    planted = PointMap(
        points=(2 * bias * noise[..., None] * points.points).astype(np.float32),
        camera=points.camera,
        scale="metric",
        metres_per_unit=0.5,
        scale_note="as a network guesses",
    )
    pipeline = Pipeline(ColorSegmenter(), _Planted(planted), BallReconstructor())
    scene = pipeline.run(image, "red")
    assert scene.units == "metres"
    # Two marks on the wall, two metres apart: a door's height, measured between splats.
    marks = scene.camera.project(np.array([[-1.5, -0.6, WALL], [-1.5, 1.4, WALL]]))
    assert scene.background is not None
    means = scene.background.gaussians.means.astype(np.float64)
    places = scene.camera.project(means)
    ends = [means[((places - mark) ** 2).sum(1).argsort()[:20]].mean(0) for mark in marks]
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(2 * bias, rel=0.02)
    assert min(abs(level - bias * FLOOR) for level in scene.background.levels) < 0.02


class _Planted:
    """A point mapper whose answer is known."""

    name = "planted"
    version = "1"

    def __init__(self, points):
        self._points = points

    def estimate(self, image, instances, report):
        return self._points
