"""Finds what a phrase names where the detectors and the classifier found nothing of it.

A guess that is mostly right is better than nothing for who sees the thing in the photo; a note says
that it is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenelift.models.embedded.box_fusion import iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.closer import CloserLook
from scenelift.segment.embedded.evidence import categories_of
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import NAMED_SCORE, Candidate, overlap, share_inside
from scenelift.segment.embedded.vocabulary import Reading
from scenelift.types import Box

__all__ = ["guesses_for"]

# Boxes from this chance on are taken, else the best one from the second on, or from the third if it
# was looked at closely (docs/log.md).
LIKELY, WORTH_A_GUESS, LOOKED_AT = 0.3, 0.2, 0.175
# The likeliest boxes of a word are looked at closely, down to this chance; others are no guess.
MOST_CLOSELY, WORTH_A_LOOK = 3, 0.1
# Of the closer look: a score that counts for little, and how much the look counts in the odds.
FAINT, WEIGHT = 0.1, 0.35
# Two boxes show two things that overlap by less, and are less in each other.
APART, INSIDE = 0.5, 0.6
# Readings of words for one kind of thing; "everything" and what stands above many kinds are not.
ONE_KIND = ("class", "alias", "named", "wordnet")


def guesses_for(
    readings: Sequence[Reading],
    proposals: Proposals,
    judge: Judge,
    candidates: Sequence[Candidate],
    closer: CloserLook | None = None,
) -> list[Candidate]:
    """Choose boxes for the readings that have no candidate.

    Args:
        candidates: what is found; its boxes are taken.
        closer: looks again at the likeliest boxes of the detectors' classes, if given.
    """
    labels = {candidate.label for candidate in candidates}
    missing = [r for r in readings if r.how in ONE_KIND and r.phrase not in labels]
    claims = [claim for r in missing for claim in _claims(r, proposals, judge, closer)]
    looked_at = {r.phrase for r in missing if r.classes and closer is not None}
    # The likeliest first, whatever word it is for: the order of the phrases decides nothing.
    claims.sort(key=lambda c: (-c.score, c.box, c.label))
    guesses: list[Candidate] = []
    for claim in claims:
        own = [guess for guess in guesses if guess.label == claim.label]
        least = LOOKED_AT if claim.label in looked_at else WORTH_A_GUESS
        if claim.score < (LIKELY if own else least):
            continue
        if any(overlap(claim, other) for other in (*candidates, *guesses)):
            continue
        if all(_apart(claim, guess) for guess in own):
            guesses.append(claim)
    # What counts at all, and not more than its chance: what others are surer of goes before it.
    return [replace(guess, score=max(NAMED_SCORE, guess.score)) for guess in guesses]


def _claims(
    reading: Reading, proposals: Proposals, judge: Judge, closer: CloserLook | None
) -> list[Candidate]:
    """Boxes that may show a word, with their chances; those looked at closely where one can."""
    classes = [CLASSES.index(name) for name in reading.classes]
    features, rows = proposals.features(classes, categories_of(reading, CATEGORIES | PARTLY))
    chances = judge.chances(features)
    claims = []
    for k in np.argsort(-chances, kind="stable"):
        x0, y0, x1, y1 = (float(edge) for edge in proposals.boxes[rows[k]])
        box, chance = (x0, y0, x1, y1), float(chances[k])
        if classes and closer is not None:
            if len(claims) == MOST_CLOSELY or chance < WORTH_A_LOOK:
                break
            chance = _looked_at(chance, box, classes, closer)
        name = (*reading.classes, *reading.names)[0]
        claims.append(Candidate(label=reading.phrase, score=chance, box=box, class_name=name))
    return claims


def _looked_at(chance: float, box: Box, classes: Sequence[int], closer: CloserLook) -> float:
    """A chance after a closer look: what is seen there against what else is."""
    scores = closer.scores(box, classes)
    if scores is None:
        return chance
    chance = min(chance, 0.999)
    odds = chance / (1 - chance) * ((scores.own + FAINT) / (scores.other + FAINT)) ** WEIGHT
    return odds / (1 + odds)


def _apart(one: Candidate, other: Candidate) -> bool:
    """Tell whether two boxes may show two things of a word, none a part of the other."""
    a, b = np.array(one.box), np.array(other.box)
    inside = max(share_inside(a, b[None])[0], share_inside(b, a[None])[0])
    return bool(iou(a, b) <= APART and inside <= INSIDE)
