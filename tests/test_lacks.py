"""What a backend lacks: packages, weights, something else."""

import copy

import pytest

from scenelift.errors import BackendUnavailable
from scenelift.lacks import Lack, lacking_packages, lacking_weights_of
from scenelift.options import BackendOptions
from scenelift.qualities import choose_backends


def test_packages_that_are_not_here_are_named_together():
    (lack,) = lacking_packages("json", "no_such_package", "nor_this")
    assert lack.packages == ("no_such_package", "nor_this")
    assert lack.startswith("no_such_package, nor_this not installed: `pip install")
    assert lacking_packages("json") == []


def test_a_lack_is_its_sentence_and_a_copy_of_it_knows_its_kind():
    lack = copy.deepcopy(lacking_weights_of("MoGe", "fetch it"))
    assert lack == "no weights of MoGe: fetch it"
    assert (lack.weights_of, lack.packages) == ("MoGe", ())


def test_weights_alone_are_named_with_one_command_for_all(tmp_path, monkeypatch):
    for name in ("SCENELIFT_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(BackendUnavailable) as error:
        choose_backends("full", BackendOptions(device="cpu"))
    assert "no weights of facebook/sam3, MoGe, SAM 3D Objects. " in str(error.value)
    assert str(error.value).count("models download") == 1


def test_with_anything_else_missing_each_is_told(monkeypatch):
    odd = [Lack("it rains"), lacking_weights_of("MoGe", "fetch it")]
    monkeypatch.setattr("scenelift.qualities.lacking", lambda names, options: odd)
    with pytest.raises(BackendUnavailable, match="it rains; no weights of MoGe: fetch it"):
        choose_backends("full", BackendOptions(device="cpu"))
