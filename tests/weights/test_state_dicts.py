"""Weights are read without running code, and fit their module exactly or not at all."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from scenelift.errors import WeightsError
from scenelift.weights.state_dicts import load_module, read_state_dict, under_prefix


class Attack:
    """Writes a file when unpickled without restrictions."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.write_text, (self.marker, "executed")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {"weight": torch.randn(4, 3, generator=rng), "bias": torch.randn(4, generator=rng)}


@pytest.mark.parametrize(("wrap", "member"), [(False, None), (True, "state_dict"), (False, "x")])
def test_a_torch_file_gives_back_its_tensors(tmp_path, tensors, wrap, member):
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": tensors, "epoch": 3} if wrap else tensors, path)
    loaded = read_state_dict(path, member=member)
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)


def test_a_safetensors_file_gives_back_its_tensors(tmp_path, tensors):
    save_file(tensors, tmp_path / "model.safetensors")
    loaded = read_state_dict(tmp_path / "model.safetensors")
    assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)


def test_a_pickle_that_runs_code_is_refused_unrun(tmp_path, tensors):
    marker, path = tmp_path / "marker", tmp_path / "model.ckpt"
    torch.save({"state_dict": tensors, "extra": Attack(marker)}, path)
    with pytest.raises(WeightsError, match="asks to run code"):
        read_state_dict(path, member="state_dict")
    assert not marker.exists()


def test_a_plain_pickle_is_refused_unrun(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "model.ckpt"
    path.write_bytes(pickle.dumps(Attack(marker)))
    with pytest.raises(WeightsError):
        read_state_dict(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
@pytest.mark.parametrize("keep", [0, 7, 0.5, 0.98])
def test_a_file_cut_short_is_reported(tmp_path, tensors, name, keep):
    path = tmp_path / name
    (save_file if name.endswith("tensors") else torch.save)(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(WeightsError, match=name):
        read_state_dict(path)


def test_a_missing_file_is_reported_with_what_to_do(tmp_path):
    for name in ("none.ckpt", "none.safetensors"):
        with pytest.raises(WeightsError, match="scenelift models download"):
            read_state_dict(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}])
def test_a_file_without_named_tensors_is_reported(tmp_path, content):
    torch.save(content, tmp_path / "model.ckpt")
    with pytest.raises(WeightsError, match="no table of named tensors"):
        read_state_dict(tmp_path / "model.ckpt")


def test_a_module_is_built_around_the_tensors_without_copies(tensors):
    module = load_module(lambda: nn.Linear(3, 4), tensors, source="test")
    assert module.weight.data_ptr() == tensors["weight"].data_ptr()
    assert not module.training
    assert not module.weight.requires_grad
    x = torch.ones(3)
    torch.testing.assert_close(module(x), tensors["weight"].sum(1) + tensors["bias"])


def test_every_misfit_is_named(tensors):
    wrong = {"weight": torch.zeros(4, 5), "gain": torch.zeros(4)}
    with pytest.raises(WeightsError) as caught:
        load_module(lambda: nn.Linear(3, 4), wrong, source="test weights")
    message = str(caught.value)
    assert "test weights" in message
    assert "1 missing (bias)" in message
    assert "1 left over (gain)" in message
    assert "weight [4, 5] instead of [4, 3]" in message


def test_a_prefix_selects_and_is_removed():
    a, b = torch.zeros(1), torch.zeros(2)
    assert under_prefix({"x.a": a, "y.b": b}, "x.") == {"a": a}
