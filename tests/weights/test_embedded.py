"""The table of embedded artefacts, and the calls that read it."""

import re

import pytest

from scenelift.errors import InputError, WeightsError
from scenelift.progress import silent
from scenelift.weights import embedded, store
from scenelift.weights.embedded import ARTEFACTS
from scenelift.weights.home import scenelift_home, weights_folder
from scenelift.weights.onnx_session import session


def install(weights, name):
    artefact = ARTEFACTS[name]
    store.install(weights / "embedded", artefact, dict.fromkeys(artefact.files, b"x"))


def test_the_home_is_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SCENELIFT_HOME", str(tmp_path))
    assert scenelift_home() == tmp_path
    assert weights_folder() == tmp_path / "weights"
    assert weights_folder(tmp_path / "mine") == tmp_path / "mine"


def test_a_missing_artefact_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(WeightsError, match="scenelift models download embedded"):
        embedded.path("dinov2", tmp_path)


def test_a_present_artefact_has_a_path_for_each_of_its_files(tmp_path):
    install(tmp_path, "ssd_oidv4")
    assert embedded.path("ssd_oidv4", tmp_path).name == "ssd_oidv4.onnx"
    assert embedded.path("ssd_oidv4", tmp_path, file="labels.txt").is_file()
    with pytest.raises(KeyError, match=r"labels\.txt"):
        embedded.path("ssd_oidv4", tmp_path, file="nothing.txt")


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_a_flipped_bit_is_found_before_the_weights_are_used(tmp_path, bit):
    install(tmp_path, "ssd_oidv4")
    path = embedded.path("ssd_oidv4", tmp_path)
    (content,) = path.read_bytes()
    path.write_bytes(bytes([content ^ 1 << bit]))
    with pytest.raises(
        WeightsError, match=r"ssd_oidv4\.onnx has SHA-256 .*models download embedded"
    ):
        embedded.path("ssd_oidv4", tmp_path)


def test_only_segmenting_needs_weights_and_they_are_the_features(tmp_path):
    assert embedded.missing_for("pointmap", tmp_path) == []
    assert embedded.missing_for("reconstruct", tmp_path) == []
    (sentence,) = embedded.missing_for("segment", tmp_path)
    assert "dinov2" in sentence
    install(tmp_path, "dinov2")
    assert embedded.missing_for("segment", tmp_path) == []


def test_a_file_that_is_no_model_is_an_error_that_says_how_to_check(tmp_path):
    install(tmp_path, "u2netp")
    with pytest.raises(WeightsError, match="scenelift models verify"):
        session("u2netp", tmp_path)


def test_status_has_a_row_for_every_artefact(tmp_path):
    install(tmp_path, "u2netp")
    rows = {status.name: status for status in embedded.status(tmp_path)}
    assert set(rows) == set(ARTEFACTS)
    assert [name for name, row in rows.items() if row.present] == ["u2netp"]


def test_an_unknown_name_is_refused_before_anything_is_fetched(tmp_path):
    with pytest.raises(InputError, match="dinov2"):
        embedded.download(silent(), tmp_path, ["dino"])


@pytest.mark.parametrize("artefact", ARTEFACTS.values(), ids=ARTEFACTS)
def test_every_row_pins_its_sources_and_names_its_licence(artefact):
    assert artefact.licence
    assert set(artefact.essential_for) <= set(artefact.used_by)
    for member in artefact.members:
        assert re.fullmatch("[0-9a-f]{64}", member.sha256)
        assert re.fullmatch(r"[0-9.]+", member.package.version)
        assert member.size > 0
