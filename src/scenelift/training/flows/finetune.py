"""Fine-tunes one flow of a checkpoint folder on examples, and writes a checkpoint folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from scenelift.errors import InputError, OutputError
from scenelift.io.files import TEMPORARY_PREFIX
from scenelift.models.sam3d.checkpoints import FLOW_PREFIX, CheckpointFolder
from scenelift.models.sam3d.condition import ConditionEmbedder
from scenelift.models.slat.structure_decoder import StructureEncoder
from scenelift.options import BackendOptions
from scenelift.reconstruct.sam3d import checkpoint_folder
from scenelift.training.flows.examples import find_examples
from scenelift.training.flows.latent import LatentTask
from scenelift.training.flows.matching import MatchingOptions
from scenelift.training.flows.structure import StructureTask
from scenelift.training.loop import LoopOptions, Task, Trained, train
from scenelift.training.processes import is_first, own_device
from scenelift.weights.seals import RECORD
from scenelift.weights.state_dicts import load_module, read_state_dict

__all__ = ["STEMS", "FinetuneOptions", "Stage", "finetune", "read_stage"]

Stage = Literal["structure", "latent"]

STEMS: Mapping[str, str] = {"structure": "ss_generator", "latent": "slat_generator"}
"""The file of the checkpoint folder that each stage's flow is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneOptions:
    """The data and the stage to train; the rest is `LoopOptions`.

    Attributes:
        weights: folder with the weights to begin with, published or converted; None for the cache.
        data: folder of examples.
        out: folder to write; must not be the one to begin with.
        held_out: examples to keep out and evaluate on.
        encoder: file of a structure encoder, for examples that have voxels only.
        device: "cuda", "cuda:1", "cpu".
        matching: how examples are shown.
    """

    data: Path
    out: Path
    weights: Path | None = None
    held_out: int = 4
    encoder: Path | None = None
    device: str = "cuda"
    matching: MatchingOptions = field(default_factory=MatchingOptions)


def finetune(
    stage: Stage,
    options: FinetuneOptions,
    loop: LoopOptions,
    *,
    resume: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Trained:
    """Train one stage's flow and write a checkpoint folder that `--weights` takes.

    The condition embedders stay as they are, as in the published training. Every other file of
    the folder is linked, or copied where links cannot be made.

    Args:
        resume: file to go on from and to keep up to date.
        say: receives lines for people.

    Raises:
        InputError: the examples make no sense, or `out` is the folder to begin with.
        WeightsError: the checkpoints are missing or damaged.
        OutputError: `out` cannot be written.
    """
    files = CheckpointFolder(checkpoint_folder(BackendOptions(weights=options.weights)))
    if options.out.resolve() == files.folder.resolve():
        raise InputError(f"{options.out} is the folder to begin with: choose another with --out.")
    device = own_device(options.device)
    task = _task(stage, files, options, device)
    # Optimisers need full precision to take small steps; the loop computes in half where it can.
    task.network.float().to(device).train()
    for name, parameter in task.network.named_parameters():
        parameter.requires_grad_(not name.endswith(_CONSTANTS))
    count = sum(p.numel() for p in task.network.parameters() if p.requires_grad)
    say(f"{stage} flow: {count / 1e6:.1f} M parameters on {device}")
    trained = train(task, loop, resume, say)
    if is_first():
        _write(files, STEMS[stage], trained.network, options.out)
    return trained


# A constant that checkpoints happen to store, not a weight.
_CONSTANTS = ("latent_mapping.shape.pos_emb",)


def read_stage(name: str) -> Stage:
    """Return a stage by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name == "structure" or name == "latent":
        return name
    raise InputError(f"{name!r} is no stage. Known: {', '.join(STEMS)}.")


def _task(
    stage: Stage, files: CheckpointFolder, options: FinetuneOptions, device: torch.device
) -> Task:
    examples, held_out = find_examples(options.data, held_out=options.held_out)
    if stage == "structure":
        condition = files.structure_condition().float().to(device)
        encoder = None
        if options.encoder is not None:
            encoder = _encoder(options.encoder, files).to(device)
        return StructureTask(
            files.structure_flow(),
            condition,
            examples,
            held_out,
            image_size=_image_size(condition),
            options=options.matching,
            encoder=encoder,
        )
    condition = files.latent_condition().float().to(device)
    decoder = files.structure_decoder().params
    side = files.structure_flow().params.resolution
    return LatentTask(
        files.latent_flow(),
        condition,
        examples,
        held_out,
        image_size=_image_size(condition),
        resolution=side * 2 ** (len(decoder.channels) - 1),
        settings=files.settings(),
        options=options.matching,
    )


def _image_size(condition: ConditionEmbedder) -> int:
    dino = condition.params.dino
    return dino.side * dino.patch


def _encoder(path: Path, files: CheckpointFolder) -> StructureEncoder:
    """Build the encoder that mirrors the folder's structure decoder."""
    if not path.is_file():
        raise InputError(f"There is no encoder {path}.")
    params = files.structure_decoder().params
    encoder = load_module(lambda: StructureEncoder(params), read_state_dict(path), source=str(path))
    return encoder.float()


def _write(files: CheckpointFolder, stem: str, learned: Mapping[str, Tensor], out: Path) -> None:
    """Write the folder's files, with the flow's tensors replaced by the trained ones."""
    tensors = files.tensors(stem)
    for name, value in learned.items():
        full = FLOW_PREFIX + name.removeprefix("flow.")
        tensors[full] = value.to(tensors[full].dtype)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path in sorted(files.folder.iterdir()):
            if path.is_file() and path.stem != stem and path.name != RECORD:
                _link(path, out / path.name)
        _link(files.settings_file(stem), out / files.settings_file(stem).name)
        partial = out / f"{TEMPORARY_PREFIX}{stem}.safetensors"
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, partial)
        partial.replace(out / f"{stem}.safetensors")
    except OSError as exc:
        raise OutputError(f"Cannot write to {out}: {exc.strerror or exc}.") from exc


def _link(source: Path, target: Path) -> None:
    if not source.is_file() or target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
