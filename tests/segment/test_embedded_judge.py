"""Which weak box shows what a phrase names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scenelift.errors import WeightsError
from scenelift.models.embedded.box_fusion import Detections
from scenelift.models.embedded.classes import CLASSES
from scenelift.progress import silent
from scenelift.segment.embedded.evidence import Evidence
from scenelift.segment.embedded.judge import FEATURES, Judge, Proposals
from scenelift.segment.embedded.matching import Candidate
from scenelift.segment.embedded.rescue import guesses_for
from scenelift.segment.embedded.vocabulary import Vocabulary

SIZE = (200, 100)
COUCH = 831  # the category
LEFT, RIGHT, ABOVE = (10.0, 30.0, 70.0, 90.0), (110.0, 30.0, 190.0, 90.0), (80.0, 2.0, 105.0, 25.0)


class Classifier:
    """Sees couches in some boxes, close up and on its map, and nothing anywhere else."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self._boxes = boxes

    def chances(self, pixels, boxes, report):
        chances = np.full((len(boxes), 1000), 1e-3, np.float32)
        for row, box in enumerate(boxes.tolist()):
            chances[row, COUCH] = 0.9 if tuple(box) in self._boxes else 1e-3
        return chances

    def maps(self, pixels):
        table = np.full((1000, 20, 40), 1e-3, np.float32)  # cells of 5 pixels
        for x0, y0, x1, y1 in self._boxes:
            table[COUCH, int(y0 / 5) : int(y1 / 5), int(x0 / 5) : int(x1 / 5)] = 0.9
        return [table]


def detections(*objects: tuple[str, float, tuple[float, float, float, float]]) -> Detections:
    names, scores, boxes = zip(*objects, strict=True)
    return Detections(
        np.array(boxes, np.float32),
        np.array(scores, np.float32),
        np.array([CLASSES.index(name) for name in names]),
    )


def by(feature: str, least: float) -> Judge:
    """A judge that is for what has more than so much of one feature."""
    matrix = np.zeros((len(FEATURES), 1), np.float32)
    matrix[FEATURES.index(feature)] = 1
    layer = (matrix, np.array([-np.log(least)], np.float32))
    zeros, ones = np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32)
    return Judge(mean=zeros, deviation=ones, networks=((layer,),))


def guesses(
    faint: Detections, *phrases: str, judge: Judge | None = None, found=(), sees=()
) -> list[Candidate]:
    evidence = Evidence(Classifier(*sees), np.zeros((100, 200, 3), np.uint8), silent())
    readings = [Vocabulary(with_names=True).read(phrase) for phrase in phrases]
    proposals = Proposals(faint, SIZE, evidence)
    return guesses_for(readings, proposals, judge or Judge.load(), found)


def test_a_weak_box_is_a_guess_if_the_classifier_agrees():
    faint = detections(("couch", 0.35, LEFT), ("bird", 0.3, ABOVE))
    [guess] = guesses(faint, "the couch", sees=(LEFT,))
    assert (guess.label, guess.box, guess.class_name) == ("the couch", LEFT, "couch")
    assert guess.score >= 0.4  # of what counts: the note says that it is a guess
    assert guesses(faint, "the couch") == []


def test_a_box_of_another_name_is_taken_and_likely_ones_apart_from_it():
    inside = (115.0, 35.0, 170.0, 85.0)
    faint = detections(("suitcase", 0.35, LEFT), ("bed", 0.3, RIGHT), ("cat", 0.3, inside))
    judge = by("close up", 0.8)
    assert [g.box for g in guesses(faint, "couch", judge=judge, sees=(RIGHT,))] == [RIGHT]
    both = guesses(faint, "couch", judge=judge, sees=(LEFT, RIGHT, inside))
    assert {guess.box for guess in both} == {LEFT, RIGHT}


def test_words_that_are_found_stay_as_they_are_and_their_boxes_are_occupied():
    faint = detections(("couch", 0.35, LEFT), ("chair", 0.6, LEFT))
    chair = Candidate(label="chair", score=0.6, box=LEFT, class_name="chair")
    judge = by("own", 0.3)
    for phrases in (("couch", "chair"), ("chair", "couch")):  # the likelier one, in either order
        assert [g.label for g in guesses(faint, *phrases, judge=judge)] == ["chair"]
    assert guesses(faint, "couch", "chair", judge=judge, found=[chair]) == []
    assert guesses(faint, "everything", "wibble", judge=judge) == []


def test_a_file_of_other_features_is_refused(tmp_path):
    path = tmp_path / "judge.json"
    path.write_text(json.dumps({"features": [*FEATURES, "colour"]}))
    with pytest.raises(WeightsError, match="colour"):
        Judge.load(path)


def test_features_say_how_far_a_box_is_from_the_best():
    faint = detections(("couch", 0.4, LEFT), ("couch", 0.2, RIGHT), ("dog", 0.9, RIGHT))
    evidence = Evidence(Classifier(), np.zeros((100, 200, 3), np.uint8), silent())
    features, rows = Proposals(faint, SIZE, evidence).features([CLASSES.index("couch")], (COUCH,))
    named = dict(zip(FEATURES, features.T, strict=True))
    order = np.argsort(rows)  # RIGHT comes first: the dog's score is the best
    assert named["own"][order] == pytest.approx(np.log([0.2, 0.4]))
    assert named["rival"][order] == pytest.approx(np.log([0.9, 0.01]))
    assert named["share of the photo's best"][order] == pytest.approx([0.2 / 0.45, 0.4 / 0.45])
    assert named["below the best evidence"].max() == 0
    assert named["edges"].tolist() == [0, 0]
