"""Finds what a phrase names where the detectors and the classifier found nothing of it.

A guess that is mostly right is better than nothing for who sees the thing in the photo; a note says
that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.evidence import Evidence
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import NAMED_SCORE, SAME_OBJECT, Candidate
from scenelift.segment.embedded.named import NAMED
from scenelift.segment.embedded.vocabulary import Reading

__all__ = ["categories_of", "rescued"]

# Boxes from this chance on are taken, else the best one from the second on (docs/log.md).
LIKELY, WORTH_A_GUESS = 0.3, 0.2
# Two boxes show two things that overlap by less, and are less in each other.
APART, INSIDE = 0.5, 0.6
TRIED = ("class", "alias", "named", "wordnet")


def rescued(
    readings: Sequence[Reading],
    faint: Detections,
    size: tuple[int, int],
    evidence: Evidence,
    judge: Judge,
    candidates: Sequence[Candidate],
) -> list[Candidate]:
    """Choose boxes for the readings that have no candidate.

    Args:
        faint: what the detectors say, also where they do not believe it.
        size: width and height of the photo.
        evidence: the classifier's.
        candidates: what is found; its boxes are taken.
    """
    labels = {candidate.label for candidate in candidates}
    missing = [r for r in readings if r.how in TRIED and r.phrase not in labels]
    if not missing or not len(faint):
        return []
    proposals = Proposals(faint, size, evidence)
    occupied = np.array([c.box for c in candidates], np.float32).reshape(-1, 4)
    chosen: list[Candidate] = []
    for reading in missing:
        classes = [CLASSES.index(name) for name in reading.classes]
        features, rows = proposals.features(classes, categories_of(reading))
        boxes, chances = proposals.boxes[rows], judge.chances(features)
        free = ~(iou(boxes[:, None], occupied[None]) > SAME_OBJECT).any(1)
        boxes, chances = boxes[free], chances[free]
        for row in _several(boxes, chances):
            x0, y0, x1, y1 = (float(edge) for edge in boxes[row])
            candidate = Candidate(
                label=reading.phrase,
                score=NAMED_SCORE + (1 - NAMED_SCORE) * float(chances[row]),
                box=(x0, y0, x1, y1),
                class_name=(*reading.classes, *reading.names)[0],
            )
            chosen.append(candidate)
            occupied = np.concatenate([occupied, boxes[row][None]])
    return sorted(chosen, key=lambda c: (-c.score, c.box, c.label))


def categories_of(reading: Reading) -> tuple[int, ...]:
    """List the classifier's categories for what a reading means."""
    words = [NAMED[name] for name in reading.names] or [
        (CATEGORIES | PARTLY).get(name, ()) for name in reading.classes
    ]
    return tuple(dict.fromkeys(category for word in words for category in word))


def _several(boxes: NDArray[np.float32], chances: NDArray[np.float32]) -> list[int]:
    """Choose the boxes that are likely, or the best one if it is worth a guess."""
    order = np.argsort(-chances, kind="stable")
    if not len(order) or chances[order[0]] < WORTH_A_GUESS:
        return []
    chosen = [int(order[0])]
    for row in order[1:]:
        if chances[row] < LIKELY:
            break
        others, box = boxes[chosen], boxes[row]
        sides = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
        smaller = np.minimum((others[:, 2:] - others[:, :2]).prod(1), (box[2:] - box[:2]).prod())
        inside = np.clip(sides, 0, None).prod(1) / smaller
        if iou(others, box).max() <= APART and inside.max() <= INSIDE:
            chosen.append(int(row))
    return chosen
