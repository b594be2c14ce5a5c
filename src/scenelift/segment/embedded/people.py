"""Doubts weak boxes of people, of whom the classifier knows nothing.

Flowers, lamp posts, and a hand together with what it holds look like people to the detectors. A
closer look tells most of the small ones, the judge of boxes the large ones (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded.box_fusion import iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.closer import CloserLook
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import Candidate
from scenelift.types import Box, Dropped

__all__ = ["convincing_people"]

PERSON = CLASSES.index("person")
SURE = 0.6  # score from which nobody doubts
# The judge, who goes by the best in the photo, is fair to boxes of this share of its longer side.
LARGE, LEAST_CHANCE = 1 / 6, 0.2
# Looked at closely a person has this score at least, and other classes no more than so much above.
LEAST_CLOSELY, ABOVE = 0.25, 0.15
SAME = 0.75  # IoU of a box with the one that is judged in its place
DOUBTED = 0.5  # what a doubt leaves of a score


def convincing_people(
    candidates: Sequence[Candidate],
    proposals: Proposals,
    judge: Judge,
    closer: CloserLook,
    longest: int,
    min_score: float,
    dropped: list[Dropped],
) -> list[Candidate]:
    """Halve the scores of what is hardly a person, and drop what is below the least score then.

    Args:
        candidates: of any class; those of others stay as they are.
        longest: the photo's longer side, in pixels.
        dropped: what is dropped is added here.
    """
    if not any(_is_weak(candidate) for candidate in candidates):
        return list(candidates)
    features, rows = proposals.features([PERSON], ())
    boxes, chances = proposals.boxes[rows], judge.chances(features)
    convincing: list[Candidate] = []
    for candidate in candidates:
        if _is_weak(candidate) and _is_doubtful(candidate.box, boxes, chances, closer, longest):
            candidate = replace(candidate, score=DOUBTED * candidate.score)
            if candidate.score < min_score:
                reason = f"hardly a person: score {candidate.score:.2f} below {min_score:g}"
                dropped.append(Dropped.of(candidate, reason))
                continue
        convincing.append(candidate)
    return convincing


def _is_weak(candidate: Candidate) -> bool:
    return candidate.class_name == "person" and candidate.score < SURE


def _is_doubtful(
    box: Box,
    boxes: NDArray[np.float32],  # [N, 4], judged
    chances: NDArray[np.float32],  # [N]
    closer: CloserLook,
    longest: int,
) -> bool:
    overlap = iou(boxes, np.array(box, np.float32))
    large = max(box[2] - box[0], box[3] - box[1]) >= LARGE * longest
    if large and overlap.max(initial=0) > SAME and chances[overlap.argmax()] < LEAST_CHANCE:
        return True
    scores = closer.scores(box, [PERSON])
    return scores is not None and (scores.own < LEAST_CLOSELY or scores.other > scores.own + ABOVE)
