"""Finds the detector classes of a phrase: "the red taxi on the left" → car.

The head of the phrase is found by grammar (`heads.py`; of its endings the longest known one is
taken), then placed by the first of: a class name, the alias table, WordNet
upwards (a taxi is a car), WordNet downwards (a watercraft may be a boat). A word that none of
them places is reported as unknown together with the nearest words that are known: detecting
something else instead would waste the user's minutes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from scenelift.errors import WeightsError
from scenelift.models.embedded.classes import CLASSES, SENSES
from scenelift.segment.embedded.aliases import ALIASES, EVERYTHING, MISREAD, SUBJECT
from scenelift.segment.embedded.heads import (
    DETERMINERS,
    MEASURES,
    alternatives,
    noun_phrase,
    split_words,
)
from scenelift.segment.embedded.named import NAMED, SYNONYMS
from scenelift.segment.embedded.wordnet import ANIMAL, ARTIFACT, IRREGULAR, VISIBLE, WordNet
from scenelift.weights import embedded

__all__ = ["WITHOUT_A_WORD", "Reading", "Vocabulary", "notes_on"]

How = Literal["class", "alias", "named", "wordnet", "wide", "everything", "subject", "unknown"]

LONGEST_NAME = 3  # words of the longest names we look up ("dining room table")
# How many senses of a word are tried upwards. Rarer ones mislead: the fifth "wheel" is a bicycle.
SENSES_UP = 3
# Of words for who does something or what does it: a peeler, a calculator.
TOOL_ENDINGS = ("er", "or")
# A wide word ("mammal", "tool") may stand this many steps above its classes, and needs at least
# two: "clothing" is not searched as "tie".
STEPS_DOWN, FEWEST_CLASSES, MOST_CLASSES = 7, 2, 40
# Neighbours offered for an unknown word share an ancestor this near to both and this far below
# WordNet's root: "feline" and "furniture" say something, "device" (6 steps down) does not.
NEAR_STEPS, NEAR_DEPTH, NEAREST = 4, 7, 3


ALWAYS = "They know 'the main subject' and 'everything', too."
WITHOUT_A_WORD = "A point on the object, or a box around the object, needs no word."
"""For whom something else was found; who found nothing is told how to give one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The detector classes and names that a phrase was found to mean.

    Attributes:
        phrase: as the user wrote it.
        classes: detector classes to look for; empty for "subject" and "unknown".
        names: words of `NAMED` that the classifier is asked for.
        how: what placed it; "wide" is a word above several classes, "subject" asks for the main
            object of the photo whatever it is.
        note: a sentence for the user where the reading differs from the phrase, else "".
        nearby: of an unknown word, known ones that are near it.
    """

    phrase: str
    classes: tuple[str, ...]
    how: How
    note: str = ""
    names: tuple[str, ...] = ()
    nearby: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a name stands in the vocabulary."""

    name: list[str]
    classes: tuple[str, ...]
    how: How
    names: tuple[str, ...]


class Vocabulary:
    """The words that the embedded detectors answer to.

    Args:
        wordnet: WordNet's nouns, or None: class names and aliases are understood without it.
        with_names: whether there is a classifier that knows the words of `NAMED`.
    """

    def __init__(self, wordnet: WordNet | None = None, *, with_names: bool = False) -> None:
        self._wordnet, self._with_names = wordnet, with_names

    @classmethod
    def load(cls, weights: Path | None = None, *, with_names: bool = False) -> Vocabulary:
        """Load the words, with WordNet where it is installed.

        Args:
            weights: folder with weights in place of the cache, or None.
            with_names: whether there is a classifier that knows the words of `NAMED`.
        """
        try:
            return cls(WordNet(embedded.path("wordnet", weights).parent), with_names=with_names)
        except WeightsError:
            return cls(with_names=with_names)

    def read(self, phrase: str) -> Reading:
        """Understand one phrase ("dogs and cats" is one, for both). Never guesses, never raises."""
        words = split_words(phrase)
        parts = alternatives(words)
        if len(parts) > 1:
            readings = [self._read_words(" ".join(part), part) for part in parts]
            if all(reading.classes or reading.names for reading in readings):
                return Reading(
                    phrase=phrase,
                    classes=tuple(dict.fromkeys(c for r in readings for c in r.classes)),
                    how=readings[0].how,
                    note=" ".join(r.note for r in readings if r.note),
                    names=tuple(dict.fromkeys(n for r in readings for n in r.names)),
                )
        return self._read_words(phrase, words)

    def _read_words(self, phrase: str, words: list[str]) -> Reading:
        if "of" in words and self._with_names:  # a chest of drawers is no chest
            start = next((i for i, word in enumerate(words) if word not in DETERMINERS), 0)
            if names := self._names(words[start:]):
                return Reading(phrase=phrase, classes=(), how="named", names=names)
        head = noun_phrase(words, is_searchable=self._is_searchable, is_noun=self._is_noun)
        place = self._find(head)
        if place is None or place.how == "unknown":  # of ours; WordNet may know the word
            return self._unknown(phrase, words[-1:] if place is None else place.name)
        note = _note(phrase, words, place)
        return Reading(
            phrase=phrase, classes=place.classes, how=place.how, note=note, names=place.names
        )

    def _find(self, head: list[str]) -> _Place | None:
        """Place the longest ending of a noun phrase that anybody knows."""
        for length in range(min(LONGEST_NAME, len(head)), 0, -1):
            name = head[-length:]
            entry = self._place(name)
            names = self._names(name) if self._with_names else ()
            if names and (entry is None or entry[1] in ("wordnet", "wide", "unknown")):
                entry = (), "named"  # closer than what WordNet has above or below it
            if entry is None:
                continue
            ending = self._find(name[1:]) if entry[1] == "unknown" else None
            # A coffee mug is a mug; a sea lion is no lion, and a car seat no chair.
            if ending and len(ending.classes) == 1 and self._is_kind_of(name, ending.name):
                return ending
            return _Place(name, *entry, names)
        return None

    def _is_searchable(self, head: list[str]) -> bool:
        place = self._find(head)
        return place is not None and place.how != "unknown"

    def _is_noun(self, name: str) -> bool:
        """Tell whether a name's first meaning is something that can be seen."""
        if self._wordnet is None:
            return name in ALIASES or name in CLASSES or name in NAMED
        senses = self._wordnet.senses(name.replace(" ", "_"))
        return bool(senses) and (" " in name or self._wordnet.synset(senses[0]).kind in VISIBLE)

    def _is_kind_of(self, name: list[str], wider: list[str]) -> bool:
        if self._wordnet is None:
            return False
        meanings = set(self._senses(self._wordnet, wider))
        above = (self._wordnet.ancestors(sense) for sense in self._senses(self._wordnet, name))
        return any(not meanings.isdisjoint(ancestors) for ancestors in above)

    def _senses(self, wordnet: WordNet, name: list[str]) -> Iterator[int]:
        for form in self._forms(name):
            yield from wordnet.senses(form.replace(" ", "_"))

    def _place(self, name: list[str]) -> tuple[tuple[str, ...], How] | None:
        """Find the classes of a name and what assigned it; None where nobody knows the name."""
        place: tuple[tuple[str, ...], How] | None = None
        for form in self._forms(name):
            if form in SUBJECT:
                return (), "subject"
            if form in EVERYTHING:
                return CLASSES, "everything"
            if form in MISREAD:
                return (), "unknown"
            if form in ALIASES:
                classes = ALIASES[form]
                return classes, "class" if form in CLASSES else "alias"
            if form in CLASSES:
                return (form,), "class"
            if place is None and self._wordnet is not None:
                place = self._place_in_wordnet(self._wordnet, form.replace(" ", "_"))
        return place

    def _names(self, name: list[str]) -> tuple[str, ...]:
        """Return the word of `NAMED` that a name is, if it is one."""
        for form in self._forms(name):
            word = SYNONYMS.get(form, form)
            if word in NAMED:
                return (word,)
        return ()

    def _forms(self, name: list[str]) -> Iterator[str]:
        """List the name as it stands, then with its last word in the singular."""
        *first, last = name
        if self._wordnet is not None:
            bases = list(self._wordnet.base_forms(last))
        else:
            bases = [
                last,
                IRREGULAR.get(last, last),
                last.removesuffix("s"),
                *_plain_singulars(last),
            ]
        for base in dict.fromkeys(bases):
            yield " ".join([*first, base])

    def _place_in_wordnet(self, wordnet: WordNet, lemma: str) -> tuple[tuple[str, ...], How] | None:
        senses = wordnet.senses(lemma)
        if not senses:
            return None
        ours = self._class_senses.values()
        kinds = {sense: wordnet.synset(sense).kind for sense in senses}
        visible = [s for s in senses if kinds[s] in VISIBLE or s in ours]
        # Almost any noun is also slang for a person ("tiger", "doll"): only the first sense of a
        # word that is no animal counts as one, and of a tool named by what it does ("planter") or
        # a thing named after somebody ("wellington") not even that.
        person_sense = None if ANIMAL in kinds.values() else senses[0]
        if ARTIFACT in kinds.values() and (
            lemma.endswith(TOOL_ENDINGS) or wordnet.synset(senses[0]).named
        ):
            person_sense = None
        for sense in visible[:SENSES_UP]:
            up = wordnet.ancestors(sense)
            hits = sorted((up[o], name) for name, o in self._class_senses.items() if o in up)
            hits = [hit for hit in hits if hit[1] != "person" or sense == person_sense]
            if hits:
                return (hits[0][1],), "wordnet"
        for sense in visible[:1]:
            below = tuple(
                name
                for name, up in self._class_ancestors.items()
                if up.get(sense, STEPS_DOWN + 1) <= STEPS_DOWN
            )
            if FEWEST_CLASSES <= len(below) <= MOST_CLASSES:
                return below, "wide"
        # What nobody can see ("second person", a number) says nothing about the words in it.
        return ((), "unknown") if visible else None

    @cached_property
    def _class_senses(self) -> Mapping[str, int]:
        """Map each class to its synset."""
        assert self._wordnet is not None
        class_senses = {}
        for name in CLASSES:
            lemma, number = SENSES.get(name, (name.replace(" ", "_"), 1))
            senses = self._wordnet.senses(lemma)
            if len(senses) >= number:
                class_senses[name] = senses[number - 1]
        return class_senses

    @cached_property
    def _class_ancestors(self) -> Mapping[str, Mapping[int, int]]:
        assert self._wordnet is not None
        return {name: self._wordnet.ancestors(o) for name, o in self._class_senses.items()}

    def _unknown(self, phrase: str, name: list[str]) -> Reading:
        reading = Reading(
            phrase=phrase, classes=(), how="unknown", nearby=tuple(self._nearby(name))
        )
        return replace(reading, note=_note_on_unknown([reading]))

    def _nearby(self, name: list[str]) -> list[str]:
        """Suggest known words close to an unknown one: in meaning, else in spelling."""
        if not name:
            return []
        wordnet = self._wordnet
        if wordnet is not None:
            for form in self._forms(name):
                senses = wordnet.senses(form.replace(" ", "_"))
                if senses:
                    visible = [s for s in senses if wordnet.synset(s).kind in VISIBLE]
                    return self._related(wordnet, visible[0]) if visible else []
        names = [*CLASSES, *ALIASES, *(NAMED if self._with_names else ())]
        return difflib.get_close_matches(" ".join(name), names, n=NEAREST, cutoff=0.75)

    def _related(self, wordnet: WordNet, sense: int) -> list[str]:
        nearest: dict[str, int] = {}
        for ancestor, steps in wordnet.ancestors(sense).items():
            depth = max(wordnet.ancestors(ancestor).values())
            if steps > NEAR_STEPS or depth < NEAR_DEPTH:
                continue
            for name, above in self._class_ancestors.items():
                if above.get(ancestor, NEAR_STEPS + 1) <= NEAR_STEPS:
                    distance = steps + above[ancestor]
                    nearest[name] = min(distance, nearest.get(name, distance))
        return sorted(nearest, key=lambda name: (nearest[name], name))[:NEAREST]


def notes_on(readings: Sequence[Reading]) -> list[str]:
    """Tell the user how phrases are understood; of all that are not, in one note."""
    unknown = [reading for reading in readings if reading.how == "unknown"]
    notes = [reading.note for reading in readings if reading.note and reading not in unknown]
    return [*notes, _note_on_unknown(unknown)] if unknown else notes


def _note_on_unknown(readings: Sequence[Reading]) -> str:
    phrases = [repr(reading.phrase) for reading in readings if reading.phrase.strip()]
    if not phrases:
        return "The phrase is empty."
    *some, last = phrases
    if some:
        parts = [f"{', '.join(some)} and {last} are not words that the embedded detectors know."]
    else:
        parts = [f"{last} is not a word that the embedded detectors know."]
    if nearby := list(dict.fromkeys(word for reading in readings for word in reading.nearby)):
        parts.append(f"Nearby words that they know: {', '.join(nearby)}.")
    return " ".join([*parts, ALWAYS])


def _plain_singulars(word: str) -> list[str]:
    endings = (("ies", "y"), ("es", ""), ("men", "man"))
    return [word[: -len(e)] + new for e, new in endings if word.endswith(e)]


def _note(phrase: str, words: list[str], place: _Place) -> str:
    name = " ".join(place.name)
    rest = [w for w in words if w not in {*place.name, *DETERMINERS, *MEASURES, "of"}]
    parts = []
    if rest:
        parts.append(f"Of {phrase!r} only {name!r} is understood: every match is taken.")
    if place.how in ("wordnet", "wide"):
        parts.append(f"{name!r} is searched as {', '.join(place.classes)}.")
    return " ".join(parts)
