"""A closer look at weak boxes: what is seen there, and what follows for guesses and people."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow

from scenelift.models.embedded.box_fusion import Detections
from scenelift.models.embedded.classes import CLASSES
from scenelift.progress import silent
from scenelift.segment.embedded.closer import MOST_BOXES, CloserLook, Scores
from scenelift.segment.embedded.evidence import Evidence
from scenelift.segment.embedded.judge import Judge, Proposals
from scenelift.segment.embedded.matching import Candidate
from scenelift.segment.embedded.people import convincing_people
from scenelift.segment.embedded.rescue import guesses_for
from scenelift.segment.embedded.vocabulary import Vocabulary
from scenelift.types import Box, Dropped

PERSON, CAT, VASE = (CLASSES.index(name) for name in ("person", "cat", "vase"))
SIZE = (400, 200)
LEFT, MIDDLE, RIGHT = (
    (10.0, 10.0, 90.0, 190.0),
    (150.0, 80.0, 170.0, 110.0),
    (300.0, 20.0, 390.0, 180.0),
)


class Close:
    """Sees the red of the photo as a cat from near, and as a vase from afar."""

    name = "close"

    def __init__(self) -> None:
        self.windows: list[Box] = []

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        self.windows.append(window)
        ys, xs = np.nonzero(np.asarray(photo)[..., 0] > 128)
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        near = window[2] - window[0] < photo.width / 2
        return Detections(
            np.array([box], np.float32),
            np.array([0.7], np.float32),
            np.array([CAT if near else VASE]),
        )


def photo_of(box: Box, width: int, height: int) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = (int(edge) for edge in box)
    pixels[y0:y1, x0:x1, 0] = 255
    return pixels


@pytest.mark.parametrize("scale", [1, 10])  # a photo of 4000 pixels is looked at smaller
def test_a_box_is_seen_enlarged_with_what_is_around_it(scale):
    box = tuple(scale * edge for edge in MIDDLE)
    detector = Close()
    look = CloserLook([detector], photo_of(box, scale * 400, scale * 200), silent())
    assert look.scores(box, [CAT]) == pytest.approx((0.7, 0))
    assert look.scores(box, [PERSON, VASE]) == pytest.approx((0, 0.7))
    assert len(detector.windows) == 2  # one look, and its mirror image
    x0, y0, x1, y1 = detector.windows[0]
    assert (
        x1 - x0
        == pytest.approx(y1 - y0, rel=0.01)
        == pytest.approx(112 if scale == 1 else 500, rel=0.01)
    )
    elsewhere = tuple(edge + scale * 60 for edge in box)
    assert look.scores(elsewhere, [CAT]) == Scores(0, 0)


def test_windows_stay_in_the_photo_and_looks_are_counted():
    detector = Close()
    look = CloserLook([detector], photo_of(LEFT, *SIZE), silent())
    for k in range(MOST_BOXES):
        assert look.scores((k, 0, k + 80, 190), [CAT]) is not None
    assert look.scores(RIGHT, [CAT]) is None
    assert look.scores((0, 0, 80, 190), [CAT]) is not None  # looked at before
    assert all(0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 200 for x0, y0, x1, y1 in detector.windows)


class Looks(CloserLook):
    """Closer looks whose scores are known."""

    def __init__(self, scores: dict[Box, Scores | None]) -> None:
        self._scores = scores

    def scores(self, box, classes):
        return self._scores.get(box)


class Chances(Judge):
    """Judges each box by what is known of it, in the order of their best scores."""

    def __init__(self, *known: float) -> None:
        nothing = np.zeros(0, np.float32)
        super().__init__(mean=np.array(known, np.float32), deviation=nothing, networks=())

    def chances(self, features):
        return self.mean[: len(features)]


class NoCategories:
    def chances(self, pixels, boxes, report):
        return np.full((len(boxes), 1000), 1e-3, np.float32)

    def maps(self, pixels):
        return [np.full((1000, 2, 4), 1e-3, np.float32)]


def proposals(*objects: tuple[str, float, Box]) -> Proposals:
    names, scores, boxes = zip(*objects, strict=True)
    faint = Detections(
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        np.array([CLASSES.index(name) for name in names]),
    )
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return Proposals(faint, SIZE, Evidence(NoCategories(), pixels, silent()))


@pytest.mark.parametrize(
    ("chance", "seen", "guessed"),
    [
        (0.3, None, True),
        (0.3, Scores(0.0, 0.8), False),  # clearly something else
        (0.3, Scores(0.3, 0.4), True),
        (0.15, None, False),
        (0.15, Scores(0.4, 0.1), True),
        (0.09, Scores(0.9, 0.0), False),  # not worth a look
    ],
)
def test_a_guess_is_looked_at_closely(chance, seen, guessed):
    weak = proposals(("bench", 0.3, LEFT))
    readings = [Vocabulary().read("bench")]
    found = guesses_for(readings, weak, Chances(chance), [], Looks({LEFT: seen}))
    assert [guess.box for guess in found] == ([LEFT] if guessed else [])


def person(box: Box, score: float) -> Candidate:
    return Candidate(label="people", score=score, box=box, class_name="person")


def kept(candidates, judged, looks, min_score=0.4) -> tuple[list[Candidate], list[Dropped]]:
    boxes = proposals(*(("person", c.score, c.box) for c in candidates))
    dropped: list[Dropped] = []
    people = convincing_people(candidates, boxes, judged, Looks(looks), 400, min_score, dropped)
    return people, dropped


def test_people_are_doubted_by_the_judge_where_large_and_by_a_closer_look():
    large, small, sure = person(LEFT, 0.55), person(MIDDLE, 0.5), person(RIGHT, 0.8)
    # The best score is judged first: RIGHT, LEFT, MIDDLE.
    assert kept([sure, large, small], Chances(0.1, 0.3, 0.1), {})[0] == [sure, large, small]
    people, dropped = kept([sure, large, small], Chances(0.1, 0.1, 0.1), {})
    assert people == [sure, small]
    assert [(d.box, d.reason) for d in dropped] == [(LEFT, "hardly a person: score 0.28 below 0.4")]
    for seen, stays in (
        (Scores(0.5, 0.6), True),
        (Scores(0.2, 0.0), False),
        (Scores(0.3, 0.5), False),
    ):
        people, _ = kept([small], Chances(0.9), {MIDDLE: seen})
        assert bool(people) == stays


def test_a_doubted_person_stays_for_who_asks_for_weak_ones_and_others_are_not_doubted():
    people, dropped = kept([person(MIDDLE, 0.5)], Chances(0.9), {MIDDLE: Scores(0, 0)}, 0.2)
    assert [(p.score, p.box) for p in people] == [(0.25, MIDDLE)]
    assert dropped == []
    cat = Candidate(label="cat", score=0.42, box=MIDDLE, class_name="cat")
    assert kept([cat], Chances(0.0), {MIDDLE: Scores(0, 0)})[0] == [cat]
