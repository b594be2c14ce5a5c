"""Finds what a phrase names where the detectors and the classifier found nothing of it.

A guess that is mostly right is better than nothing for who sees the thing in the photo; a note says
that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.evidence import Evidence, categories_of
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import NAMED_SCORE, Candidate, overlap, share_inside
from scenelift.segment.embedded.vocabulary import Reading

__all__ = ["guesses_for"]

# Boxes from this chance on are taken, else the best one from the second on (docs/log.md).
LIKELY, WORTH_A_GUESS = 0.3, 0.2
# Two boxes show two things that overlap by less, and are less in each other.
APART, INSIDE = 0.5, 0.6
# Readings of words for one kind of thing; "everything" and what stands above many kinds are not.
ONE_KIND = ("class", "alias", "named", "wordnet")


def guesses_for(
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
    missing = [r for r in readings if r.how in ONE_KIND and r.phrase not in labels]
    if not missing or not len(faint):
        return []
    proposals = Proposals(faint, size, evidence)
    claims: list[Candidate] = []
    for reading in missing:
        classes = [CLASSES.index(name) for name in reading.classes]
        features, rows = proposals.features(classes, categories_of(reading, CATEGORIES | PARTLY))
        for row, chance in zip(rows, judge.chances(features), strict=True):
            x0, y0, x1, y1 = (float(edge) for edge in proposals.boxes[row])
            claims.append(
                Candidate(
                    label=reading.phrase,
                    score=float(chance),
                    box=(x0, y0, x1, y1),
                    class_name=(*reading.classes, *reading.names)[0],
                )
            )
    # The likeliest first, whatever word it is for: the order of the phrases decides nothing.
    claims.sort(key=lambda c: (-c.score, c.box, c.label))
    guesses: list[Candidate] = []
    for claim in claims:
        own = [guess for guess in guesses if guess.label == claim.label]
        if claim.score < (LIKELY if own else WORTH_A_GUESS):
            continue
        if any(overlap(claim, other) for other in (*candidates, *guesses)):
            continue
        if all(_apart(claim, guess) for guess in own):
            guesses.append(claim)
    # What counts at all, and not more than its chance: what others are surer of goes before it.
    return [replace(guess, score=max(NAMED_SCORE, guess.score)) for guess in guesses]


def _apart(one: Candidate, other: Candidate) -> bool:
    """Tell whether two boxes may show two things of a word, none a part of the other."""
    a, b = np.array(one.box), np.array(other.box)
    inside = max(share_inside(a, b[None])[0], share_inside(b, a[None])[0])
    return bool(iou(a, b) <= APART and inside <= INSIDE)
