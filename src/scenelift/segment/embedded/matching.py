"""Decides which of the detected boxes a phrase or a drawn box means.

Two boxes are the same object only where they are of one class: a rider's box is much like that of
the motorcycle below. Of those the best score stays, and where several phrases ask for a class, the
one that names it most closely gives the label; the order of the phrases decides nothing.

Shape letter: N boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded.box_fusion import Detections, iou, suppress
from scenelift.models.embedded.classes import CLASSES
from scenelift.segment.embedded.vocabulary import How, Reading
from scenelift.types import Box, Dropped

__all__ = [
    "Candidate",
    "beside",
    "class_of_box",
    "doubles",
    "of_names",
    "of_phrases",
    "overlap",
    "share_inside",
    "shared_out",
    "to_name",
    "without",
    "without_drawn",
]

# Two boxes that overlap more than this show the same object.
SAME_OBJECT = 0.6
# A box of which so much is covered by two or more others of its class, each with this share inside
# it, is one around all of them.
IN_GROUP, GROUP_COVERAGE = 0.8, 0.7
# What a classifier chooses from: boxes that differ by so much and are so much of the photo's longer
# side, and not more than so many.
LOOKS_LIKE, CRUMB, MOST_BOXES = 0.8, 0.02, 150
# A box that the detectors are so sure is a person's is nothing else: the classifier, which knows no
# people, tells what they wear, hold or play with.
SURELY_A_PERSON = 0.4
# Of what it names (docs/log.md): least evidence for several boxes, for one, and over the best
# one's; overlap and share inside each other of two boxes of one thing; score of the least.
LEAST_EVIDENCE, LEAST_FOR_ONE, OF_BEST = 0.05, 0.03, 0.5
NAMED_IOU, NAMED_INSIDE, NAMED_SCORE = 0.3, 0.5, 0.4
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


def of_phrases(detections: Detections, readings: Sequence[Reading]) -> list[Candidate]:
    """Choose the boxes that phrases ask for, one an object, best first.

    Args:
        detections: what the detectors saw, in any order.
        readings: how the phrases are understood, in any order.
    """
    label_of = {
        CLASSES.index(name): _closest(name, readings).phrase
        for name in {name for reading in readings for name in reading.classes}
    }
    matching = detections.take(np.isin(detections.classes, list(label_of)))
    matching = suppress(_without_groups(matching), SAME_OBJECT)
    candidates = [
        Candidate(
            label=label_of[int(index)],
            score=float(score),
            box=_box(box),
            class_name=CLASSES[index],
        )
        for box, score, index in zip(matching.boxes, matching.scores, matching.classes, strict=True)
    ]
    return sorted(candidates, key=lambda c: (-c.score, c.box, c.label))


def to_name(detections: Detections, size: tuple[int, int]) -> Detections:
    """Choose the boxes for the classifier: of anything but people, no duplicates, no tiny ones.

    Args:
        size: width and height of the photo.
    """
    sides = (detections.boxes[:, 2:] - detections.boxes[:, :2]).max(1, initial=0)
    large = detections.take(sides > CRUMB * max(size))
    several = suppress(large, LOOKS_LIKE, across_classes=True)
    people = large.take(
        (large.classes == CLASSES.index("person")) & (large.scores >= SURELY_A_PERSON)
    )
    same = iou(several.boxes[:, None], people.boxes[None]) > SAME_OBJECT
    several = several.take(~np.any(same, axis=1))
    return several.take(np.arange(min(MOST_BOXES, len(several))))


def of_names(
    detections: Detections,
    evidence: NDArray[np.float32],  # [N]
    reading: Reading,
) -> list[Candidate]:
    """Choose the boxes that show what a reading means, best first.

    A classifier likes parts and neighbours of a thing nearly as much as the thing. So boxes count
    against the best in the photo, and of boxes in each other the better one stays. Weak evidence
    is enough for one: who names a thing mostly sees it.

    Args:
        detections: boxes of any class.
        evidence: how sure each shows the reading's word.
    """
    candidates: list[Candidate] = []
    boxes = np.zeros((0, 4), np.float32)
    least = max(LEAST_FOR_ONE, OF_BEST * float(evidence.max(initial=0)))
    for row in np.argsort(-evidence, kind="stable"):
        box = detections.boxes[row]
        if evidence[row] < (max(least, LEAST_EVIDENCE) if candidates else least):
            break
        inside = np.maximum(_share_inside_of(boxes, box), share_inside(box, boxes))
        if (iou(boxes, box) > NAMED_IOU).any() or (inside > NAMED_INSIDE).any():
            continue
        boxes = np.concatenate([boxes, box[None]])
        surer = (float(evidence[row]) - LEAST_FOR_ONE) / (1 - LEAST_FOR_ONE)
        candidates.append(
            Candidate(
                label=reading.phrase,
                score=NAMED_SCORE + (1 - NAMED_SCORE) * surer,
                box=_box(box),
                class_name=reading.names[0] if reading.names else CLASSES[detections.classes[row]],
            )
        )
    return candidates


def shared_out(candidates: Sequence[Candidate], named: Sequence[Candidate]) -> list[Candidate]:
    """Leave a box that two words claim to the one that has no better: who names both sees both.

    Args:
        candidates: of the detectors' classes.
        named: what the classifier shows, best first, perhaps in boxes of those.

    Returns:
        The candidates without those of labels that have a better one, where the best box of another
        label that has no candidate is.
    """
    remaining, labels = list(candidates), {candidate.label for candidate in candidates}
    for claim in named:
        if claim.label in labels:
            continue
        labels.add(claim.label)
        for rival in [c for c in remaining if overlap(c, claim)]:
            if any(c.label == rival.label and c.score > rival.score for c in remaining):
                remaining.remove(rival)
    return remaining


def doubles(candidates: Sequence[Candidate], readings: Sequence[Reading]) -> list[Dropped]:
    """List phrases that named no object of their own, with the object of another that they mean."""
    labels = {candidate.label for candidate in candidates}
    return [
        Dropped(
            label=reading.phrase,
            score=candidate.score,
            box=candidate.box,
            reason=f"the same object as {candidate.label!r}",
            double_of=candidate.label,
        )
        for candidate in candidates
        for reading in readings
        if candidate.class_name in reading.classes and reading.phrase not in labels
    ]


def _closest(name: str, readings: Sequence[Reading]) -> Reading:
    """Choose the phrase closest to a class: "cup" before "mug", "mug" before "dishes"."""
    certain = get_args(How)  # from the class's own name to a word above many

    def rank(reading: Reading) -> tuple[int, int, str]:
        return certain.index(reading.how), len(reading.classes), reading.phrase

    return min((r for r in readings if name in r.classes), key=rank)


def _without_groups(detections: Detections) -> Detections:
    """Drop boxes around several objects that better boxes of the class show one by one."""
    keep = np.ones(len(detections), bool)
    for k, box in enumerate(detections.boxes):
        rivals = (detections.classes == detections.classes[k]) & (
            detections.scores >= detections.scores[k]
        )
        rivals[k] = False
        others = suppress(detections.take(rivals), SAME_OBJECT)
        members = others.boxes[_share_inside_of(others.boxes, box) > IN_GROUP]
        members = members[iou(members, box) <= SAME_OBJECT]
        if len(members) > 1:
            keep[k] = _coverage(box, members) < GROUP_COVERAGE
    return detections.take(keep)


def _coverage(box: NDArray[np.float32], members: NDArray[np.float32]) -> float:
    """Measure the share of a box that others cover together, counted on a grid of 64 × 64."""
    steps = (np.arange(64) + 0.5) / 64
    x = box[0] + steps * (box[2] - box[0])
    y = box[1] + steps * (box[3] - box[1])
    across = (x > members[:, :1]) & (x < members[:, 2:3])  # [N, 64]
    down = (y > members[:, 1:2]) & (y < members[:, 3:4])
    return float((across[:, None, :] & down[:, :, None]).any(0).mean())


def class_of_box(box: Box, detections: Detections) -> str | None:
    """Return the class of the detection that overlaps a box most, None if that is not much."""
    overlap = iou(detections.boxes, np.array(box, np.float32))
    if not overlap.size or overlap.max() < 0.5:
        return None
    return CLASSES[detections.classes[overlap.argmax()]]


def without(candidates: Sequence[Candidate], excluded: Sequence[Box]) -> list[Candidate]:
    """Drop candidates that an excluded box covers."""
    if not excluded:
        return list(candidates)
    negatives = np.array(excluded, np.float32)
    return [
        candidate
        for candidate in candidates
        if iou(negatives, np.array(candidate.box, np.float32)).max() < EXCLUDED
        and share_inside(np.array(candidate.box, np.float32), negatives).max() < EXCLUDED_SHARE
    ]


def without_drawn(
    candidates: Sequence[Candidate], from_boxes: Sequence[Candidate]
) -> list[Candidate]:
    """Drop detected candidates that are an object that the user drew a box around."""
    return [
        candidate
        for candidate in candidates
        if not any(
            other.class_name in (None, candidate.class_name) and overlap(other, candidate)
            for other in from_boxes
        )
    ]


def beside(candidates: Sequence[Candidate], others: Sequence[Candidate]) -> list[Candidate]:
    """Drop candidates that overlap one of the others with the same label."""
    return [
        candidate
        for candidate in candidates
        if not any(o.label == candidate.label and overlap(o, candidate) for o in others)
    ]


def overlap(a: Candidate, b: Candidate) -> bool:
    """Tell whether two boxes of one class overlap so much that they show one object."""
    return bool(iou(np.array(a.box, np.float32), np.array(b.box, np.float32)) > SAME_OBJECT)


def share_inside(box: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the share of a box that lies in each of others [N, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.clip(sides, 0, None).prod(1) / (box[2:] - box[:2]).prod()


def _share_inside_of(boxes: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the share of each box [N, 4] that lies in one box."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    return np.clip(sides, 0, None).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)


def _box(row: NDArray[np.float32]) -> Box:
    x0, y0, x1, y1 = (float(value) for value in row)
    return (x0, y0, x1, y1)
