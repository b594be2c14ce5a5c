"""A scene as one page: what it holds, and what it must not hold."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

from scenelift.errors import InputError, SetupError
from scenelift.options import ExportOptions
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.page import export_page, viewer_page
from scenelift.output.scene import write_scene

QUICK = ExportOptions(preview_frames=1, preview_size=64)
VIEWER = '<title>v</title><script type="application/json" id="scene"></script><main></main>'


@pytest.fixture
def scene(pipeline, photo, tmp_path):
    folder = tmp_path / "scene"
    write_scene(pipeline.run(photo, ["red", "blue"]), folder, options=QUICK)
    return folder


def embedded(page: Path) -> dict:
    (text,) = re.findall(r'id="scene">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(text)


def test_holds_the_manifest_and_what_the_viewer_shows(scene, tmp_path):
    page = export_page(scene, VIEWER, tmp_path / "scene.html")
    held = embedded(page)
    manifest = json.loads((scene / MANIFEST_NAME).read_text())
    assert held["manifest"] == manifest
    shown = {"input.png", "background.glb"}
    for o in manifest["objects"]:
        shown |= {o["files"]["splats"], o["files"]["mesh"]}
    assert set(held["files"]) == shown
    for name, packed in held["files"].items():
        assert gzip.decompress(base64.b64decode(packed)) == (scene / name).read_bytes()
    assert page.read_text().endswith("</script><main></main>")


def test_a_label_cannot_end_the_script(scene, tmp_path):
    path = scene / MANIFEST_NAME
    label = "</script><script>alert(1)</script>"
    manifest = json.loads(path.read_text())
    manifest["objects"][0]["label"] = label
    path.write_text(json.dumps(manifest))
    page = export_page(scene, VIEWER, tmp_path / "scene.html")
    assert page.read_text().count("<script") == 1
    assert embedded(page)["manifest"]["objects"][0]["label"] == label


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname", "objects/link.ply"])
def test_files_outside_the_folder_stay_outside(scene, tmp_path, name):
    (tmp_path / "secret.png").write_text("secret")
    (scene / "objects" / "link.ply").symlink_to(tmp_path / "secret.png")
    path = scene / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    manifest["objects"][0]["files"]["splats"] = name
    manifest["files"].append({"path": name, "bytes": 6, "sha256": ""})
    path.write_text(json.dumps(manifest))
    assert name not in embedded(export_page(scene, VIEWER, tmp_path / "scene.html"))["files"]


def test_a_folder_without_a_scene_is_refused(tmp_path):
    with pytest.raises(InputError, match="finished run"):
        export_page(tmp_path, VIEWER, tmp_path / "scene.html")
    assert not (tmp_path / "scene.html").exists()


def test_an_installation_without_the_viewer_says_how_to_build_it(tmp_path):
    with pytest.raises(SetupError, match="make page"):
        viewer_page(tmp_path)
