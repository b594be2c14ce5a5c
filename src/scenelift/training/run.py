"""What `scenelift train` does, step by step: pack, scenes, heads."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from scenelift.errors import InputError
from scenelift.io.files import atomic_write
from scenelift.training.backbone import Backbone
from scenelift.training.loop import LoopOptions, Trained, train
from scenelift.training.processes import own_device
from scenelift.training.scenes.generate import HEIGHT, WIDTH, make_shards
from scenelift.training.scenes.pack import MeshPack
from scenelift.training.scenes.pictures import Pictures
from scenelift.training.scenes.volumes import coloured_volume, volume_of
from scenelift.training.start import begin, read_weights
from scenelift.training.store import SceneStore
from scenelift.training.tasks import ADAPTABLE, HEADS
from scenelift.training.tasks.shape import Volumes

__all__ = [
    "SceneOptions",
    "TrainOptions",
    "make_scenes",
    "save_weights",
    "train_head",
]

PACK, VOLUMES, PICTURES = "meshes.npz", "volumes.npz", "pictures"
VAL_SHARD = 4  # scenes; training waits for these
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """Options for making training scenes.

    Attributes:
        count, held_out: scenes to train on and to keep out.
        workers: processes; 0 is one a core.
        seed: of the scenes.
        size: width and height.
        volumes: whether to compute which space each model fills, which the shape head alone needs.
    """

    count: int
    held_out: int = 64
    workers: int = 0
    seed: int = 0
    size: tuple[int, int] = (WIDTH, HEIGHT)
    volumes: bool = True


def make_scenes(folder: Path, options: SceneOptions, say: Callable[[str], None]) -> None:
    """Make volumes and shards in a folder with a mesh pack; existing ones are kept.

    Raises:
        InputError: there is no pack in the folder.
    """
    pack = MeshPack.read(folder / PACK)
    workers = options.workers or os.cpu_count() or 1
    started = time.monotonic()
    context = multiprocessing.get_context("spawn")
    if options.volumes and not (folder / VOLUMES).is_file():
        with _single_threads(), context.Pool(workers) as pool:
            tasks = [(folder / PACK, k, workers) for k in range(workers)]
            parts = pool.starmap(_volumes, tasks)
        filled = np.zeros((len(pack.models), 64**3 // 8), np.uint8)
        colours = np.zeros((len(pack.models), 32, 32, 32, 3), np.uint8)
        for k, (some_filled, some_colours) in enumerate(parts):
            filled[k::workers], colours[k::workers] = some_filled, some_colours
        unfinished = folder / f".{VOLUMES}"
        with unfinished.open("wb") as file:
            np.savez(file, filled=filled.reshape(-1), colours=colours)
        unfinished.replace(folder / VOLUMES)
        say(f"volumes of {len(pack.models)} models in {time.monotonic() - started:.0f} s")
    with _single_threads(), context.Pool(workers) as pool:
        # In no order: the first worker that fails ends all of them and is reported. Otherwise the
        # others would go on for hours beside a training that waits for its shards.
        for _ in pool.imap_unordered(
            partial(_shards, folder, workers=workers, options=options), range(workers)
        ):
            pass
    say(f"{options.count} scenes in {time.monotonic() - started:.0f} s")


@contextmanager
def _single_threads() -> Iterator[None]:
    """Context: processes that start in here use one thread each for arithmetic.

    Libraries read these when they are imported, which a pool's initializer is too late for: on 64
    cores 54 workers with 64 threads each made 22 scenes a second, with one each 71.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _volumes(path: Path, worker: int, workers: int) -> tuple[NDArray, NDArray]:
    models = MeshPack.read(path).models[worker::workers]
    # Eight voxels a byte: it goes through a pipe.
    pairs = [(np.packbits(volume_of(m.surface)), coloured_volume(m.surface)) for m in models]
    return (
        np.array([filled for filled, _ in pairs], np.uint8).reshape(-1, 64**3 // 8),
        np.array([colours for _, colours in pairs], np.uint8).reshape(-1, 32, 32, 32, 3),
    )


def _shards(folder: Path, worker: int, *, workers: int, options: SceneOptions) -> None:
    if hasattr(os, "sched_setaffinity"):
        # embree starts a thread a core in every process unless the process has but one.
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[worker % len(cores)]})
    pack, pictures = MeshPack.read(folder / PACK), Pictures.read(folder / PICTURES)

    def make(count: int, split: str, per_shard: int) -> None:
        make_shards(
            pack,
            folder,
            seed=options.seed,
            worker=worker,
            workers=workers,
            count=count,
            per_shard=per_shard,
            split=split,
            size=options.size,
            pictures=pictures,
        )

    make(options.held_out, "val", VAL_SHARD)
    make(options.count, "train", 16)


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Options for training a head; the rest is `LoopOptions`.

    Attributes:
        scenes: folder of shards.
        capacity: most scenes on the device.
        at_least: scenes to wait for before the first step.
        held_out: scenes kept out, to evaluate on.
        adapt: rank of the adapters by which the head changes the backbone; 0: it does not.
        channels_last: order of the convolutions' tensors in memory.
        best: the result is the weights of the best evaluation in place of the last ones.
        tune: let cuDNN try its algorithms, which pays where all batches have one size.
        device: "cuda", "cuda:1", "cpu".
        size: width and height of the scenes.
    """

    scenes: Path
    capacity: int
    at_least: int
    held_out: int = 64
    adapt: int = 0
    best: bool = False
    channels_last: bool = False
    tune: bool = False
    device: str = "cuda"
    size: tuple[int, int] = (WIDTH, HEIGHT)


def train_head(
    name: str,
    options: TrainOptions,
    loop: LoopOptions,
    *,
    backbone: Path,
    checkpoint: Path | None = None,
    start: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    keep: Callable[[dict[str, Tensor]], None] = lambda weights: None,
    paused: Callable[[], bool] = lambda: False,
) -> Trained:
    """Train one of `HEADS`.

    Args:
        backbone: `dinov2.onnx`.
        checkpoint: to resume from and to write.
        start: weights to begin with, as `read_weights` reads them; None begins at random.
        keep, paused: as `train` has them.

    Raises:
        InputError: no head has that name, it cannot be adapted, or there are no scenes.
        WeightsError: the backbone is missing.
    """
    if name not in HEADS:
        raise InputError(f"There is no head {name!r}. Choose from {', '.join(HEADS)}.")
    if options.adapt and name not in ADAPTABLE:
        raise InputError(f"{name} cannot be adapted. Choose from {', '.join(ADAPTABLE)}.")
    _, task_of = HEADS[name]
    device = own_device(options.device)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = options.tune
    torch.manual_seed(loop.seed)
    held_out = SceneStore(options.held_out, options.size, device)
    train_store = SceneStore(options.capacity, options.size, device)
    held_out.follow(options.scenes, "val-*.npz", at_least=options.held_out, say=say)
    train_store.follow(options.scenes, "train-*.npz", at_least=options.at_least, say=say)
    features = Backbone.load(backbone).to(device)
    more: dict[str, Any] = {}
    if name == "shape":
        more["volumes"] = Volumes.read(options.scenes / VOLUMES, device)
    if options.adapt:
        more["adapt"] = options.adapt
    task = task_of(features, train_store, held_out, **more)
    if options.channels_last:
        task.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        begin(task.network, read_weights(start))
    count = sum(p.numel() for p in task.network.parameters())
    say(f"{name}: {count / 1e6:.2f} M parameters on {device}")
    score = task.score if options.best else None
    return train(task, loop, checkpoint, say, keep, paused, score)


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Save weights in float16, as safetensors; readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by `save_file`, whose files only their owner may read.
    with atomic_write(path) as file:
        file.write(save({k: v.half().contiguous().cpu() for k, v in weights.items()}))
