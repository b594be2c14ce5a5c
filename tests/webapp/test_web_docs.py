"""docs/web.md says everything there is, and nothing that is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.drivers.web import FakeQualities, fake_settings
from typer.testing import CliRunner

from scenelift.cli import app as command_line
from scenelift.errors import SceneliftError
from scenelift.webapp import errors
from scenelift.webapp.app import create_app
from scenelift.webapp.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "web.md").read_text()


def test_every_setting_is_documented_and_every_documented_setting_exists():
    documented = set(re.findall(r"`SCENELIFT_([A-Z_]+)`", PAGE))
    assert documented == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_documented_default_is_the_default(name, monkeypatch):
    for variable in Settings.model_fields:
        monkeypatch.delenv(f"SCENELIFT_{variable.upper()}", raising=False)
    row = next(line for line in PAGE.splitlines() if f"| `SCENELIFT_{name.upper()}` |" in line)
    shown = row.split("|")[2].strip()
    value = getattr(Settings(), name)
    if name in ("data", "token"):
        return  # the user's own folder, and none
    if isinstance(value, tuple):
        value = ",".join(value)
    assert shown == ("" if value in (None, "") else f"`{value}`")


def test_settings_come_from_the_environment_and_options_win(monkeypatch):
    monkeypatch.setenv("SCENELIFT_PORT", "9000")
    monkeypatch.setenv("SCENELIFT_DEVICES", "cuda:0, cuda:1")
    monkeypatch.setenv("SCENELIFT_TOKEN", "a-secret-of-some-length")
    settings = Settings()
    assert settings.port == 9000
    assert settings.devices == ("cuda:0", "cuda:1")
    assert "secret" not in repr(settings)
    assert Settings.model_validate({"port": 1}).port == 1


def test_every_call_is_documented(tmp_path):
    app = create_app(fake_settings(tmp_path), qualities=FakeQualities())
    for path, calls in app.openapi()["paths"].items():
        short = re.sub(r"\{job_id\}", "{id}", path)
        if path.startswith("/objects"):
            short = "/objects/{job}/{file}"
        for method in calls:
            assert short in PAGE, f"{method} {path}"


def test_every_problem_of_the_web_interface_is_documented():
    slugs = {
        kind.slug
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, SceneliftError) and kind.slug != "error"
    }
    assert {slug for slug in slugs if f"`{slug}`" not in PAGE} == set()


def test_the_server_loads_no_model_and_no_picture_library():
    code = (
        "import sys, scenelift.webapp.serving\n"
        "heavy = {'numba', 'torch', 'PIL', 'scipy', 'skimage', 'onnxruntime', 'trimesh'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "SCENELIFT_TOKEN"),
        (["--port", "99999"], "SCENELIFT_PORT"),
        (["--host", "203.0.113.1"], "SCENELIFT_TOKEN"),
    ],
)
def test_serve_refuses_what_is_unsafe_or_wrong_with_what_to_do(monkeypatch, arguments, message):
    monkeypatch.delenv("SCENELIFT_TOKEN", raising=False)
    result = CliRunner().invoke(command_line, ["serve", *arguments])
    assert result.exit_code == 2
    assert message in result.output


def test_serve_says_when_the_port_is_taken(server, tmp_path):
    line = ["serve", "--port", str(server.port), "--data", str(tmp_path)]
    result = CliRunner().invoke(command_line, line)
    assert result.exit_code == 2
    assert "--port" in result.output
