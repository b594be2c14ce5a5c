"""`scenelift doctor` tells the truth about devices, weights and the embedded default."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.commands.checkup import check_embedded, devices
from scenelift.weights import store
from scenelift.weights.embedded import ARTEFACTS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    return tmp_path


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments])


def install_dinov2(home, features):
    """A model with the ports of DINOv2 that always answers the same."""
    constant = numpy_helper.from_array(features.astype(np.float32), "value")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])
    feat = helper.make_tensor_value_info("feat", TensorProto.FLOAT, list(features.shape))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["value"], ["feat"])], "g", [image], [feat], [constant]
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    artefact = ARTEFACTS["dinov2"]
    contents = dict.fromkeys(artefact.files, model.SerializeToString())
    store.install(home / "weights" / "embedded", artefact, contents)


def test_a_model_that_answers_is_healthy(home):
    install_dinov2(home, np.ones((1, 257, 384)))
    health = check_embedded()
    assert (health["works"], health["problem"], health["models"]) == (True, "", ["dinov2"])


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        (np.full((1, 257, 384), np.nan), r"98688 values that are not finite"),
        (np.ones((1, 2, 384)), r"computed \(1, 2, 384\)"),
    ],
)
def test_a_model_that_computes_nonsense_is_not(home, features, complaint):
    install_dinov2(home, features)
    health = check_embedded()
    assert not health["works"]
    assert re.search(complaint, health["problem"])


def test_a_damaged_model_is_not_healthy(home):
    install_dinov2(home, np.ones((1, 257, 384)))
    path = home / "weights" / "embedded" / "dinov2" / "dinov2.onnx"
    path.write_bytes(b"\0" * path.stat().st_size)
    health = check_embedded()
    assert not health["works"]
    assert "dinov2 is damaged" in health["problem"]


def test_the_asked_quality_decides_about_the_exit_code(home):
    result = doctor("--quality", "embedded")
    assert result.exit_code == 4
    assert "models download embedded" in result.output
    install_dinov2(home, np.ones((1, 257, 384)))
    result = doctor("--quality", "embedded")
    assert result.exit_code == 0, result.output
    assert "can run here" in result.output


def test_a_default_that_is_not_healthy_cannot_run_though_its_files_are_there(home):
    install_dinov2(home, np.full((1, 257, 384), np.nan))
    result = doctor("--quality", "embedded")
    assert result.exit_code == 4
    assert "not finite" in " ".join(result.output.split())


def test_a_device_that_is_not_there_cannot_run(home):
    install_dinov2(home, np.ones((1, 257, 384)))
    result = doctor("--device", "cuda:77")
    assert result.exit_code == 4
    assert "no device 'cuda:77'" in result.output
    assert devices("cpu")["problem"] == ""
    assert devices("auto")["found"][0]["name"] == "cpu"


def test_deep_finds_what_sizes_do_not_show(home):
    install_dinov2(home, np.ones((1, 257, 384)))
    path = home / "weights" / "embedded" / "dinov2" / "dinov2.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    cheap, deep = (json.loads(doctor("--json", *o).stdout)["weights"] for o in ((), ("--deep",)))
    # Two bundles have it.
    assert {row["present"] for row in cheap if row["name"] == "dinov2"} == {True}
    assert {row["present"] for row in deep if row["name"] == "dinov2"} == {False}


def test_json_has_every_section(home):
    findings = json.loads(doctor("--json").stdout)
    assert {row["bundle"] for row in findings["weights"]} >= {"embedded", "full"}
    assert findings["packages"]["scenelift"]
    assert findings["quality"]["can_run"] is False
    assert findings["embedded"]["problem"].startswith("dinov2 is missing")
    assert findings["weights_folder"] == str(home / "weights")


def test_lines_fit_a_hundred_characters(home):
    lines = doctor().output.splitlines()
    assert [line for line in lines if len(line) > 100 and str(home) not in line] == []


def test_pytorch_is_not_imported_before_doctor_is_asked():
    modules = "scenelift.commands.doctor, scenelift.commands.checkup, scenelift.weights.bundles"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr
