"""Which of the detected boxes a phrase or a drawn box means.

Shape letter: N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.segment.embedded.box_fusion import Detections, iou, suppress
from scenelift.segment.embedded.classes import CLASSES
from scenelift.types import Box

__all__ = ["Candidate", "class_of_box", "from_classes", "without", "without_repeats"]

# Two boxes that overlap more than this show the same object.
SAME_OBJECT = 0.6
# A box drawn around what is not meant is rough: less overlap is enough.
EXCLUDED, EXCLUDED_SHARE = 0.4, 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A box that is to become an instance.

    Attributes:
        label: the phrase or the user's name.
        score: 0…1; 1 for what the user drew.
        box: in pixels of the photo.
        class_name: the detector's class, None where no detector saw it.
    """

    label: str
    score: float
    box: Box
    class_name: str | None


def from_classes(found: Detections, classes: Sequence[str], label: str) -> list[Candidate]:
    """The boxes of some classes, best first, one for an object that goes by several."""
    indices = [CLASSES.index(name) for name in classes]
    wanted = found.take(np.isin(found.classes, indices))
    wanted = suppress(wanted, SAME_OBJECT, across_classes=True)
    return [
        Candidate(label=label, score=float(score), box=_box(box), class_name=CLASSES[index])
        for box, score, index in zip(wanted.boxes, wanted.scores, wanted.classes, strict=True)
    ]


def class_of_box(box: Box, found: Detections) -> str | None:
    """Class of the detection that overlaps a box most, None if that is not much."""
    overlap = iou(found.boxes, np.array(box, np.float32))
    if not overlap.size or overlap.max() < 0.5:
        return None
    return CLASSES[found.classes[overlap.argmax()]]


def without(candidates: Sequence[Candidate], excluded: Sequence[Box]) -> list[Candidate]:
    """Candidates that no excluded box covers."""
    if not excluded:
        return list(candidates)
    negatives = np.array(excluded, np.float32)
    return [
        candidate
        for candidate in candidates
        if iou(negatives, np.array(candidate.box, np.float32)).max() < EXCLUDED
        and _share_inside(np.array(candidate.box, np.float32), negatives).max() < EXCLUDED_SHARE
    ]


def without_repeats(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The first of candidates that show the same object."""
    kept: list[Candidate] = []
    for candidate in candidates:
        boxes = np.array([k.box for k in kept], np.float32).reshape(-1, 4)
        if iou(boxes, np.array(candidate.box, np.float32)).max(initial=0) <= SAME_OBJECT:
            kept.append(candidate)
    return kept


def _share_inside(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.clip(sides, 0, None).prod(1) / (box[2:] - box[:2]).prod()


def _box(row: NDArray[np.float32]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in row)
    return (x0, y0, x1, y1)
