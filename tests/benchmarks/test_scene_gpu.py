"""The benchmark of whole scenes runs on a CPU, and plants what it says."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.planted import Planting
from benchmarks.scene_gpu import STAGES, main


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


def test_ugly_objects_have_large_splats_and_many_pieces():
    shape = Planting.of("tiny", "ugly", 1).shape
    assert shape.gaussians is not None
    assert shape.mesh is not None
    assert (shape.gaussians.scales.max(1) > 0.12).mean() == pytest.approx(0.01, rel=0.2)
    assert len(shape.mesh.faces) > 50 * 100
