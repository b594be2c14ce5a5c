"""What judges boxes is learned from what detectors and classifier say of rendered things."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from scenelift.models.embedded.box_fusion import Detections
from scenelift.models.embedded.classes import CLASSES
from scenelift.progress import silent
from scenelift.segment.embedded.evidence import Evidence
from scenelift.segment.embedded.judge import FEATURES, Judge, Proposals
from scenelift.segment.embedded.vocabulary import Vocabulary
from scenelift.training.judge import ABSENT, Examples, examples, fit, words_to_ask


class Blind:
    def chances(self, pixels, boxes, report):
        return np.full((len(boxes), 1000), 1e-3, np.float32)

    def maps(self, pixels):
        return [np.full((1000, 4, 8), 1e-3, np.float32)]


def test_what_is_learned_is_loaded_and_tells_right_from_wrong(tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (600, len(FEATURES))).astype(np.float32)
    targets = (features[:, 0] > features[:, 2]).astype(np.float32)
    path = tmp_path / "judge.json"
    path.write_text(json.dumps(fit(Examples(features=features, targets=targets), seed=0)))
    judge = Judge.load(path)
    assert len(path.read_text()) < 30_000
    assert np.mean((judge.chances(features) > 0.5) == targets) > 0.93
    assert fit(Examples(features=features, targets=targets), 0) == json.loads(path.read_text())


def test_a_scene_is_asked_for_what_it_has_and_for_some_that_it_has_not():
    words, rng = Vocabulary(with_names=True), np.random.default_rng(0)
    truths = [("cup", (0.0, 0.0, 9.0, 9.0)), ("thingummy", (5.0, 0.0, 9.0, 9.0))]
    pool = ["cup", "dog", "cat", "lamp", "car", "chair", "thingummy"]
    listed = words_to_ask(truths, pool, words, rng)
    assert listed[0] == "cup"
    assert len(listed) == 1 + ABSENT
    assert not {"thingummy", "cup"} & set(listed[1:])


def test_boxes_are_right_by_their_overlap_with_the_words_own_things():
    boxes = np.array([[10, 10, 50, 50], [100, 10, 140, 50], [12, 10, 52, 62]], np.float32)
    scores, cup = np.array([0.5, 0.4, 0.3], np.float32), CLASSES.index("cup")
    faint = Detections(boxes, scores, np.full(3, cup))
    evidence = Evidence(Blind(), np.zeros((100, 200, 3), np.uint8), silent())
    proposals = Proposals(faint, (200, 100), evidence)
    truths = [("cup", (10.0, 10.0, 50.0, 50.0)), ("dog", (100.0, 10.0, 140.0, 50.0))]
    of_cup, of_car = examples(proposals, truths, ["cup", "car"], Vocabulary(with_names=True))
    # The last box has two thirds of the first in common: IoU .70 of .4 to .8.
    assert sorted(of_cup.targets.tolist()) == pytest.approx([0, 0.759, 1], abs=0.01)
    assert not of_car.targets.any()
    assert of_cup.features.shape == (3, len(FEATURES))
