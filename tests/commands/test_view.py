"""`scenelift view`: says where, serves there, stops on Ctrl-C; or writes one page."""

import signal
import subprocess
import sys
import urllib.request
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.options import ExportOptions
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.scene import write_scene

QUICK = ExportOptions(preview_frames=1, preview_size=64)
BUILT = files("scenelift").joinpath("webapp", "viewer.html").is_file()
needs_viewer = pytest.mark.skipif(not BUILT, reason="the viewer is not built: make page")


@pytest.fixture
def scene(pipeline, photo, tmp_path):
    folder = tmp_path / "scene"
    write_scene(pipeline.run(photo, ["red"]), folder, options=QUICK)
    return folder


@pytest.fixture
def interruptible():
    """Children hear Ctrl-C, also where a shell started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@needs_viewer
@pytest.mark.usefixtures("interruptible")
def test_serves_until_interrupted(scene):
    command = [sys.executable, "-m", "scenelift", "view", str(scene), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[0]
            with urllib.request.urlopen(f"{address}{MANIFEST_NAME}", timeout=20) as answer:
                assert answer.read() == (scene / MANIFEST_NAME).read_bytes()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


@needs_viewer
def test_export_writes_a_page_and_serves_nothing(scene, tmp_path):
    page = tmp_path / "chair.html"
    result = CliRunner().invoke(app, ["view", str(scene), "--export", str(page)])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(page)
    assert page.read_text().startswith("<!doctype html>")


@needs_viewer
def test_a_folder_without_a_scene_is_a_plain_error(tmp_path):
    result = CliRunner().invoke(app, ["view", str(tmp_path), "--no-browser"])
    assert result.exit_code == 2
    assert "finished run" in result.stderr


@pytest.mark.skipif(BUILT, reason="the viewer is built")
def test_without_the_viewer_it_says_how_to_build_it(scene):
    result = CliRunner().invoke(app, ["view", str(scene), "--no-browser"])
    assert result.exit_code != 0
    assert "make page" in result.stderr


@needs_viewer
def test_other_programs_splats_are_shown_beside_a_scene(scene, tmp_path):
    from tests.io.test_glb_splats import some_splats

    from scenelift.io.splat_formats import write_splats

    write_splats(tmp_path / "garden.spz", some_splats(200), "spz")
    page = tmp_path / "both.html"
    words = ["view", str(tmp_path / "garden.spz"), str(scene), "--export", str(page)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert "garden.spz" in text
    assert f'"label": "{scene.name}"' in text


@needs_viewer
@pytest.mark.parametrize(
    ("name", "hint"), [("none.spz", "There is no"), ("none", "There is no"), ("photo.jpg", ".spz")]
)
def test_what_is_no_splat_file_is_said(tmp_path, name, hint):
    (tmp_path / "photo.jpg").write_bytes(b"")
    result = CliRunner().invoke(app, ["view", str(tmp_path / name), "--no-browser"])
    assert result.exit_code == 2
    assert hint in result.output
