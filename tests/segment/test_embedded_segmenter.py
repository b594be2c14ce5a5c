"""Phrases, drawn boxes and the main subject become instances; the rest becomes honest sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.models.embedded.box_fusion import Detections
from scenelift.models.embedded.classes import CLASSES
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.pipeline import find_objects
from scenelift.progress import Reporter, silent
from scenelift.segment.embedded.judge import Judge
from scenelift.segment.embedded.segmenter import GUESS, EmbeddedSegmenter
from scenelift.segment.embedded.subject import things_apart
from scenelift.segment.embedded.vocabulary import Vocabulary
from scenelift.types import Box, BoxPrompt, Image, Prompt

CHAIR, CAT, TABLE = (10.0, 10.0, 40.0, 60.0), (60.0, 20.0, 90.0, 50.0), (100.0, 30.0, 190.0, 90.0)


class ScriptedDetector:
    """Sees the same objects in every photo, mirrored where the photo is."""

    name = "scripted"

    def __init__(self, *objects: tuple[str, float, Box]) -> None:
        self.objects = objects

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        # The photo's left half is white, so that a mirrored one can be told.
        mirrored = not np.asarray(photo)[0, 0, 0]
        boxes = [
            (photo.width - x1, y0, photo.width - x0, y1) if mirrored else (x0, y0, x1, y1)
            for _, _, (x0, y0, x1, y1) in self.objects
        ]
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in self.objects], np.float32),
            np.array([CLASSES.index(name) for name, _, _ in self.objects], np.int64),
        )


class BoxFiller:
    """Takes all of a box as the object, and keeps what it was asked."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.rivals: list[Box] = []

    def masks(
        self,
        pixels: NDArray[np.uint8],
        boxes: Sequence[Box],
        rivals: Sequence[Box],
        report: Reporter,
        *,
        photo_tokens: PhotoTokens | None = None,
    ) -> list[NDArray[np.float32]]:
        self.boxes, self.rivals = list(boxes), list(rivals)
        alphas = []
        for x0, y0, x1, y1 in boxes:
            alpha = np.zeros(pixels.shape[:2], np.float32)
            alpha[round(y0) : round(y1), round(x0) : round(x1)] = 1
            alphas.append(alpha)
        return alphas


class LeftHalf:
    """Takes the left half of the photo for its subject, or nothing."""

    def __init__(self, level: float = 0.9) -> None:
        self.level = level

    def alpha(self, pixels: NDArray[np.uint8], report: Reporter) -> NDArray[np.float32]:
        alpha = np.zeros(pixels.shape[:2], np.float32)
        alpha[:, : pixels.shape[1] // 2] = self.level
        return alpha


def segmenter(*objects: tuple[str, float, Box], **options) -> EmbeddedSegmenter:
    return EmbeddedSegmenter(
        Vocabulary(), [ScriptedDetector(*objects)], options.pop("masker", BoxFiller()), **options
    )


class ScriptedNamer:
    """Says how likely each box shows some categories, by its left edge; sees them everywhere."""

    def __init__(self, chances: dict[float, dict[int, float]]) -> None:
        self._chances = chances
        self.looks: list[float] = []

    def chances(self, pixels, boxes, report) -> NDArray[np.float32]:
        chances = np.full((len(boxes), 1000), 1e-6, np.float32)
        for row, (left, *_) in enumerate(boxes.tolist()):
            self.looks.append(left)
            for category, chance in self._chances.get(left, {}).items():
                chances[row, category] = chance
        return chances

    def maps(self, pixels) -> list[NDArray[np.float32]]:
        return [np.full((1000, 4, 8), 0.1, np.float32)]


@pytest.fixture
def image() -> Image:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, :100] = 255
    return Image(pixels=pixels)


ROOM = (("chair", 0.9, CHAIR), ("cat", 0.7, CAT), ("dining table", 0.6, TABLE))


def test_a_phrase_becomes_its_objects_and_the_rest_is_suggested(image):
    result = segmenter(*ROOM).segment(image, Prompt(phrases=("armchairs", "the chair")), silent())
    assert [(i.label, i.class_name) for i in result.instances] == [("the chair", "chair")]
    assert result.instances[0].box == CHAIR
    assert result.instances[0].score == pytest.approx(0.9)
    assert result.suggestions == ("cat", "dining table")
    assert any("armchairs" in note for note in result.notes)  # unknown without WordNet


def test_instances_are_ordered_by_score(image):
    result = segmenter(*ROOM).segment(image, Prompt(phrases=("table", "cat", "chair")), silent())
    assert [i.label for i in result.instances] == ["chair", "cat", "table"]


def test_everything_takes_an_object_of_two_names_once(image):
    twice = (*ROOM, ("couch", 0.5, CHAIR))
    result = segmenter(*twice).segment(image, Prompt(phrases=("everything",)), silent())
    assert [i.class_name for i in result.instances] == ["chair", "cat", "dining table"]


def test_what_everything_found_has_its_own_names_and_unknown_words_are_said_once(image):
    prompt = Prompt(phrases=("everything", "wibble", "wobble"), boxes=(BoxPrompt(box=TABLE),))
    found = find_objects(segmenter(*ROOM), image, prompt, silent())
    assert [i.label for i in found.instances] == ["object", "chair", "cat"]
    note, advice = found.notes
    assert note.startswith("'wibble' and 'wobble' are not words")
    assert "box around the object" in advice
    # Who has nothing is told by the error how to point at things.
    assert len(segmenter().segment(image, Prompt(phrases=("wibble",)), silent()).notes) == 1


@pytest.mark.parametrize("phrases", [("chair", "furniture"), ("furniture", "chair")])
def test_an_object_of_two_phrases_goes_to_the_closer_one(image, phrases):
    result = segmenter(*ROOM).segment(image, Prompt(phrases=phrases), silent())
    assert [(i.label, i.class_name) for i in result.instances] == [
        ("chair", "chair"),
        ("furniture", "dining table"),
    ]


@pytest.mark.parametrize("phrases", [("chair", "table"), ("table", "chair")])
def test_of_two_classes_for_one_object_the_better_score_stays(image, phrases):
    one = (("chair", 0.5, CHAIR), ("dining table", 0.8, CHAIR))
    result = segmenter(*one).segment(image, Prompt(phrases=phrases), silent())
    assert [(i.label, i.score) for i in result.instances] == [("table", pytest.approx(0.8))]
    (double,) = result.dropped
    assert (double.label, double.double_of) == ("chair", "table")


@pytest.mark.parametrize("phrases", [("person", "motorcycle"), ("vehicle", "person")])
def test_a_rider_does_not_hide_the_motorcycle(image, phrases):
    # Boxes of IoU 2/3: one object if they were of one class.
    ride = (("motorcycle", 0.5, (10, 20, 60, 60)), ("person", 0.9, (10, 12, 60, 52)))
    result = segmenter(*ride).segment(image, Prompt(phrases=phrases), silent())
    assert [i.class_name for i in result.instances] == ["person", "motorcycle"]
    everything = segmenter(*ride).segment(image, Prompt(phrases=("everything",)), silent())
    assert [i.class_name for i in everything.instances] == ["person", "motorcycle"]


def test_a_book_on_a_table_is_no_part_of_it_when_everything_is_asked_for(image):
    desk = (("dining table", 0.9, TABLE), ("book", 0.5, (120, 40, 150, 60)))
    result = segmenter(*desk).segment(image, Prompt(phrases=("everything",)), silent())
    assert [i.class_name for i in result.instances] == ["dining table", "book"]


def test_a_second_word_for_the_same_objects_is_said_to_be_one(image):
    found = find_objects(
        segmenter(("cup", 0.9, CAT)), image, Prompt(phrases=("mug", "cup")), silent()
    )
    assert [i.label for i in found.instances] == ["cup"]
    assert found.notes == ("'mug' names what 'cup' names: it is lifted once.",)


def test_two_boxes_for_one_object_are_one_object_and_said_to_be(image):
    boxes = (BoxPrompt(box=CHAIR, label="seat"), BoxPrompt(box=(11, 10, 41, 60), label="stool"))
    found = find_objects(segmenter(*ROOM), image, Prompt(boxes=boxes), silent())
    assert [i.label for i in found.instances] == ["seat"]
    (note,) = found.notes
    assert "11,10,41,60" in note
    assert "'seat'" in note


def test_a_box_around_two_of_a_kind_is_left_out_for_the_two(image):
    left, right = (10, 10, 50, 60), (52, 10, 92, 60)
    both = (("cup", 0.9, left), ("cup", 0.8, right), ("cup", 0.6, (10, 10, 92, 60)))
    result = segmenter(*both).segment(image, Prompt(phrases=("cup",)), silent())
    assert [i.box for i in result.instances] == [left, right]


def test_a_monitor_is_also_what_detectors_call_a_laptop(image):
    result = segmenter(("laptop", 0.9, CAT)).segment(image, Prompt(phrases=("monitor",)), silent())
    assert [i.label for i in result.instances] == ["monitor"]


def test_other_objects_are_rivals_but_not_weak_ones_nor_other_names_of_the_same(image):
    masker = BoxFiller()
    part = (CHAIR[0], CHAIR[1], (CHAIR[0] + CHAIR[2]) / 2, (CHAIR[1] + CHAIR[3]) / 2)
    twice = (*ROOM, ("couch", 0.5, CHAIR), ("handbag", 0.45, part))
    segmenter(*twice, masker=masker).segment(image, Prompt(phrases=("chair",)), silent())
    assert masker.boxes == [CHAIR]
    # Averages of float32 boxes: an error of a millionth of a pixel.
    np.testing.assert_allclose(sorted(masker.rivals), [CAT, TABLE], rtol=1e-6)


def test_a_drawn_box_is_an_instance_of_score_one_named_as_the_user_says(image):
    drawn = BoxPrompt(box=(120.0, 5.0, 150.0, 25.0), label="lamp")
    result = segmenter(*ROOM).segment(image, Prompt(boxes=(drawn,)), silent())
    (lamp,) = result.instances
    assert (lamp.label, lamp.score, lamp.class_name) == ("lamp", 1.0, None)
    assert lamp.box == drawn.box


def test_a_drawn_box_takes_the_place_of_the_detection_below_it(image):
    drawn = BoxPrompt(box=(11.0, 9.0, 41.0, 61.0))
    result = segmenter(*ROOM).segment(image, Prompt(phrases=("chair",), boxes=(drawn,)), silent())
    (chair,) = result.instances
    assert (chair.label, chair.score, chair.class_name) == ("chair", 1.0, "chair")
    assert chair.box == drawn.box


def test_a_drawn_box_is_cut_to_the_photo(image):
    drawn = BoxPrompt(box=(-20.0, -20.0, 30.0, 40.0))
    result = segmenter(*ROOM).segment(image, Prompt(boxes=(drawn,)), silent())
    assert result.instances[0].box == (0, 0, 30, 40)


def test_a_box_beside_the_photo_is_said(image):
    drawn = BoxPrompt(box=(300.0, 0.0, 310.0, 10.0))
    result = segmenter(*ROOM).segment(image, Prompt(boxes=(drawn,)), silent())
    assert result.instances == ()
    assert "outside the photo" in result.notes[0]
    assert "200×100" in result.notes[0]


def test_a_negative_box_takes_back_what_it_covers(image):
    two = (("cat", 0.9, CAT), ("cat", 0.8, CHAIR))
    wrong = BoxPrompt(box=(0.0, 0.0, 45.0, 70.0), positive=False)
    result = segmenter(*two).segment(image, Prompt(phrases=("cat",), boxes=(wrong,)), silent())
    assert [i.box for i in result.instances] == [CAT]


def test_weak_objects_are_left_out_and_listed(image):
    result = segmenter(("cat", 0.35, CAT)).segment(image, Prompt(phrases=("cat",)), silent())
    assert result.instances == ()
    (weak,) = result.dropped
    assert "0.35" in weak.reason
    assert "0.4" in weak.reason


def test_the_users_threshold_replaces_ours(image):
    prompt = Prompt(phrases=("cat",), min_score=0.3)
    assert segmenter(("cat", 0.35, CAT)).segment(image, prompt, silent()).instances


def test_the_main_subject_needs_no_detector(image):
    result = EmbeddedSegmenter(Vocabulary(), [], BoxFiller(), subject=LeftHalf()).segment(
        image, Prompt(phrases=("the main subject",)), silent()
    )
    (subject,) = result.instances
    assert subject.label == "the main subject"
    assert subject.score == pytest.approx(0.9)
    assert subject.box == (0, 0, 100, 100)


def test_things_of_the_main_subject_that_are_apart_are_objects_of_their_own():
    alpha = np.zeros((100, 400), np.float32)
    alpha[20:80, 10:60] = 0.9
    alpha[20:80, 59:61] = 0.3  # a soft rim
    alpha[20:80, 100:140] = alpha[20:80, 141:150] = 0.8  # a wire before it
    alpha[2:6, 180:190] = 0.9  # a crumb
    first, second = things_apart(alpha, 0.5)
    assert first[50, 60] == np.float32(0.3)
    assert not first[:, 100:].any()
    assert second[50, 110] == second[50, 145] == np.float32(0.8)
    assert np.count_nonzero(second >= 0.5) == 60 * 49
    assert things_apart(np.zeros((4, 4), np.float32), 0.5) == []


@pytest.mark.parametrize("subject", [None, LeftHalf(0.2)])
def test_no_main_subject_is_said(image, subject):
    result = segmenter(subject=subject).segment(image, Prompt(phrases=("main object",)), silent())
    assert result.instances == ()
    assert any("main subject" in note for note in result.notes)


def test_what_is_not_installed_is_said_when_it_was_needed(image):
    missing = ("The detector is not installed.",)
    without = EmbeddedSegmenter(Vocabulary(), [], BoxFiller(), notes=missing)
    asked = without.segment(image, Prompt(phrases=("chair",)), silent())
    assert missing[0] in asked.notes
    drawn = without.segment(image, Prompt(boxes=(BoxPrompt(box=CHAIR),)), silent())
    assert len(drawn.instances) == 1
    assert drawn.notes == ()


def test_an_empty_prompt_finds_nothing(image):
    assert segmenter(*ROOM).segment(image, Prompt(), silent()).instances == ()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1)])
def test_any_shape_of_photo_is_segmented(size):
    image = Image(pixels=np.full((*size, 3), 255, np.uint8))
    result = segmenter().segment(image, Prompt(phrases=("chair",)), silent())
    assert result.instances == ()


def test_a_higher_mask_threshold_makes_smaller_masks(image):
    class Soft:
        """Masks that fade from the left of their box to its right."""

        def masks(self, pixels, boxes, rivals, report, *, photo_tokens=None):
            ramp = np.linspace(1, 0, pixels.shape[1], dtype=np.float32)
            return [np.tile(ramp, (pixels.shape[0], 1)) for _ in boxes]

    def area(threshold):
        prompt = Prompt(boxes=(BoxPrompt(box=(10, 10, 60, 60)),), mask_threshold=threshold)
        finder = EmbeddedSegmenter(Vocabulary.load(None), [], Soft())
        return finder.segment(image, prompt, silent()).instances[0].mask.sum()

    assert area(0.8) < area(None) < area(0.2)


SOCK, HEEL, OTHER, CRUMB = (
    *((10.0, 10.0, 60.0, 60.0), (12.0, 12.0, 40.0, 40.0)),
    *((80.0, 20.0, 120.0, 70.0), (150.0, 10.0, 153.0, 13.0)),
)


SOCKS, CUPS, JUG = 806, 968, 725


def with_namer(boxes, chances) -> tuple[EmbeddedSegmenter, ScriptedNamer]:
    namer = ScriptedNamer(chances)
    words = Vocabulary(with_names=True)
    return EmbeddedSegmenter(words, [ScriptedDetector(*boxes)], BoxFiller(), namer=namer), namer


def test_a_word_beyond_the_classes_is_told_by_what_boxes_of_any_class_show(image):
    boxes = (("cat", 0.3, SOCK), ("cup", 0.25, HEEL), ("dog", 0.15, OTHER), ("bird", 0.3, CRUMB))
    sure, less = {SOCKS: 0.5}, {SOCKS: 0.3}
    finder, namer = with_namer(boxes, {10: sure, 12: sure, 80: less, 150: {SOCKS: 0.9}})
    result = finder.segment(image, Prompt(phrases=("socks",)), silent())
    # Not the part of the first one, nor what is too small to tell; the third is too weak for a dog.
    assert [(i.label, i.class_name, i.box) for i in result.instances] == [
        ("socks", "sock", SOCK),
        ("socks", "sock", OTHER),
    ]
    assert sorted(namer.looks) == [10, 12, 80]  # once each
    scores = [i.score for i in result.instances]
    assert 0.4 < scores[1] < scores[0] < 1


def test_what_surely_is_a_person_is_not_what_it_wears(image):
    socks = {10: {SOCKS: 0.5}, 80: {SOCKS: 0.3}}
    for score, boxes in ((0.3, [SOCK, OTHER]), (0.5, [OTHER])):
        detected = (("person", score, SOCK), ("bird", 0.9, SOCK), ("cat", 0.6, OTHER))
        finder, _ = with_namer(detected, socks)
        result = finder.segment(image, Prompt(phrases=("sock",)), silent())
        assert [i.box for i in result.instances] == boxes


@pytest.mark.parametrize(
    ("second", "count"),
    [
        ({SOCKS: 0.2}, 2),
        ({SOCKS: 0.02}, 1),  # much less likely than the best
        ({SOCKS: 0.08, JUG: 0.05}, 2),
        ({SOCKS: 0.08, JUG: 0.95}, 1),  # something else
    ],
)
def test_a_box_much_less_likely_than_the_best_or_than_something_else_is_none(image, second, count):
    boxes = (("cat", 0.3, SOCK), ("dog", 0.3, OTHER))
    finder, _ = with_namer(boxes, {10: {SOCKS: 0.2}, 80: second})
    result = finder.segment(image, Prompt(phrases=("sock",)), silent())
    assert len(result.instances) == count


def test_weak_evidence_is_enough_for_one(image):
    boxes = (("cat", 0.3, SOCK), ("dog", 0.3, OTHER))
    for chance, count in ((0.4, 2), (0.02, 1), (0.005, 0)):
        finder, _ = with_namer(boxes, {10: {SOCKS: chance}, 80: {SOCKS: chance}})
        found = finder.segment(image, Prompt(phrases=("sock",)), silent()).instances
        assert len(found) == count, chance


def test_an_object_that_a_class_shows_is_not_named_again(image):
    boxes = (("cup", 0.8, SOCK), ("vase", 0.3, OTHER))
    finder, _ = with_namer(boxes, {10: {572: 0.9}, 80: {572: 0.9}})
    result = finder.segment(image, Prompt(phrases=("glass",)), silent())
    assert [(i.class_name, i.box) for i in result.instances] == [("cup", SOCK), ("glass", OTHER)]


def test_what_the_classifier_calls_something_else_is_left_out_with_its_name(image):
    boxes = (("cup", 0.5, SOCK), ("cup", 0.5, OTHER), ("person", 0.5, TABLE))
    finder, namer = with_namer(boxes, {10: {CUPS: 0.6, JUG: 0.1}, 80: {CUPS: 0.1, JUG: 0.6}})
    result = finder.segment(image, Prompt(phrases=("cup", "person")), silent())
    assert {i.box for i in result.instances} == {SOCK, TABLE}
    assert [d.box for d in result.dropped] == [OTHER]
    assert "looks more like 'jug'" in result.dropped[0].reason
    assert 100 not in namer.looks  # it knows nothing of people
    sure, _ = with_namer([("cup", 0.85, OTHER)], {80: {CUPS: 0.1, JUG: 0.6}})
    assert sure.segment(image, Prompt(phrases=("cup",)), silent()).instances


def test_of_two_words_for_one_box_the_one_that_has_no_other_gets_it(image):
    boxes = (("cup", 0.9, TABLE), ("cup", 0.6, SOCK))
    glass = {10: {CUPS: 0.5, 572: 0.4}}
    finder, _ = with_namer(boxes, glass)
    both = finder.segment(image, Prompt(phrases=("cup", "goblet")), silent())
    assert {(i.label, i.box) for i in both.instances} == {("cup", TABLE), ("cup", SOCK)}
    result = finder.segment(image, Prompt(phrases=("cup", "glass")), silent())
    assert {(i.label, i.box) for i in result.instances} == {("cup", TABLE), ("glass", SOCK)}
    alone, _ = with_namer(boxes[1:], glass)
    result = alone.segment(image, Prompt(phrases=("cup", "glass")), silent())
    assert [(i.label, i.box) for i in result.instances] == [("cup", SOCK)]


def test_where_nothing_of_a_class_is_sure_its_weak_boxes_count_if_the_classifier_agrees(image):
    boxes = (("cup", 0.35, SOCK), ("cat", 0.35, OTHER))
    cups = {10: {CUPS: 0.5}, 80: {CUPS: 0.5}}
    finder, _ = with_namer(boxes, cups)
    result = finder.segment(image, Prompt(phrases=("cup",)), silent())
    assert [(i.class_name, i.box) for i in result.instances] == [("cup", SOCK)]
    assert not result.dropped  # it is not listed as too weak besides
    # ImageNet has little of books: what it sees speaks for them.
    books, _ = with_namer([("book", 0.3, SOCK), ("book", 0.3, OTHER)], {10: {921: 0.5}})
    result = books.segment(image, Prompt(phrases=("book",)), silent())
    assert [i.box for i in result.instances] == [SOCK]
    nothing, _ = with_namer(boxes, {})
    assert not nothing.segment(image, Prompt(phrases=("cup",)), silent()).instances


def test_beside_a_sure_object_weak_boxes_count_that_the_classifier_takes_for_nothing_else(image):
    boxes = (("cup", 0.9, TABLE), ("cup", 0.35, SOCK))
    for jug, found in ((0.05, {TABLE, SOCK}), (0.2, {TABLE})):
        finder, _ = with_namer(boxes, {10: {CUPS: 0.5, JUG: jug}, 100: {CUPS: 0.5}})
        result = finder.segment(image, Prompt(phrases=("cup",)), silent())
        assert {i.box for i in result.instances} == found
    # Of a class of which everything is doubted nothing weak comes back.
    jugs = {10: {CUPS: 0.1, JUG: 0.6}, 80: {CUPS: 0.5}}
    finder, _ = with_namer((("cup", 0.5, SOCK), ("cup", 0.3, OTHER)), jugs)
    assert not finder.segment(image, Prompt(phrases=("cup",)), silent()).instances


def test_a_mask_half_inside_a_better_one_of_its_class_is_a_part_of_it(image):
    boxes = (("cat", 0.9, SOCK), ("cat", 0.5, (30.0, 5.0, 70.0, 55.0)), ("dog", 0.5, HEEL))
    result = segmenter(*boxes).segment(image, Prompt(phrases=("cat", "dog")), silent())
    assert [(i.label, i.box) for i in result.instances] == [("cat", SOCK), ("dog", HEEL)]


def test_without_the_classifier_such_a_word_is_unknown(image):
    result = segmenter(*ROOM).segment(image, Prompt(phrases=("sock",)), silent())
    assert not result.instances
    assert any("'sock' is not a word" in note and "main subject" in note for note in result.notes)


def test_a_guess_is_said_to_be_one(image):
    class Sure(Judge):
        def chances(self, features):
            return np.full(len(features), 0.35, np.float32)

    nothing = np.zeros(0, np.float32)
    judge = Sure(mean=nothing, deviation=nothing, networks=())
    found = segmenter(("bench", 0.2, SOCK), namer=ScriptedNamer({}), judge=judge)
    result = found.segment(image, Prompt(phrases=("bench", "dog")), silent())
    # Nothing but the bench is seen from near: 0.35 before that.
    assert [(i.label, round(i.score, 3), i.box) for i in result.instances] == [
        ("bench", 0.442, (10, 10, 60, 60))
    ]
    assert [note for note in result.notes if "guess" in note] == [GUESS.format("bench")]
