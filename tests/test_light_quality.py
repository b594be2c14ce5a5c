"""The light quality: any phrase on a CPU, taken by `auto` once its self-check has passed."""

import json

import pytest
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.errors import BackendUnavailable
from scenelift.options import BackendOptions
from scenelift.qualities import FROM_FILES, QUALITIES, BackendNames, choose_backends
from scenelift.selfcheck.record import has_passed, remember
from scenelift.weights.bundles import LIGHT

BOX = ("--box", "26,36,74,84")


def invoke(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_photo_becomes_a_folder_in_metres_on_a_cpu(tiny_light, photo, tmp_path):
    out = tmp_path / "out"
    result = invoke(
        *("run", photo, "--quality", "light", *BOX, "--weights", tiny_light, "--device", "cpu"),
        *("--no-refine", "--no-repair", "--max-objects", 1, "--faces", 500, "--out", out),
        *("--texture-size", 64, "--preview-frames", 2, "--preview-size", 32),
    )
    assert result.exit_code == 0, result.output
    manifest = json.loads((out / "scene.json").read_text())
    assert manifest["quality"] == "light"
    assert manifest["units"] == "metres"
    backends = manifest["backends"]
    assert backends["segmenter"].startswith("grounded-sam2-tiny IDEA-Research/grounding-dino-tiny")
    assert backends["pointmapper"].startswith("moge-2-small ViT width 64, 20 tokens")
    assert backends["reconstructor"].startswith("embedded")
    assert all("commercial use allowed" in line for line in manifest["licences"].values())


@pytest.fixture
def options(tiny_light, tmp_path, monkeypatch) -> BackendOptions:
    """Weights of which nothing is known yet, and an embedded quality that needs none."""
    nothing = BackendNames(segmenter=FROM_FILES, pointmapper=FROM_FILES, reconstructor=FROM_FILES)
    monkeypatch.setitem(QUALITIES, "embedded", nothing)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "light").symlink_to(tiny_light / "light")
    return BackendOptions(weights=weights, device="cpu")


def test_auto_takes_it_once_its_self_check_has_passed(options):
    before = choose_backends("auto", options)
    assert before.quality == "embedded"
    assert "for 'light': `scenelift models verify --run light`" in before.notes[0]
    remember("light", LIGHT.names, options.weights, passed=True)
    after = choose_backends("auto", options)
    assert after.quality == "light"
    assert after.names == QUALITIES["light"]
    remember("light", LIGHT.names, options.weights, passed=False)
    assert choose_backends("auto", options).quality == "embedded"


def test_auto_points_to_the_self_check_where_nothing_else_can_run(options, monkeypatch):
    gone = BackendNames(segmenter="gone", pointmapper=FROM_FILES, reconstructor=FROM_FILES)
    monkeypatch.setitem(QUALITIES, "embedded", gone)
    with pytest.raises(BackendUnavailable, match=r"models verify --run light.*--quality light"):
        choose_backends("auto", options)


def test_where_it_is_not_auto_says_how_to_get_it(options, tmp_path):
    (note,) = choose_backends("auto", BackendOptions(weights=tmp_path / "none")).notes
    assert "`scenelift models download light`" in note


def test_a_named_quality_needs_no_self_check(options):
    assert choose_backends("light", options).quality == "light"


def test_other_weights_have_passed_nothing(tiny_light, tmp_path):
    for name in LIGHT.names:
        folder = tmp_path / "light" / name
        folder.mkdir(parents=True)
        for file in (tiny_light / "light" / name).iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    assert not has_passed("light", LIGHT.names, tmp_path)
    remember("light", LIGHT.names, tmp_path, passed=True)
    assert has_passed("light", LIGHT.names, tmp_path)
    model = tmp_path / "light" / "moge-2-vits-normal" / "model.pt"
    model.write_bytes(model.read_bytes() + b"\0")
    assert not has_passed("light", LIGHT.names, tmp_path)
    (tmp_path / "selfcheck.json").write_text("no json")
    assert not has_passed("light", LIGHT.names, tmp_path)
    model.unlink()
    remember("light", LIGHT.names, tmp_path, passed=True)
    assert not has_passed("light", LIGHT.names, tmp_path)
