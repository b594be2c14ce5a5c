"""MoGe's file is read as published, as safetensors, or refused with a reason."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from scenelift.errors import WeightsError
from scenelift.models.layers.dino import DinoParams
from scenelift.models.moge.checkpoint import MoGeSettings, load_moge
from scenelift.models.moge.network import MoGe, MoGeParams

TINY = MoGeParams(
    backbone=DinoParams(width=64, blocks=2, side=3, registers=0),
    layers=2,
    projection=8,
    upsampling=(8, 6),
    residual_blocks=1,
    last_channels=4,
)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return MoGe(TINY).eval()


def save(path, network, **model_config):
    torch.save({"model_config": model_config, "model": network.state_dict()}, path)
    return path


def test_sizes_and_settings_come_from_the_file(tmp_path, network):
    path = save(tmp_path / "model.pt", network, trained_area_range=[1e4, 2e4], mask_threshold=0.3)
    loaded, settings = load_moge(path)
    assert loaded.params == TINY
    assert settings == MoGeSettings(tokens=102, mask_threshold=0.3)  # 20 000 / 14² patches
    image = torch.rand(1, 3, 50, 40)
    with torch.inference_mode():
        for ours, theirs in zip(loaded(image, 30), network(image, 30), strict=True):
            assert torch.equal(ours, theirs)


def test_published_settings_are_the_default(tmp_path, network):
    _, settings = load_moge(save(tmp_path / "model.pt", network, num_tokens_range=[1275, 2551]))
    assert settings == MoGeSettings()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    loaded, settings = load_moge(tmp_path / "model.safetensors")
    assert (loaded.params, settings) == (TINY, MoGeSettings())


def test_another_remapping_is_refused(tmp_path, network):
    with pytest.raises(WeightsError, match="remap_output is 'sinh'"):
        load_moge(save(tmp_path / "model.pt", network, remap_output="sinh"))


def test_another_model_is_refused(tmp_path):
    torch.save({"model_config": {}, "model": {"encoder.weight": torch.zeros(1)}}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match="no MoGe v1"):
        load_moge(tmp_path / "m.pt")


def test_a_missing_tensor_is_named(tmp_path, network):
    tensors = dict(network.state_dict())
    del tensors["backbone.norm.bias"]
    torch.save({"model_config": {}, "model": tensors}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=r"1 missing \(backbone.norm.bias\)"):
        load_moge(tmp_path / "m.pt")
