"""Phrases become detector classes, or an honest note."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenelift.errors import WeightsError
from scenelift.models.embedded.classes import CLASSES, COCO, SENSES
from scenelift.segment.embedded.aliases import ALIASES
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.named import NAMED, SYNONYMS
from scenelift.segment.embedded.vocabulary import Vocabulary, notes_on
from scenelift.segment.embedded.wordnet import WordNet
from scenelift.weights import embedded

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "vocabulary.py"


@pytest.fixture(scope="module")
def plain() -> Vocabulary:
    """What is understood without WordNet."""
    return Vocabulary()


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    try:
        return WordNet(embedded.path("wordnet").parent)
    except WeightsError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def full(wordnet) -> Vocabulary:
    return Vocabulary(wordnet)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_answers_to_its_own_name(plain, name):
    assert name in plain.read(name).classes
    assert plain.read(name).note == ""


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_answers_to_its_plural(plain, name):
    irregular = {"person": "people", "mouse": "mice", "knife": "knives", "sheep": "sheep"}
    ending = "es" if name.endswith(("s", "x", "ch", "sh")) else "s"
    assert name in plain.read(f"the {irregular.get(name, name + ending)}").classes


def test_aliases_name_classes_only_and_are_never_repeated_by_spelling():
    assert {c for classes in ALIASES.values() for c in classes} <= set(CLASSES)
    assert all(alias == alias.lower().strip() for alias in ALIASES)


def test_coco_comes_first_so_that_detector_columns_are_class_indices():
    assert CLASSES[: len(COCO)] == COCO
    assert len(set(CLASSES)) == len(CLASSES)


@pytest.mark.parametrize(
    ("phrase", "classes"),
    [
        ("the red car on the left", ("car",)),
        ("two wine glasses", ("wine glass",)),
        ("a pair of scissors", ("scissors",)),
        ("CUP", ("cup",)),
        ("the man's hot-dogs", ("hot dog",)),
        ("a person riding a horse", ("person",)),
        ("dogs and cats", ("dog", "cat")),
        ("cat, dog", ("cat", "dog")),
        ("black and white cat", ("cat",)),
        ("bottle of water", ("bottle",)),
        # What follows the noun is no noun, and what follows that is not looked at.
        ("teddy bear held by the child", ("teddy bear",)),
        ("dog facing the camera", ("dog",)),
        ("man kicking ball", ("person",)),
        ("kid throwing a frisbee at the dog", ("person",)),
        ("the cup left of the plate", ("cup",)),
        ("a cup full of coffee", ("cup",)),
        ("wine glass half full", ("wine glass",)),
        ("cup made of glass", ("cup",)),
        ("traffic light showing green", ("traffic light",)),
        ("TV turned off", ("tv",)),
        ("the chair she sits on", ("chair",)),
        ("chair no. 2", ("chair",)),
        ("chairs (all)", ("chair",)),
        ("can you find me the cup, please?", ("cup",)),
        ("old dining table", ("dining table",)),
        ("a man and his dog", ("person", "dog")),
        ("unicorn chasing a dog", ()),
        ("wibble on the chair", ()),
    ],
)
def test_the_head_of_the_phrase_decides(plain, phrase, classes):
    assert plain.read(phrase).classes == classes


def test_words_that_are_not_understood_are_named(plain):
    assert plain.read("chair").note == ""
    note = plain.read("the wooden chair").note
    assert "'chair'" in note
    assert "'the wooden chair'" in note


@pytest.mark.parametrize("phrase", ["everything", "all the objects", "Everything!", "all things"])
def test_everything_is_all_classes(plain, phrase):
    reading = plain.read(phrase)
    assert reading.how == "everything"
    assert reading.classes == CLASSES


@pytest.mark.parametrize("phrase", ["the main subject", "main object", "foreground"])
def test_the_subject_is_a_reading_of_its_own(plain, phrase):
    assert plain.read(phrase).how == "subject"


@pytest.mark.parametrize("phrase", ["", "   ", "!?", "the", "wibble", "红色的车"])
def test_an_unknown_phrase_is_refused_with_a_way_out(plain, phrase):
    reading = plain.read(phrase)
    assert reading.classes == ()
    assert reading.how == "unknown"
    assert reading.note


def test_a_part_of_everything_is_said_to_be_everything(plain):
    reading = plain.read("everything on the table")
    assert reading.how == "everything"
    assert "only 'everything' is understood" in reading.note


def test_unknown_words_share_one_note(plain):
    (note,) = notes_on([plain.read(word) for word in ("wibble", "chiar", "chair", "wobble")])
    assert note.startswith("'wibble', 'chiar' and 'wobble' are not words")
    assert note.count("main subject") == 1
    assert "know: chair" in note


def test_a_misspelling_gets_a_suggestion_but_no_guess(plain):
    reading = plain.read("chiar")
    assert reading.classes == ()
    assert "chair" in reading.note


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_no_text_raises(text):
    reading = Vocabulary().read(text)
    assert set(reading.classes) <= set(CLASSES)
    assert bool(reading.classes) == (reading.how not in ("unknown", "subject"))


# With WordNet


@pytest.mark.weights
def test_the_phrases_of_the_benchmark_are_read(full):
    benchmark = runpy.run_path(str(BENCHMARK))
    results = [
        benchmark["is_right"](full.read(phrase), wanted)
        for phrase, wanted in benchmark["load_phrases"]()
    ]
    in_sight, mended, held_out, sentences = benchmark["GROUPS"].values()
    assert sentences == len(results)
    # 60, 67, 37 and 70 were right when this was written; a slip each is allowed to a new alias.
    assert sum(results[:in_sight]) >= 59
    assert sum(results[in_sight:mended]) >= 66
    assert sum(results[mended:held_out]) >= 36
    assert sum(results[held_out:]) >= 69


@pytest.mark.weights
def test_every_class_but_high_heels_has_its_place_in_wordnet(wordnet):
    missing = [
        name
        for name in CLASSES
        for lemma, number in [SENSES.get(name, (name.replace(" ", "_"), 1))]
        if len(wordnet.senses(lemma)) < number
    ]
    assert missing == ["high heels"]


@pytest.mark.weights
@pytest.mark.parametrize(
    ("phrase", "word"), [("lion", "cat"), ("pear", "apple"), ("a wolf", "dog")]
)
def test_a_word_outside_the_vocabulary_is_answered_with_its_neighbours(full, phrase, word):
    reading = full.read(phrase)
    assert reading.classes == ()
    assert word in reading.note


@pytest.mark.weights
@pytest.mark.parametrize("phrase", ["tiger", "doll", "lamp", "clothing", "chair leg", "car seat"])
def test_slang_parts_and_loose_relations_are_not_taken(full, phrase):
    assert full.read(phrase).classes == ()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("phrase", "classes"),
    [
        ("coffee mug", ("cup",)),  # which WordNet has, and which is a mug
        ("sea lion", ()),
        ("second person from the left", ("person",)),  # grammar's second person is no thing
        ("oil painting hung on the wall", ()),
        ("red building behind the bus", ()),
        ("woman pushing a cart", ("person",)),
    ],
)
def test_what_wordnet_knows_decides_between_things_and_verbs(full, phrase, classes):
    assert full.read(phrase).classes == classes


@pytest.mark.weights
@pytest.mark.parametrize(
    ("word", "classes"),
    [
        ("stroller", ("vehicle",)),  # by WordNet's first sense somebody who strolls
        ("wellingtons", ("boot",)),  # a duke
        ("calculator", ()),
        ("planters", ()),  # of the classifier
        ("waiter", ("person",)),
        ("the sailors", ("person",)),
        ("footballer", ("person",)),
        ("king", ("person",)),
    ],
)
def test_a_tool_named_by_what_it_does_is_nobody(full, word, classes):
    assert full.read(word).classes == classes


@pytest.mark.weights
@pytest.mark.parametrize("word", ["movie poster", "tin cans", "the old tower"])
def test_a_rare_sense_of_a_word_is_not_searched(full, word):
    assert full.read(word).how == "unknown"  # a post horse, boats


@pytest.mark.parametrize(
    ("phrase", "classes", "names"),
    [
        ("two socks", (), ("sock",)),
        ("the traffic signs", (), ("sign",)),
        ("glasses", ("wine glass", "cup"), ("glass",)),
        ("dogs and socks", ("dog",), ("sock",)),
        ("cup", ("cup",), ()),
        ("his t-shirts", (), ("shirt",)),
        ("merry-go-round", (), ("carousel",)),
        ("a chest of drawers", (), ("drawer cabinet",)),
        ("chest of gold", (), ("chest",)),
    ],
)
def test_words_of_the_classifier_are_read_where_there_is_one(phrase, classes, names):
    reading = Vocabulary(with_names=True).read(phrase)
    assert (reading.classes, reading.names) == (classes, names)
    assert Vocabulary().read(phrase).names == ()


def test_words_of_the_classifier_have_categories_and_names_that_can_be_asked_for():
    words = Vocabulary(with_names=True)
    for name, categories in (NAMED | CATEGORIES | PARTLY).items():
        assert len(set(categories)) == len(categories) > 0, name
        assert set(categories) <= set(range(1000)), name
    assert set(SYNONYMS.values()) <= set(NAMED)
    assert {*CATEGORIES, *PARTLY} <= set(CLASSES)
    for name in (*NAMED, *SYNONYMS):
        assert words.read(name).names == (SYNONYMS.get(name, name),) or words.read(name).classes


@pytest.mark.weights
@pytest.mark.parametrize(("word", "name"), [("cardigan", "sweater"), ("tanks", "tank")])
def test_a_word_of_the_classifier_comes_before_what_wordnet_has_above_it(wordnet, word, name):
    assert Vocabulary(wordnet).read(word).classes  # a dog, a vehicle
    reading = Vocabulary(wordnet, with_names=True).read(word)
    assert (reading.classes, reading.names) == ((), (name,))
