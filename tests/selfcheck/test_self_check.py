"""`models verify --run` passes weights that work, and names the stages at fault of made-up ones."""

import json
from pathlib import Path

from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.selfcheck.record import has_passed, remember
from scenelift.weights.bundles import LIGHT, OPEN


def verify(*arguments: object):
    return CliRunner().invoke(app, ["models", "verify", "--run", *(str(a) for a in arguments)])


def test_the_embedded_models_pass(tmp_path):
    page = tmp_path / "page.md"
    result = verify("embedded", "--out", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("# Self-check of scenelift")
    assert "passed" in text.splitlines()[0]
    for stage in ("segment", "pointmap", "reconstruct", "finish"):
        assert f"## {stage}: ok" in text
    assert str(Path.home()) not in text


def test_made_up_weights_fail_with_the_stages_named(tiny_light, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "light").symlink_to(tiny_light / "light")
    remember("light", LIGHT.names, weights, passed=True)
    page = tmp_path / "page.md"
    result = verify("light", "--weights", weights, "--device", "cpu", "--out", page, "--json")
    assert result.exit_code == 4, result.output
    document = json.loads(result.stdout)
    assert not document["passed"]
    # The shape head's eyes are not there either; its stand-in's meshes are sound.
    assert document["failed_stages"] == ["segment", "pointmap", "reconstruct"]
    assert "## segment: FAILED" in page.read_text()
    assert "its shapes come from the trained head" in page.read_text()
    assert "## finish: ok" in page.read_text()
    assert not has_passed("light", LIGHT.names, weights)


def test_made_up_weights_of_a_reconstructor_fail_there(tiny_open, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "open").symlink_to(tiny_open / "open")
    page = tmp_path / "page.md"
    result = verify("open", "--weights", weights, "--device", "cpu", "--out", page)
    assert result.exit_code == 4, result.output
    assert "stages at fault: segment, pointmap, reconstruct" in result.output
    assert "logits of the structure" in page.read_text()
    assert not has_passed("open", OPEN.names, weights)


def test_missing_weights_are_said_with_the_next_step(tmp_path):
    result = verify("light", "--weights", tmp_path, "--out", tmp_path / "page.md")
    assert result.exit_code == 4
    assert "scenelift models download light" in result.output
    assert not (tmp_path / "page.md").exists()
