"""The embedded segmenter: phrases and boxes → boxes of objects → masks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import WeightsError
from scenelift.models.embedded import version
from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.models.embedded.classes import CLASSES
from scenelift.models.embedded.nanodet import NanoDet
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.models.embedded.ssd import SSD
from scenelift.options import BackendOptions
from scenelift.progress import Reporter
from scenelift.runtime import Runtime
from scenelift.segment.embedded import detectors as detection
from scenelift.segment.embedded import matching
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.clicks import EmbeddedClicker
from scenelift.segment.embedded.closer import CloserLook
from scenelift.segment.embedded.detectors import Detector
from scenelift.segment.embedded.evidence import Evidence, Naming, categories_of
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import Candidate
from scenelift.segment.embedded.overlap import without_overlaps
from scenelift.segment.embedded.people import convincing_people
from scenelift.segment.embedded.points import PointMasker
from scenelift.segment.embedded.rescue import guesses_for
from scenelift.segment.embedded.subject import things_apart
from scenelift.segment.embedded.vocabulary import WITHOUT_A_WORD, Reading, Vocabulary, notes_on
from scenelift.segment.filters import FilterSettings, keep_best
from scenelift.types import Box, Dropped, Image, Instance, Prompt, Segmentation
from scenelift.weights import embedded

__all__ = ["EmbeddedSegmenter", "Masker", "Naming", "Subject"]

# By eye on two dozen photos: above this most boxes are what they say, below most are not.
DEFAULT_MIN_SCORE = 0.4
# Weaker boxes of a class that was asked for are listed as left out, down to this.
WORTH_MENTIONING = 0.3
# Boxes of a class from here on are shown to the classifier. Where others of the class reach the
# least score, these must have so many times the evidence of any other word.
LEAST_OF_OWN, FURTHER = 0.1, 2.0
# It is not asked about boxes from this score on, nor about smaller ones (longer side in pixels).
SURE, TOO_SMALL_TO_TELL = 0.8, 32
# Two objects share few pixels: a mask that is so far inside a better one of its class is a part.
PART = 0.5
# Score from which a detection is another object, which a mask leaves out: weaker ones are often a
# part of the object itself.
RIVAL = 0.5
# A mask takes a fraction of a second; a crowd must not take minutes.
MOST_MASKS = 40
RULES = 7
"""Raised when other masks come of the same answers: results of earlier rules are made again."""
GUESS = "{!r} is a guess: nothing in the photo is surely one. If it is wrong, draw a box around it."
DOWNLOAD = "`scenelift models download embedded` gets them"


class Masker(Protocol):
    """Cuts objects out of their boxes."""

    def masks(
        self,
        pixels: NDArray[np.uint8],  # [H, W, 3]
        boxes: Sequence[Box],
        rivals: Sequence[Box],
        report: Reporter,
        *,
        photo_tokens: PhotoTokens | None = None,
    ) -> list[NDArray[np.float32]]:
        """Soft masks [H, W] in 0…1, one a box; `rivals` hold other objects of the photo.

        `photo_tokens` are given for clicks, which somebody waits for.
        """
        ...


class Subject(Protocol):
    """Finds the photo's main object, whatever it is."""

    def alpha(self, pixels: NDArray[np.uint8], report: Reporter) -> NDArray[np.float32]:
        """Return a soft mask [H, W] in 0…1; nothing above 0.5 without a clear subject."""
        ...


class EmbeddedSegmenter:
    """Finds what a phrase names among some ninety everyday classes, and what a box is drawn around.

    Args:
        vocabulary: reads phrases.
        detectors: propose boxes; none of them is needed for drawn boxes and the main subject.
        masker: cuts objects out of boxes.
        subject: finds the main object; None where its weights are missing.
        namer: tells words that the detectors do not have; None where its weights are missing.
        judge: finds what neither found; None to go without, as without a namer.
        version: names the models and their weights.
        notes: what the user should know about this installation, told with every result that
            needed a detector.
        threads: views that are looked at side by side; 0 for as many as there are cores.
        points: the mask head with points, for clicks; None to take none.
    """

    name = "embedded"

    def __init__(
        self,
        vocabulary: Vocabulary,
        detectors: Sequence[Detector],
        masker: Masker,
        *,
        subject: Subject | None = None,
        namer: Naming | None = None,
        judge: Judge | None = None,
        version: str = "embedded",
        notes: Sequence[str] = (),
        threads: int = 0,
        points: PointMasker | None = None,
    ) -> None:
        self.version = version
        self._vocabulary = vocabulary
        self._detectors = tuple(detectors)
        self._masker = masker
        self._subject, self._namer, self._judge = subject, namer, judge
        self._notes = tuple(notes)
        self._workers = threads or os.cpu_count() or 1
        self._points = points

    @classmethod
    def load(cls, options: BackendOptions | Runtime) -> EmbeddedSegmenter:
        """Load the installed weights; detectors may be missing, the masker may not.

        Raises:
            WeightsError: what every mask needs is missing.
        """
        weights, threads = options.weights, options.threads
        from scenelift.segment.embedded.masks import BoxMasker
        from scenelift.segment.embedded.namer import Namer
        from scenelift.segment.embedded.subject import SubjectFinder

        masker = BoxMasker.load(weights, threads)
        detectors: list[Detector] = []
        notes = []
        for load, knows in (
            (NanoDet.load, "COCO's 80 classes"),
            (SSD.of_open_images, "23 Open Images classes"),
            (SSD.of_coco, "COCO's classes, which looks a second time,"),
        ):
            try:
                detectors.append(load(weights))
            except WeightsError:
                notes.append(f"The detector of {knows} is not installed: {DOWNLOAD}.")
        try:
            subject = SubjectFinder.load(weights, threads)
        except WeightsError:
            subject = None
        try:
            namer = Namer.load(weights, threads)
        except WeightsError:
            namer = None
            notes.append(f"The classifier of further words is not installed: {DOWNLOAD}.")
        return cls(
            Vocabulary.load(weights, with_names=namer is not None),
            detectors,
            masker,
            subject=subject,
            namer=namer,
            judge=Judge.load(),
            version=_version(options),
            notes=notes,
            threads=threads,
            points=masker.points,
        )

    @property
    def clicker(self) -> EmbeddedClicker | None:
        """The same models, with points; None where the mask head takes none."""
        if self._points is None:
            return None
        return EmbeddedClicker(self._detectors, self._masker, self._points, workers=self._workers)

    def segment(self, image: Image, prompt: Prompt, report: Reporter) -> Segmentation:
        """Find every object that a phrase names or a box is drawn around.

        Args:
            image: the photo, of any size.
            prompt: phrases and boxes. A positive box becomes an instance of score 1, a negative
                one takes back what it covers.
            report: progress; raises Cancelled between steps.

        Returns:
            Instances ordered by score, then area. `notes` say how phrases were understood;
            `suggestions` are the classes seen in the photo that nobody asked for.
        """
        readings = [self._vocabulary.read(phrase) for phrase in prompt.phrases]
        notes = notes_on(readings)
        detections = faint = Detections.none()
        asked_detectors = any(r.how != "subject" for r in readings)
        if asked_detectors or prompt.boxes:
            detections, faint = detection.detect_twice(
                self._detectors, image.pixels, report, workers=self._workers
            )
        if asked_detectors:
            notes += self._notes

        min_score = DEFAULT_MIN_SCORE if prompt.min_score is None else prompt.min_score
        sure = detections.take(detections.scores >= min_score)
        dropped: list[Dropped] = []
        from_boxes = _box_candidates(image, prompt, detections, notes, dropped)
        from_phrases = matching.of_phrases(sure, readings)
        if self._namer is not None:
            evidence = Evidence(self._namer, image.pixels, report)
            detected = {candidate.label for candidate in from_phrases}
            from_phrases = _convincing(from_phrases, readings, evidence, min_score, dropped)
            doubted = detected - {candidate.label for candidate in from_phrases}
            named = _named(image, faint, readings, (detected, doubted), evidence, min_score)
            from_phrases = matching.shared_out(from_phrases, named)
            from_phrases += matching.beside(named, from_phrases)
            if self._judge is not None:
                proposals = Proposals(faint, (image.width, image.height), evidence)
                closer = CloserLook(self._detectors, image.pixels, report, workers=self._workers)
                longest = max(image.width, image.height)
                from_phrases = convincing_people(
                    from_phrases, proposals, self._judge, closer, longest, min_score, dropped
                )
                guesses = guesses_for(readings, proposals, self._judge, from_phrases, closer)
                notes += [GUESS.format(label) for label in dict.fromkeys(c.label for c in guesses)]
                from_phrases += guesses
        dropped += _weak(detections, readings, min_score, from_phrases)
        from_phrases = matching.without_drawn(from_phrases, from_boxes)
        excluded = [box.box for box in prompt.boxes if not box.positive]
        candidates = matching.without([*from_boxes, *from_phrases], excluded)
        dropped += matching.doubles(candidates, readings)
        for candidate in candidates[MOST_MASKS:]:
            dropped.append(Dropped.of(candidate, f"more than {MOST_MASKS} objects"))
        threshold = prompt.mask_threshold or 0.5
        instances = self._cut_out(image, candidates[:MOST_MASKS], sure, dropped, threshold, report)
        if any(reading.how == "subject" for reading in readings):
            instances += self._find_subject(image, readings, notes, threshold, report)

        settings = FilterSettings(min_score=min_score, max_containment=PART)
        best = keep_best(instances, settings)
        if best.instances and any(reading.how == "unknown" for reading in readings):
            notes.append(WITHOUT_A_WORD)
        return replace(
            best,
            instances=_called_by_class(without_overlaps(best.instances), readings),
            dropped=(*dropped, *best.dropped),
            notes=(*dict.fromkeys(notes), *best.notes),
            suggestions=_suggestions(sure, readings),
            answered=tuple(r.phrase for r in readings if r.how in ("everything", "unknown")),
        )

    def _cut_out(
        self,
        image: Image,
        candidates: Sequence[Candidate],
        detections: Detections,
        dropped: list[Dropped],
        threshold: float,
        report: Reporter,
    ) -> list[Instance]:
        boxes = [candidate.box for candidate in candidates]
        alphas = self._masker.masks(image.pixels, boxes, _rivals(detections, boxes), report)
        instances = []
        for candidate, alpha in zip(candidates, alphas, strict=True):
            mask = alpha >= threshold
            if not mask.any():
                dropped.append(Dropped.of(candidate, "nothing in its box stands out as an object"))
                continue
            instances.append(
                Instance(
                    mask=mask,
                    alpha=alpha,
                    label=candidate.label,
                    score=candidate.score,
                    box=Instance.box_of(mask),
                    class_name=candidate.class_name,
                )
            )
        return instances

    def _find_subject(
        self,
        image: Image,
        readings: Sequence[Reading],
        notes: list[str],
        threshold: float,
        report: Reporter,
    ) -> list[Instance]:
        if self._subject is None:
            notes.append(f"The model that finds the main subject is not installed: {DOWNLOAD}.")
            return []
        alpha = self._subject.alpha(image.pixels, report)
        things = things_apart(alpha, threshold)
        if not things:
            notes.append("This photo has no clear main subject. Draw a box with --box instead.")
        label = next(reading.phrase for reading in readings if reading.how == "subject")
        instances = []
        for thing in things:
            mask = thing >= threshold
            score, box = float(thing[mask].mean()), Instance.box_of(mask)
            instances.append(Instance(mask=mask, alpha=thing, label=label, score=score, box=box))
        return instances


def _called_by_class(
    instances: Sequence[Instance], readings: Sequence[Reading]
) -> tuple[Instance, ...]:
    """Call what "everything" found by its class: ten objects of that name say nothing."""
    wide = {reading.phrase for reading in readings if reading.how == "everything"}
    return tuple(
        replace(i, label=i.class_name) if i.class_name and i.label in wide and i.score < 1 else i
        for i in instances
    )


def _box_candidates(
    image: Image, prompt: Prompt, detections: Detections, notes: list[str], dropped: list[Dropped]
) -> list[Candidate]:
    """List the user's positive boxes; a single phrase names those that have no name."""
    unnamed = prompt.phrases[0] if len(prompt.phrases) == 1 else "object"
    candidates: list[Candidate] = []
    for prompt_box in prompt.boxes:
        if not prompt_box.positive:
            continue
        x0, y0, x1, y1 = prompt_box.box
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, image.width), min(y1, image.height))
        if box[0] >= box[2] or box[1] >= box[3]:
            edges = ",".join(f"{edge:g}" for edge in prompt_box.box)
            notes.append(
                f"The box {edges} lies outside the photo, which is {image.width}×{image.height}."
            )
            continue
        candidate = Candidate(
            label=prompt_box.label or unnamed,
            score=1.0,
            box=box,
            class_name=matching.class_of_box(box, detections),
        )
        first = next((c for c in candidates if matching.overlap(c, candidate)), None)
        if first is None:
            candidates.append(candidate)
        else:
            reason = f"its box shows the same object as that of {first.label!r}"
            dropped.append(Dropped.of(candidate, reason, double_of=first.label))
    return candidates


def _convincing(
    candidates: Sequence[Candidate],
    readings: Sequence[Reading],
    evidence: Evidence,
    min_score: float,
    dropped: list[Dropped],
) -> list[Candidate]:
    """Drop candidates of which the classifier says that they are something else.

    The odds of a score are divided by the square root of the rival's advantage. Sure ones, tiny
    ones and classes that the classifier knows little of stay as they are.
    """
    words = {reading.phrase: categories_of(reading) for reading in readings}
    convincing: list[Candidate] = []
    for candidate in candidates:
        word, box = words[candidate.label], np.array([candidate.box], np.float32)
        judged = bool(word) and candidate.class_name in CATEGORIES
        side = (box[:, 2:] - box[:, :2]).max()
        if not judged or candidate.score >= SURE or side < TOO_SMALL_TO_TELL:
            convincing.append(candidate)
        else:
            (share,), (rival,) = evidence.shares(box, word)
            odds = candidate.score / (1 - candidate.score) * min(1.0, float(share)) ** 0.5
            doubted = replace(candidate, score=odds / (1 + odds))
            if doubted.score >= min_score:
                convincing.append(doubted)
            else:
                reason = f"looks more like {rival!r}: score {doubted.score:.2f} below {min_score:g}"
                dropped.append(Dropped.of(doubted, reason))
    return convincing


def _named(
    image: Image,
    faint: Detections,
    readings: Sequence[Reading],
    labels: tuple[Set[str], Set[str]],
    evidence: Evidence,
    min_score: float,
) -> list[Candidate]:
    """Choose boxes in which the classifier sees what the prompt names.

    For words beyond the detectors' classes these are boxes of any class. For a class they are its
    own boxes, whose scores are too low to count by themselves; where some count, the classifier
    must see the word much better than any other in further ones.

    Args:
        labels: those that the detectors found, and those of them of which nothing was convincing.
    """
    detected, doubted = labels
    named = []
    for reading in readings:
        word = categories_of(reading) or categories_of(reading, PARTLY)
        if not word:
            continue
        if reading.names:
            boxes = matching.to_name(faint, (image.width, image.height))
        elif reading.phrase in doubted:
            continue
        else:
            own = np.isin(faint.classes, [CLASSES.index(name) for name in reading.classes])
            boxes = faint.take(own & (faint.scores >= LEAST_OF_OWN))
        if not len(boxes):
            continue
        scores = evidence.scores(boxes.boxes, boxes.scores, word)
        if reading.phrase in detected and not reading.names:
            share, _ = evidence.shares(boxes.boxes, word)
            scores[(share < 1) | ((share < FURTHER) & (boxes.scores < min_score))] = 0
        named += matching.of_names(boxes, scores, reading)
    return sorted(named, key=lambda c: (-c.score, c.box, c.label))


def _weak(
    detections: Detections,
    readings: Sequence[Reading],
    min_score: float,
    candidates: Sequence[Candidate],
) -> list[Dropped]:
    """List detections of what the prompt names whose score is too low, but for candidates."""
    boxes = {candidate.box for candidate in candidates}
    weak = detections.take(
        (detections.scores < min_score) & (detections.scores >= WORTH_MENTIONING)
    )
    return [
        Dropped.of(candidate, f"score {candidate.score:.2f} is below {min_score:g}")
        for candidate in matching.of_phrases(
            weak, [reading for reading in readings if reading.how != "everything"]
        )
        if candidate.box not in boxes
    ]


def _rivals(detections: Detections, boxes: Sequence[Box]) -> list[Box]:
    """Return boxes of other objects: sure detections that are none of the given boxes."""
    detections = detections.take(detections.scores >= RIVAL)
    candidate_boxes = np.array(boxes, np.float32).reshape(-1, 1, 4)
    same = (iou(candidate_boxes, detections.boxes[None]) > matching.SAME_OBJECT).any(0)
    return [(row[0], row[1], row[2], row[3]) for row in detections.boxes[~same].tolist()]


def _suggestions(detections: Detections, readings: Sequence[Reading]) -> tuple[str, ...]:
    """List classes in the photo that nobody asked for, best first."""
    prompted = {name for reading in readings for name in reading.classes}
    classes = dict.fromkeys(CLASSES[index] for index in detections.classes)
    return tuple(name for name in classes if name not in prompted)


def _version(options: BackendOptions | Runtime) -> str:
    """Name the installed models, a digest of their files, and the rules that use them."""
    digest, names = hashlib.sha256(), []
    for artefact in embedded.status(options.weights):
        if "segment" in embedded.ARTEFACTS[artefact.name].used_by and artefact.present:
            names.append(artefact.name)
            for file, sha256 in sorted(artefact.sha256.items()):
                digest.update(f"{artefact.name}/{file} {sha256}\n".encode())
    models = f"{'+'.join(names) or 'none'} {digest.hexdigest()[:12]}"
    return f"{models} {version('mask')} rules {RULES}"
