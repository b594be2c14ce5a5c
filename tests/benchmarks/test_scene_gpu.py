"""The benchmark of whole scenes runs on a CPU, and plants what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.planted import PlantedReconstructor, Planting
from benchmarks.scene_gpu import STAGES, main

from scenelift.progress import silent
from scenelift.testing.fakes import BallReconstructor
from scenelift.types import ObjectView, PointMap


@pytest.mark.parametrize(("model", "count", "repeats"), [("sam3d", 2, 1), ("trellis2", 1, 0)])
def test_a_tiny_scene_is_lifted_and_every_figure_printed(model, count, repeats, tmp_path, capsys):
    file = tmp_path / "figures.json"
    arguments = ["--size", "tiny", "--device", "cpu", "--model", model]
    arguments += ["--objects", str(count), "--repeats", str(repeats)]
    assert main([*arguments, "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert f"{count} object{'s' if count > 1 else ''}, warm" in printed
    assert "published" in printed
    figures = json.loads(file.read_text())["runs"][f"plain, {count}"]
    assert len(figures["warm"]) == repeats
    for run in (figures["first"], *figures["warm"]):
        assert run["textured"] == count
        assert run["first_object"] < run["wall"]
        assert set(run["stages"]) >= set(STAGES)
        assert run["stages"]["reconstruct"] > 0


@pytest.mark.parametrize("count", [1, 5])
def test_masks_and_points_show_the_planted_objects(count):
    planting = Planting.of("tiny", "plausible", count)
    assert len(planting.instances) == count
    for instance, pose in zip(planting.instances, planting.poses, strict=True):
        points = planting.points[instance.mask]
        assert len(points) > 50
        # On the side that faces the camera, within half the object's size of its centre.
        off = (points - pose.translation) / pose.scale
        assert np.abs(off).max() < 0.55
        assert np.median(off[:, 2]) > 0.1


def test_one_reconstructor_serves_photos_of_any_planned_number_of_objects():
    """As a crew's processes do, which are not told what else changes later."""
    plantings = [Planting.of("tiny", "plausible", count) for count in (1, 5)]
    reconstructor = PlantedReconstructor(BallReconstructor(), plantings)
    for planting in plantings:
        points = PointMap(points=planting.points, camera=planting.camera, source="planted")
        *others, last = planting.instances
        view = ObjectView(image=planting.image, instance=last, points=points, others=tuple(others))
        pose = reconstructor.reconstruct(view, seed=0, report=silent()).pose
        off = np.subtract(pose.translation, planting.poses[-1].translation)
        assert np.abs(off).max() < 0.2 * pose.scale


def test_ugly_objects_have_large_splats_and_many_pieces():
    shape = Planting.of("tiny", "ugly", 1).shape
    assert shape.gaussians is not None
    assert shape.mesh is not None
    assert (shape.gaussians.scales.max(1) > 0.12).mean() == pytest.approx(0.01, rel=0.2)
    assert len(shape.mesh.faces) > 50 * 100
