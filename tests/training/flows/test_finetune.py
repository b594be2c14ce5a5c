"""A flow learns from examples, and what it learned is a checkpoint folder like any other."""

from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from scenelift.cli import app
from scenelift.errors import InputError
from scenelift.models.sam3d.checkpoints import CheckpointFolder, load_models
from scenelift.models.slat.structure_decoder import StructureEncoder
from scenelift.testing.fakes import disc_photo
from scenelift.training.flows.examples import Example, find_examples
from scenelift.training.flows.finetune import FinetuneOptions, finetune
from scenelift.training.flows.matching import MatchingOptions
from scenelift.training.loop import LoopOptions

SIDE = 3  # of the tiny checkpoints' structure
# Every example is seen whole: the loss is then about the flow alone.
MATCHING = MatchingOptions(drop_condition=0.0, drop_points=0.0)


def write_example(folder, rng, **replaced):
    """A disc with a made-up truth; `replaced` tensors go, where they are None."""
    folder.mkdir(parents=True)
    pixels = disc_photo().pixels
    mask = (pixels[..., 0] > 150) & (pixels[..., 1] < 100)
    PIL.Image.fromarray(pixels).save(folder / "photo.png")
    PIL.Image.fromarray(mask).save(folder / "mask.png")
    height, width = mask.shape
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(1, -1, height))
    quaternion = rng.normal(size=4)
    coords = torch.cartesian_prod(*[torch.arange(4, dtype=torch.int32)] * 3)
    truth = {
        "points": torch.tensor(np.stack([x, y, np.full_like(x, -3.0)], -1), dtype=torch.float32),
        "rotation": torch.tensor(quaternion / np.linalg.norm(quaternion), dtype=torch.float32),
        "translation": torch.tensor(rng.normal(size=3), dtype=torch.float32),
        "scale": torch.tensor([rng.uniform(0.5, 2)], dtype=torch.float32),
        "structure": torch.tensor(rng.normal(size=(8, SIDE, SIDE, SIDE)), dtype=torch.float32),
        "coords": coords,
        "latents": torch.tensor(rng.normal(size=(len(coords), 8)), dtype=torch.float32),
    } | replaced
    save_file({k: v for k, v in truth.items() if v is not None}, folder / "truth.safetensors")


@pytest.fixture
def data(tmp_path, rng):
    for name in ("one", "two"):
        write_example(tmp_path / "data" / name, rng)
    return tmp_path / "data"


def options_for(checkpoints, data, tmp_path, **given):
    return FinetuneOptions(
        weights=checkpoints,
        data=data,
        out=tmp_path / "out",
        device="cpu",
        matching=MATCHING,
        **({"held_out": 0} | given),
    )


@pytest.mark.parametrize("stage", ["structure", "latent"])
def test_the_loss_falls_and_the_result_loads_like_any_checkpoint(
    stage, tiny_checkpoints, data, tmp_path
):
    folder = CheckpointFolder(tiny_checkpoints).folder
    loop = LoopOptions(steps=24, batch=2, rate=1e-2, warmup=2, every=4)
    trained = finetune(stage, options_for(folder, data, tmp_path), loop)
    assert np.mean(trained.losses[-2:]) < 0.8 * trained.losses[0]

    before, after = load_models(folder), load_models(tmp_path / "out")
    changed = f"{stage}_flow"
    for field in dataclasses.fields(before):
        module = getattr(before, field.name)
        if not isinstance(module, torch.nn.Module):
            continue
        other = getattr(after, field.name).state_dict()
        same = all(torch.equal(value, other[name]) for name, value in module.state_dict().items())
        assert same == (field.name != changed), field.name


def test_a_run_goes_on_from_where_it_was(tiny_checkpoints, data, tmp_path):
    folder = CheckpointFolder(tiny_checkpoints).folder
    options, said = options_for(folder, data, tmp_path, held_out=1), []
    for steps in (2, 4):
        loop = LoopOptions(steps=steps, batch=1, every=1)
        finetune("structure", options, loop, resume=tmp_path / "state.pt", say=said.append)
    assert "resumed at step 2" in said
    assert any("held-out loss" in line for line in said)


def test_voxels_are_encoded_where_an_encoder_is_given(tiny_checkpoints, tmp_path, rng):
    files = CheckpointFolder(tiny_checkpoints)
    params = files.structure_decoder().params
    encoder = StructureEncoder(params)
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    cells = torch.tensor([[0, 0, 0], [5, 6, 7]], dtype=torch.int32)
    write_example(tmp_path / "data" / "one", rng, structure=None, voxels=cells)
    loop = LoopOptions(steps=1, batch=1, every=1)
    options = options_for(files.folder, tmp_path / "data", tmp_path)
    with pytest.raises(InputError, match="--encoder"):
        finetune("structure", options, loop)
    options = dataclasses.replace(options, encoder=tmp_path / "encoder.safetensors")
    assert len(finetune("structure", options, loop).losses) == 1


@pytest.mark.parametrize(
    ("stage", "replaced", "complaint"),
    [
        ("structure", {"points": None}, "no tensor 'points'"),
        ("structure", {"scale": torch.zeros(1)}, "the scale 0"),
        ("structure", {"rotation": torch.ones(4)}, "no unit quaternion"),
        ("structure", {"structure": torch.zeros(8, 2, 2, 2)}, r"should have shape \[8, 3, 3, 3\]"),
        ("latent", {"latents": None}, "no tensor 'latents'"),
        ("latent", {"coords": torch.full((64, 3), 900, dtype=torch.int32)}, "cells from 0 to"),
        ("latent", {"coords": torch.zeros(64, 3, dtype=torch.int32)}, "a voxel twice"),
    ],
)
def test_an_example_that_makes_no_sense_is_named(
    stage, replaced, complaint, tiny_checkpoints, tmp_path, rng
):
    write_example(tmp_path / "data" / "odd", rng, **replaced)
    folder = CheckpointFolder(tiny_checkpoints).folder
    options = options_for(folder, tmp_path / "data", tmp_path)
    with pytest.raises(InputError, match=complaint) as caught:
        finetune(stage, options, LoopOptions(steps=1, batch=1))
    assert "odd" in str(caught.value)


def test_the_folder_to_begin_with_is_never_written(tiny_checkpoints, data, tmp_path):
    folder = CheckpointFolder(tiny_checkpoints).folder
    options = dataclasses.replace(options_for(folder, data, tmp_path), out=folder)
    with pytest.raises(InputError, match="choose another"):
        finetune("latent", options, LoopOptions(steps=1))


def test_held_out_examples_are_spread_and_never_all(tmp_path, rng):
    for name in "abcd":
        write_example(tmp_path / name, rng)
    train, held = find_examples(tmp_path, held_out=2)
    assert [e.folder.name for e in train] == ["a", "c"]
    assert [e.folder.name for e in held] == ["b", "d"]
    with pytest.raises(InputError, match="none is left"):
        find_examples(tmp_path, held_out=4)


def test_a_mask_of_another_size_is_refused(tmp_path, rng):
    write_example(tmp_path / "one", rng)
    PIL.Image.new("1", (5, 4), 1).save(tmp_path / "one" / "mask.png")
    with pytest.raises(InputError, match="5"):
        Example(tmp_path / "one").view(32, torch.device("cpu"))


def test_the_command_trains_and_names_the_folder_to_use(tiny_checkpoints, data, tmp_path):
    line = ["train", "flow", "latent", str(data), "--weights", str(tiny_checkpoints)]
    line += ["--out", str(tmp_path / "out"), "--steps", "2", "--batch", "1", "--held", "1"]
    done = CliRunner().invoke(app, [*line, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "held-out loss" in done.output
    assert (tmp_path / "out" / "slat_generator.safetensors").is_file()
    wrong = CliRunner().invoke(app, ["train", "flow", "third", str(data), "--out", "x"])
    assert wrong.exit_code == 2
