"""Trains what judges boxes where no detector is sure: `segment/embedded/judge.py`.

The detectors and the classifier look at rendered scenes as they look at photos; every word that a
scene has, and some that it has not, is asked for. What is learned are some hundred numbers, in
seconds; looking takes four seconds of a core a scene.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scenelift.errors import InputError
from scenelift.io.files import write_bytes
from scenelift.models.embedded.box_fusion import iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.models.embedded.nanodet import NanoDet
from scenelift.models.embedded.ssd import SSD
from scenelift.progress import silent
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.detectors import detect_twice
from scenelift.segment.embedded.evidence import Evidence, categories_of
from scenelift.segment.embedded.judge import FEATURES, Proposals
from scenelift.segment.embedded.namer import Namer
from scenelift.segment.embedded.vocabulary import Vocabulary
from scenelift.training.run import PACK
from scenelift.training.scenes.generate import Scenes
from scenelift.training.scenes.pack import MeshPack
from scenelift.types import Box

__all__ = ["Examples", "examples", "fit", "train_judge", "words_to_ask"]

ABSENT = 4
"""Words asked for in a scene that has no such thing."""
LEAST_VISIBLE, LEAST_PIXELS = 0.25, 150
"""Of an object that counts."""
WRONG, RIGHT = 0.4, 0.8
"""IoU of a box with the object's up to which it is wrong, and from which it is right."""
NETWORKS, HIDDEN, STEPS, BATCH, RATE, DECAY, NOISE = 4, 16, 1000, 1024, 3e-3, 1e-2, 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """Boxes with a word each.

    Attributes:
        features: float32 [N, F].
        targets: float32 [N] in 0…1, how right the box is for the word.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float32]


def train_judge(
    folder: Path, out: Path, *, scenes: int, seed: int, say: Callable[[str], None]
) -> None:
    """Look at scenes, learn, and write what `Judge.load` reads.

    Raises:
        InputError: there are no scenes.
        WeightsError: a detector, the classifier or WordNet is missing.
    """
    torch.set_num_threads(1)
    detectors = (NanoDet.load(), SSD.of_open_images(), SSD.of_coco())
    namer = Namer.load(None, 1)
    words = Vocabulary.load(with_names=True)
    rng = np.random.default_rng(seed)
    every = list(_truths(folder, scenes))
    if not every:
        raise InputError(f"{folder} has no scenes: `scenelift train scenes {folder}` makes them.")
    pool = sorted({label for _, truths in every for label, _ in truths})
    parts = []
    for number, (pixels, truths) in enumerate(every, 1):
        _, faint = detect_twice(detectors, pixels, silent())
        evidence = Evidence(namer, pixels, silent())
        proposals = Proposals(faint, (pixels.shape[1], pixels.shape[0]), evidence)
        parts += examples(proposals, truths, words_to_ask(truths, pool, words, rng), words)
        if number % 16 == 0:
            say(f"{number} of {len(every)} scenes looked at, {len(parts)} words")
    together = Examples(
        features=np.concatenate([part.features for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
    )
    text = json.dumps(fit(together, seed), separators=(",", ":"))
    write_bytes(out, text.encode() + b"\n")
    say(f"{len(together.targets)} boxes; {out}")


def _truths(folder: Path, scenes: int) -> Iterator[tuple[NDArray[np.uint8], list[tuple[str, Box]]]]:
    """The pictures of a folder's training scenes with the words and boxes of their objects."""
    models = MeshPack.read(folder / PACK).models
    for path in sorted(folder.glob("train-*.npz")):
        shard = Scenes.load(path)
        for k, pixels in enumerate(shard.pixels):
            if not scenes:
                return
            scenes -= 1
            truths = []
            for row in np.flatnonzero(shard.scene == k):
                pixel_count = np.count_nonzero(shard.numbers[k] == shard.number[row])
                if shard.visible[row] >= LEAST_VISIBLE and pixel_count >= LEAST_PIXELS:
                    model = models[shard.model[row]]
                    x0, y0, x1, y1 = (float(edge) for edge in shard.box[row])
                    label = model.label or model.entry.name.lower()
                    truths.append((label, (x0, y0, x1, y1)))
            yield pixels, truths


def words_to_ask(
    truths: Sequence[tuple[str, Box]],
    pool: Sequence[str],
    words: Vocabulary,
    rng: np.random.Generator,
) -> list[str]:
    """The words that a scene is asked for: all that it has, and some that it has not."""
    present = sorted({label for label, _ in truths})
    others = [str(word) for word in rng.permutation(list(pool)) if word not in present]
    absent = [word for word in others if _understood(word, words)][:ABSENT]
    return [word for word in present if _understood(word, words)] + absent


def _understood(word: str, words: Vocabulary) -> bool:
    reading = words.read(word)
    return bool(reading.classes or reading.names)


def examples(
    proposals: Proposals,
    truths: Sequence[tuple[str, Box]],
    asked_for: Sequence[str],
    words: Vocabulary,
) -> list[Examples]:
    """What one picture's boxes say of each word, and how right they are."""
    of_words = []
    for word in asked_for:
        reading = words.read(word)
        classes = [CLASSES.index(name) for name in reading.classes]
        features, rows = proposals.features(classes, categories_of(reading, CATEGORIES | PARTLY))
        true = np.array([box for label, box in truths if label == word], np.float32).reshape(-1, 4)
        overlap = iou(proposals.boxes[rows][:, None], true[None]).max(1, initial=0)
        targets = ((overlap - WRONG) / (RIGHT - WRONG)).clip(0, 1).astype(np.float32)
        of_words.append(Examples(features=features, targets=targets))
    return of_words


def fit(data: Examples, seed: int) -> dict:
    """Fit the networks; returns what `Judge.load` reads."""
    mean, deviation = data.features.mean(0), data.features.std(0) + 1e-6
    x = torch.from_numpy((data.features - mean) / deviation)
    y = torch.from_numpy(data.targets)
    networks = []
    for number in range(NETWORKS):
        torch.manual_seed(seed + number)
        network = nn.Sequential(
            *(nn.Linear(len(FEATURES), HIDDEN), nn.ReLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, 1),
        )
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(x), (BATCH,))
            # Photos differ from what is rendered: the last digits are not to be learned.
            noisy = x[rows] + NOISE * torch.randn(BATCH, x.shape[1])
            loss = nn.functional.binary_cross_entropy_with_logits(network(noisy)[:, 0], y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        layers = [layer for layer in network if isinstance(layer, nn.Linear)]
        networks.append([[_rounded(layer.weight.T), _rounded(layer.bias)] for layer in layers])
    return {
        "features": list(FEATURES),
        "mean": [round(float(value), 5) for value in mean],
        "deviation": [round(float(value), 5) for value in deviation],
        "networks": networks,
    }


def _rounded(values: torch.Tensor) -> list:
    return np.round(values.detach().double().numpy(), 4).tolist()
