"""Files on request lie beside the others, in the manifest; or it says why not."""

import numpy as np
import pytest
import trimesh

from scenelift.config import EXTRA_FORMATS, ExportOptions
from scenelift.errors import SetupError
from scenelift.io.manifest import read_manifest
from scenelift.io.ply import read_ply
from scenelift.io.scene import write_scene

QUICK = {"preview_frames": 1, "preview_size": 64}


@pytest.fixture
def scene(pipeline, photo):
    return pipeline.run(photo, "red; blue")


def written(scene, folder, **options):
    write_scene(scene, folder, options=ExportOptions(**QUICK, **options))
    return read_manifest(folder)


def test_every_format_is_written_and_listed(scene, tmp_path):
    manifest = written(scene, tmp_path, formats=EXTRA_FORMATS)
    listed = {file.path for file in manifest.files}
    assert {f"scene.{kind}" for kind in EXTRA_FORMATS} <= listed
    assert not manifest.skipped


def test_formats_of_an_earlier_run_go_when_they_are_not_asked_for_again(scene, tmp_path):
    written(scene, tmp_path, formats=("spz",))
    written(scene, tmp_path)
    assert not (tmp_path / "scene.spz").exists()


def test_ply_glb_and_obj_lie_on_each_other(scene, tmp_path):
    written(scene, tmp_path)
    size = np.ptp(trimesh.load(tmp_path / "scene.glb").bounds, axis=0).max()
    clouds = [
        np.asarray(trimesh.load(tmp_path / "scene.glb", force="mesh").vertices),
        np.asarray(trimesh.load(tmp_path / "scene.obj", force="mesh").vertices),
    ]
    means = read_ply(tmp_path / "scene.ply").means
    for cloud in clouds:
        # The fake's splats lie on its mesh's vertices.
        gap = np.abs(cloud.min(0) - means.min(0)).max(), np.abs(cloud.max(0) - means.max(0)).max()
        assert max(gap) < 0.05 * size


def test_a_package_that_is_not_there_costs_its_file_only(scene, tmp_path, monkeypatch):
    import scenelift.io.usd

    def absent(*args, **kwargs):
        raise SetupError("Writing .usdz needs the package usd-core.")

    monkeypatch.setattr(scenelift.io.usd, "write_usdz", absent)
    manifest = written(scene, tmp_path, formats=("usdz", "stl"))
    assert "usd-core" in manifest.skipped["scene.usdz"]
    assert (tmp_path / "scene.stl").is_file()


def test_a_scene_keeps_no_more_splats_than_asked_and_says_what_that_costs(scene, tmp_path):
    whole = sum(len(o.shape.gaussians) for o in scene.objects)
    manifest = written(scene, tmp_path, max_splats=whole // 2)
    assert len(read_ply(tmp_path / "scene.ply")) == whole // 2
    assert sum(o.gaussians for o in manifest.objects) == whole // 2
    assert any("dB PSNR" in note for note in manifest.notes)
    assert not any("dB PSNR" in note for note in written(scene, tmp_path, max_splats=whole).notes)
