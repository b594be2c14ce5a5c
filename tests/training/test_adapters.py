"""Heads that change the backbone: silently at first, by what is trained and saved, and no more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from scenelift.commands.train import app
from scenelift.errors import InputError
from scenelift.training.adapters import ADAPTERS, AdaptedHead, by_block
from scenelift.training.backbone import BLOCKS, Backbone
from scenelift.training.export import blended
from scenelift.training.loop import LoopOptions, train
from scenelift.training.network import Head, HeadParams
from scenelift.training.run import save_weights
from scenelift.training.start import begin, read_weights
from scenelift.training.tasks import depth
from scenelift.weights.dinov2_adapters import read_adapters

SMALL = HeadParams(hints=1, pixels=1, globals=1, blocks=1, width=64, channels=(8, 8, 8))
RANK = 2


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return Backbone().eval()


def adapted(backbone, *, heard=False):
    network = AdaptedHead(Head(SMALL), backbone, RANK).eval()
    for up in network.adapters.up.values():
        nn.init.normal_(up, std=0.3 * heard)
    return network


def example(rows=2, columns=3):
    return (
        [torch.randn(1, 3, 14 * rows, 14 * columns)],
        torch.randn(1, 3, 8 * rows, 8 * columns),
        torch.randn(1, 1, 8 * rows, 8 * columns),
    )


class Dark:
    """Asks for maps of nothing; one batch is broken."""

    network: nn.Module

    def __init__(self, network, broken=None):
        self.network, self.count, self.broken = network, 0, broken

    def batch(self, size, generator):
        self.count += 1
        return example()

    def loss(self, network, batch):
        maps, _ = network(*batch)
        return maps.square().mean() + (np.nan if self.count == self.broken else 0), {}

    def evaluate(self, network):
        return {}


def test_adapters_begin_with_the_features_as_they_are(backbone):
    network, (levels, photo, hints) = adapted(backbone), example()
    with torch.no_grad():
        found = network(levels, photo, hints)
        wanted = network.head(backbone(levels[0]), photo, hints)
    torch.testing.assert_close(found, wanted)


def test_a_layer_adds_two_thin_products_under_the_names_that_are_saved(backbone):
    network = adapted(backbone, heard=True)
    matrices = network.adapters.matrices(backbone)
    thin = by_block(network.state_dict())
    assert len(matrices) == 4 * BLOCKS
    assert len(thin) == 2 * len(matrices)
    for layer in ("blocks.0.attn.qkv", "blocks.11.mlp.fc2"):
        frozen = backbone.vit.get_parameter(f"{layer}.weight")
        x = torch.randn(5, frozen.shape[1])
        down, up = thin[f"{layer}.down"].float(), thin[f"{layer}.up"].float()
        wanted = x @ frozen.T + (x @ down) @ up
        found = x @ matrices[f"{layer}.weight"].T
        torch.testing.assert_close(found, wanted, atol=2e-2, rtol=2e-3)
        assert (found - x @ frozen.T).abs().mean() > 0.1


def test_training_changes_adapters_and_head_and_keeps_the_backbone(backbone, tmp_path):
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    task = Dark(adapted(backbone))
    options = LoopOptions(steps=3, batch=1, warmup=1, rate=1e-3, rates={ADAPTERS: 2.0})
    checkpoint = tmp_path / "run.pt"
    done = train(task, options, checkpoint)
    assert not any("vit" in name for name in done.network)
    assert all(value.any() for name, value in done.network.items() if "up." in name)
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert checkpoint.stat().st_size < 4.5 * sum(4 * v.numel() for v in done.network.values())


def test_weights_of_the_best_evaluation_outlive_later_ones_and_a_pause(tmp_path):
    qualities = iter([0.3, 0.8, float("nan"), 0.6, 0.1])
    evaluated, written = [], []

    class Judged(Dark):
        def evaluate(self, network):
            evaluated.append({k: v.clone() for k, v in network.state_dict().items()})
            return {"quality": next(qualities)}

    def network():
        torch.manual_seed(2)
        return Head(HeadParams(hints=1, pixels=1, globals=1, scale=2, blocks=1, channels=(8, 8, 8)))

    class Plain(Judged):
        def loss(self, network, batch):
            features = [torch.zeros(1, 7, 384)] * 4
            maps, _ = network(features, batch[1], batch[2])
            return maps.square().mean(), {}

    options = LoopOptions(steps=5, batch=1, warmup=1, rate=1e-2, evaluate_every=1, save_every=0.0)
    task = Plain(network())
    arguments = (options, tmp_path / "run.pt")
    more = {"keep": lambda w: written.append(w), "score": lambda figures: figures["quality"]}
    train(task, *arguments, **more, paused=lambda: task.count == 3)
    done = train(Plain(network()), *arguments, **more)
    assert done.figures == {"quality": 0.8}
    assert len(evaluated) == 5
    for name, value in evaluated[1].items():
        torch.testing.assert_close(done.network[name], value, rtol=0, atol=0)
        torch.testing.assert_close(written[2][name], value, rtol=0, atol=0)
    last = train(Plain(network()), *arguments).network  # without a score
    for name, value in evaluated[4].items():
        torch.testing.assert_close(last[name], value, rtol=0, atol=0)
    assert any(not torch.equal(done.network[k], v) for k, v in last.items())


def test_adapters_have_a_rate_of_their_own(backbone):
    changes = {}
    for factor in (0.0, 1.0):
        torch.manual_seed(1)
        task = Dark(adapted(backbone))
        train(task, LoopOptions(steps=2, batch=1, warmup=1, rates={ADAPTERS: factor}))
        changes[factor] = max(up.abs().max() for up in task.network.adapters.up.values())
    assert changes[0.0] == 0 < changes[1.0]


def test_features_have_noise_in_training_alone(backbone):
    network, batch = adapted(backbone), example()
    with torch.no_grad():
        assert torch.equal(network(*batch)[0], network(*batch)[0])
        network.train()
        assert not torch.equal(network(*batch)[0], network(*batch)[0])


def test_a_broken_batch_changes_nothing(backbone):
    task = Dark(adapted(backbone), broken=2)
    lines = []
    train(task, LoopOptions(steps=3, batch=1, warmup=1, every=1), say=lines.append)
    assert "nan" in lines[1]
    assert all(value.isfinite().all() for value in task.network.state_dict().values())


def test_a_paused_run_is_kept_and_goes_on(backbone, tmp_path):
    task, lines, kept = Dark(adapted(backbone)), [], []
    arguments = (tmp_path / "run.pt", lines.append, kept.append)
    options = LoopOptions(steps=4, batch=1)
    first = train(task, options, *arguments, paused=lambda: task.count == 2)
    assert first.steps == 2
    assert len(kept) == 1
    assert train(task, options, *arguments).steps == 4
    assert "resumed at step 2" in lines


@pytest.mark.parametrize("earlier", ["head", "adapted"])
def test_an_adapted_run_begins_with_a_head_or_with_another_one(backbone, tmp_path, earlier):
    network = adapted(backbone, heard=True)
    weights = network.head if earlier == "head" else network
    save_weights(weights.state_dict(), tmp_path / "earlier.safetensors")
    later = adapted(backbone)
    begin(later, read_weights(tmp_path / "earlier.safetensors"))
    batch = example()
    with torch.no_grad():
        found = later(*batch)[0]
        wanted = network(*batch)[0]
        plain = network.head(backbone(batch[0][0]), *batch[1:])[0]
    if earlier == "head":
        wanted, plain = plain, wanted
    assert (found - wanted).abs().mean() < 0.05 * (found - plain).abs().mean()


@pytest.mark.parametrize("rank", [0, RANK - 1])
def test_a_training_that_would_lose_adapters_does_not_begin(rank, backbone):
    whole = AdaptedHead(Head(depth.PARAMS), backbone, RANK).state_dict()
    weights = {name.removeprefix("head."): v for name, v in whole.items()}
    narrow = Head(depth.PARAMS)
    with pytest.raises(InputError, match=f"give --adapt {RANK}"):
        begin(AdaptedHead(narrow, backbone, rank) if rank else narrow, weights)


def test_half_of_what_adapters_add_is_blended_with_a_head_that_has_none(backbone):
    network = adapted(backbone, heard=True)
    whole = {name.removeprefix("head."): v for name, v in network.state_dict().items()}
    alone = {name: v for name, v in whole.items() if not name.startswith(ADAPTERS)}
    half = by_block(blended(alone, whole, 0.5))
    for name, value in by_block(whole).items():
        share = 0.5 if name.endswith("up") else 1.0
        torch.testing.assert_close(half[name].float(), share * value.float(), atol=1e-3, rtol=1e-3)
    back = by_block(blended(whole, alone, 0.75))  # from the adapted one towards the other
    name = "blocks.3.mlp.fc1.up"
    torch.testing.assert_close(back[name].float(), 0.25 * by_block(whole)[name].float())


def test_export_writes_adapters_beside_the_head(backbone, tmp_path):
    torch.manual_seed(2)
    network = AdaptedHead(Head(depth.PARAMS), backbone, RANK)
    save_weights(network.state_dict(), tmp_path / "run.safetensors")
    (tmp_path / "plain").touch()
    assert (tmp_path / "run.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    out = tmp_path / "depth.onnx"
    done = CliRunner().invoke(
        app, ["export", "depth", str(tmp_path / "run.safetensors"), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    thin = read_adapters(tmp_path / "depth_adapter.safetensors")
    assert thin["blocks.3.attn.qkv.down"].shape == (384, RANK)
    assert thin["blocks.3.mlp.fc1.up"].shape == (RANK, 4 * 384)
    again = read_weights(out)
    for name, value in network.adapters.state_dict().items():
        step = value.abs().max() / 127
        torch.testing.assert_close(again[f"{ADAPTERS}{name}"], value, atol=float(step), rtol=0)
    assert out.stat().st_size > 1e6

    save_weights(Head(depth.PARAMS).state_dict(), tmp_path / "plain.safetensors")
    done = CliRunner().invoke(
        app, ["export", "depth", str(tmp_path / "plain.safetensors"), "--out", str(out)]
    )
    assert "depth_adapter.safetensors: deleted" in " ".join(done.output.split())
    assert not any(name.startswith(ADAPTERS) for name in read_weights(out))
    for wrong, said in (("shape", "of another network"), ("dept", "There is no head")):
        other = tmp_path / "other.onnx"
        done = CliRunner().invoke(app, ["export", wrong, str(out), "--out", str(other)])
        assert done.exit_code == 2
        assert said in " ".join(done.output.split())
        assert not other.exists()
