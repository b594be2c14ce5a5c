"""Judges which box shows what a phrase names, where no detector is sure of one.

Who names a thing mostly sees it: of the boxes that the detectors draw with low scores and wrong
names, one is mostly right. A small network learned from rendered scenes how to tell it, by numbers
that mean the same whatever the word is: what the detectors and the classifier say for the word and
against it, and how the box lies. DINOv2's features of the box did not help (docs/log.md).

Shape letters: N boxes, D detections, F features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import WeightsError
from scenelift.models.embedded.box_fusion import Detections, iou, suppress
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.evidence import Evidence

__all__ = ["FEATURES", "Judge", "Proposals"]

FEATURES = (
    *("own", "own nearby", "rival", "share of scores", "share of the photo's best"),
    *("close up", "enclosed", "against other words", "has categories", "has classes"),
    *("area", "aspect", "edges", "below the best evidence"),
)
# Boxes that differ by so much and are so much of the photo's longer side, and how many.
LOOKS_LIKE, CRUMB, MOST_BOXES = 0.8, 0.02, 40
MOST_FOR_A_WORD, WORTH_A_LOOK = 14, 0.01
# A detection speaks for a box that it overlaps so much, and a little for one nearby.
SAME, NEARBY = 0.6, 0.35
AT_EDGE = 0.01  # of the photo's side


class Proposals:
    """The boxes of a photo that may show a word, and what is known of them.

    Args:
        faint: what the detectors say, also where they do not believe it.
        size: width and height of the photo.
        evidence: the classifier's.
    """

    def __init__(self, faint: Detections, size: tuple[int, int], evidence: Evidence) -> None:
        sides = (faint.boxes[:, 2:] - faint.boxes[:, :2]).max(1, initial=0)
        large = faint.take(sides > CRUMB * max(size))
        several = suppress(large, LOOKS_LIKE, across_classes=True)
        self.boxes = several.boxes[:MOST_BOXES]
        self._faint, self._size, self._evidence = faint, size, evidence

    @cached_property
    def _said(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [N, classes] each
        """The best score of each class on a box and near it."""
        overlap = iou(self.boxes[:, None], self._faint.boxes[None])
        on, near = (np.zeros((len(self.boxes), len(CLASSES)), np.float32) for _ in range(2))
        for column, (score, index) in enumerate(
            zip(self._faint.scores, self._faint.classes, strict=True)
        ):
            for table, least in ((on, SAME), (near, NEARBY)):
                rows = overlap[:, column] > least
                table[rows, index] = np.maximum(table[rows, index], score)
        return on, near

    def features(
        self, classes: Sequence[int], word: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:  # [N, F], [N]
        """Describe the boxes that are worth a close look for a word.

        Args:
            classes: the detectors' classes that the word means, if any.
            word: the classifier's categories of it, if any.

        Returns:
            Their features, and which of `boxes` they are.
        """
        on, near = self._said
        own = on[:, classes].max(1, initial=0)
        enclosed = np.zeros(len(own), np.float32)
        if word:
            enclosed = self._evidence.enclosed(self.boxes, word)
        promise = np.maximum(own, enclosed * on.max(1, initial=0))
        rows = np.argsort(-promise, kind="stable")[:MOST_FOR_A_WORD]
        rows = rows[promise[rows] > WORTH_A_LOOK]
        boxes, own, enclosed = self.boxes[rows], own[rows], enclosed[rows]
        close, ratio = np.zeros_like(own), np.full_like(own, 1e-3)
        if word and len(rows):
            close = self._evidence.close(boxes, word)
            ratio, _ = self._evidence.shares(boxes, word)
        best = self._faint.scores[np.isin(self._faint.classes, classes)].max(initial=0)
        visible = np.sqrt(close * enclosed / (max(len(word), 1) / 1000))
        both = _log(np.sqrt(np.maximum(own, 0.02) * np.maximum(visible, 0.02)))
        width, height = ((boxes[:, 2:] - boxes[:, :2]) / np.array(self._size, np.float32)).T
        others = np.delete(on[rows], classes, axis=1)
        at_edge = np.concatenate(
            [
                boxes[:, :2] < AT_EDGE * np.array(self._size),
                boxes[:, 2:] > (1 - AT_EDGE) * np.array(self._size),
            ],
            1,
        )
        features = (
            *(_log(own), _log(near[rows][:, classes].max(1, initial=0))),
            *(_log(others.max(1, initial=0)), own / (on[rows].sum(1) + 0.05), own / (best + 0.05)),
            *(_log(close), _log(enclosed), np.log(ratio.clip(1e-3, 1e3))),
            *(np.full_like(own, bool(word)), np.full_like(own, bool(len(classes)))),
            *(
                np.log(width * height + 1e-4),
                np.log(width * self._size[0] / (height * self._size[1])),
            ),
            *(at_edge.sum(1), both - both.max(initial=-9)),
        )
        return np.stack(features, 1).astype(np.float32), rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Small networks between features and a chance, whose mean counts.

    Attributes:
        mean, deviation: float32 [F], of the features that they learned from.
        networks: of each its layers: a matrix and what is added.
    """

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    networks: tuple[tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...], ...]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Load what `scenelift train judge` wrote, by default what the package ships.

        Raises:
            WeightsError: it was made for other features.
        """
        file = path or files("scenelift.models.embedded") / "judge.json"
        stored = json.loads(file.read_text("utf-8"))
        if tuple(stored["features"]) != FEATURES:
            raise WeightsError(
                f"{file} judges by {', '.join(stored['features'])}, this version by "
                f"{', '.join(FEATURES)}: `scenelift train judge` makes another."
            )
        return cls(
            mean=np.array(stored["mean"], np.float32),
            deviation=np.array(stored["deviation"], np.float32),
            networks=tuple(
                tuple((np.array(w, np.float32), np.array(b, np.float32)) for w, b in layers)
                for layers in stored["networks"]
            ),
        )

    def chances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:  # [N, F] -> [N]
        """Estimate how likely each box shows the word, and the whole thing."""
        total = np.zeros(len(features), np.float32)
        for *layers, (last, bias) in self.networks:
            x = (features - self.mean) / self.deviation
            for matrix, added in layers:
                x = np.maximum(x @ matrix + added, 0)
            total += 1 / (1 + np.exp(-(x @ last + bias)[:, 0]))
        return total / np.float32(len(self.networks))


def _log(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logarithm of a score; what is below one in a hundred says no more than nothing."""
    return np.log(np.maximum(values, np.float32(0.01)))
