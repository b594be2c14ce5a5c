"""WordNet's files are read in place, whatever words they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenelift.segment.embedded.wordnet import ANIMAL, ARTIFACT, PERSON, VISIBLE, WordNet

LICENCE = "  1 This text stands at the top of WordNet's files, as theirs does.  \n"


def write_wordnet(
    folder: Path, synsets: Sequence[tuple[Sequence[str], int, Sequence[int]]]
) -> list[int]:
    """Write synsets (words, kind, parents by position) in WordNet's format; return offsets."""

    def line(offset: int, synset: tuple[Sequence[str], int, Sequence[int]]) -> str:
        words, kind, parents = synset
        spoken = " ".join(f"{word} 0" for word in words)
        pointers = " ".join(f"@ {offsets[parent]:08d} n 0000" for parent in parents)
        pointers = f"{len(parents):03d} {pointers}".strip()
        return f"{offset:08d} {kind:02d} n {len(words):02x} {spoken} {pointers} | a gloss @ \n"

    offsets = [0] * len(synsets)
    place = len(LICENCE)
    for k, synset in enumerate(synsets):  # lengths do not depend on the offsets: all 8 digits
        offsets[k] = place
        place += len(line(place, synset))
    data = "".join(line(offset, synset) for offset, synset in zip(offsets, synsets, strict=True))
    (folder / "data.noun").write_text(LICENCE + data, "ascii")

    senses: dict[str, list[int]] = {}
    for offset, (words, _, _) in zip(offsets, synsets, strict=True):
        for word in words:
            senses.setdefault(word.lower(), []).append(offset)
    lines = [
        f"{word} n {len(where)} 1 @ {len(where)} 0 {' '.join(f'{o:08d}' for o in where)}  \n"
        for word, where in sorted(senses.items())
    ]
    (folder / "index.noun").write_text(LICENCE + "".join(lines), "ascii")
    return offsets


ENTITY, BEAST, DOG, PET, POODLE = range(5)
SMALL = [
    (["entity"], 3, []),
    (["animal", "beast"], ANIMAL, [ENTITY]),
    (["dog", "Canis_familiaris"], ANIMAL, [BEAST, PET]),
    (["pet"], PERSON, [ENTITY]),
    (["poodle"], ANIMAL, [DOG]),
    (["dog"], ARTIFACT, [ENTITY]),
]


@pytest.fixture
def small(tmp_path: Path) -> tuple[WordNet, list[int]]:
    offsets = write_wordnet(tmp_path, SMALL)
    return WordNet(tmp_path), offsets


def test_senses_are_those_of_the_index_in_its_order(small):
    wordnet, offsets = small
    assert wordnet.senses("dog") == (offsets[2], offsets[5])
    assert wordnet.senses("canis_familiaris") == (offsets[2],)


@pytest.mark.parametrize("word", ["", " ", "do", "dogs", "zebra", "a", "1", "hündchen", "This"])
def test_a_word_that_is_not_there_has_no_senses(small, word):
    assert small[0].senses(word) == ()


def test_ancestors_count_the_steps_of_the_shortest_way(small):
    wordnet, offsets = small
    up = wordnet.ancestors(offsets[POODLE])
    assert up == {
        offsets[POODLE]: 0,
        offsets[DOG]: 1,
        offsets[BEAST]: 2,
        offsets[PET]: 2,
        offsets[ENTITY]: 3,
    }


def test_a_synset_tells_its_words_and_its_kind(small):
    wordnet, offsets = small
    dog = wordnet.synset(offsets[DOG])
    assert dog.words == ("dog", "canis_familiaris")
    assert dog.kind == ANIMAL
    assert dog.kind in VISIBLE


words = st.text("abcdefghijklmnopqrstuvwxyz_-'.0123456789", min_size=1, max_size=12)


@given(st.sets(words, min_size=1, max_size=40))
@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_word_of_the_index_is_found(tmp_path, vocabulary):
    ordered = sorted(vocabulary)
    offsets = write_wordnet(tmp_path, [([word], ANIMAL, []) for word in ordered])
    wordnet = WordNet(tmp_path)
    found: Mapping[str, tuple[int, ...]] = {word: wordnet.senses(word) for word in ordered}
    assert found == {word: (offset,) for word, offset in zip(ordered, offsets, strict=True)}


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        *(("cats", "cat"), ("buses", "bus"), ("boxes", "box"), ("benches", "bench")),
        *(("women", "woman"), ("puppies", "puppy"), ("knives", "knife"), ("mice", "mouse")),
        *(("tomatoes", "tomato"), ("glass", "glass"), ("sheep", "sheep")),
    ],
)
def test_a_plural_leads_to_its_singular(small, plural, singular):
    forms = list(small[0].base_forms(plural))
    assert forms[0] == plural
    assert singular in forms


def test_exceptions_of_the_dictionary_are_used_where_they_are_installed(tmp_path):
    write_wordnet(tmp_path, SMALL)
    (tmp_path / "noun.exc").write_text("octopodes octopus\n")
    assert "octopus" in WordNet(tmp_path).base_forms("octopodes")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        WordNet(tmp_path)
