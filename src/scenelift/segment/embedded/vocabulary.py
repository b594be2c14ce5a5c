"""Finds the detector classes of a phrase: "the red taxi on the left" → car.

The head of the phrase is found by grammar (articles dropped, cut at the first preposition, the
longest known ending taken), then placed by the first of: a class name, the alias table, WordNet
upwards (a taxi is a car), WordNet downwards (a watercraft may be a boat). A word that none of
them places is reported as unknown together with the nearest words that are known: detecting
something else instead would waste the user's minutes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from scenelift.errors import WeightsError
from scenelift.models.embedded.classes import CLASSES, SENSES
from scenelift.segment.embedded.aliases import ALIASES, EVERYTHING, MEASURES, SUBJECT
from scenelift.segment.embedded.named import NAMED, SYNONYMS
from scenelift.segment.embedded.wordnet import ANIMAL, IRREGULAR, VISIBLE, WordNet
from scenelift.weights import embedded

__all__ = ["Reading", "Vocabulary"]

How = Literal["class", "alias", "named", "wordnet", "wide", "everything", "subject", "unknown"]

DETERMINERS = frozenset(
    {
        *("a", "an", "the", "this", "that", "these", "those", "every", "each", "all", "any"),
        *("some", "both", "my", "your", "his", "her", "its", "our", "their", "another", "other"),
        *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        *("many", "several", "few", "lots", "whole", "entire", "single", "only"),
    }
)
# Where the noun phrase ends and its circumstances begin.
CIRCUMSTANCES = frozenset(
    {
        *("on", "in", "at", "with", "without", "near", "behind", "under", "beneath", "over"),
        *("above", "below", "beside", "between", "before", "from", "by", "for", "inside"),
        *("next", "that", "which", "who", "to", "of", "is", "are", "against"),
        *("sitting", "standing", "riding", "wearing", "holding", "walking", "running", "lying"),
        *("sleeping", "parked", "hanging", "eating", "drinking", "playing", "carrying"),
        *("driving", "flying", "looking"),
    }
)
LONGEST_NAME = 3  # words of the longest names we look up ("dining room table")
# How many senses of a word are tried upwards. Rarer ones mislead: the fifth "wheel" is a bicycle.
SENSES_UP = 3
# A wide word ("mammal", "tool") may stand this many steps above its classes, and needs at least
# two: "clothing" is not searched as "tie".
STEPS_DOWN, FEWEST_CLASSES, MOST_CLASSES = 7, 2, 40
# Neighbours offered for an unknown word share an ancestor this near to both and this far below
# WordNet's root: "feline" and "furniture" say something, "device" (6 steps down) does not.
NEAR_STEPS, NEAR_DEPTH, NEAREST = 4, 7, 3


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
    """

    phrase: str
    classes: tuple[str, ...]
    how: How
    note: str = ""
    names: tuple[str, ...] = ()


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
        words = _words(phrase)
        parts = _alternatives(words)
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
        for head in _heads(words):
            for length in range(min(LONGEST_NAME, len(head)), 0, -1):
                name = head[-length:]
                entry = self._place(name)
                names = self._names(name) if self._with_names else ()
                if names and (entry is None or entry[1] in ("wordnet", "wide", "unknown")):
                    entry = (), "named"  # closer than what WordNet has above or below it
                if entry is None:
                    continue
                classes, how = entry
                if how == "unknown":  # WordNet knows the word, and it is none of ours
                    return self._unknown(phrase, name)
                note = _note(phrase, words, name, classes, how)
                return Reading(phrase=phrase, classes=classes, how=how, note=note, names=names)
        return self._unknown(phrase, words[-1:])

    def _place(self, name: list[str]) -> tuple[tuple[str, ...], How] | None:
        """Find the classes of a name and what assigned it; None where nobody knows the name."""
        place: tuple[tuple[str, ...], How] | None = None
        for form in self._forms(name):
            if form in SUBJECT:
                return (), "subject"
            if form in EVERYTHING:
                return CLASSES, "everything"
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
        # word that is no animal counts as one.
        person_sense = None if ANIMAL in kinds.values() else senses[0]
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
        return (), "unknown"

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
        nearby_words = self._nearby(name)
        parts = [f"{phrase!r} is not a word that the embedded detectors know."]
        if not phrase.strip():
            parts = ["The phrase is empty."]
        if nearby_words:
            parts.append(f"Nearby words that they know: {', '.join(nearby_words)}.")
        parts.append(
            "A box around the object works without a word, and so does 'the main subject'."
        )
        return Reading(phrase=phrase, classes=(), how="unknown", note=" ".join(parts))

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


def _words(phrase: str) -> list[str]:
    text = re.sub(r"[,;&/+]", " and ", phrase.lower())
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)


def _alternatives(words: list[str]) -> list[list[str]]:
    """Split at "and" and "or", before any circumstance."""
    end = next((i for i, word in enumerate(words) if i and word in CIRCUMSTANCES), len(words))
    parts: list[list[str]] = [[]]
    for word in words[:end]:
        if word in ("and", "or"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _heads(words: list[str]) -> Iterator[list[str]]:
    """Find noun phrases that may hold the head noun, the likeliest first."""
    while words and words[0] in DETERMINERS and len(words) > 1:
        words = words[1:]
    if "of" in words:
        before, after = words[: words.index("of")], words[words.index("of") + 1 :]
        singular = before[-1].removesuffix("s") if before else ""
        if after and (not before or {before[-1], singular} & MEASURES):
            yield from _heads(after)
            return
    # A circumstance in first place belongs to the noun: "sleeping cat", "parked car".
    end = next((i for i, word in enumerate(words) if i and word in CIRCUMSTANCES), len(words))
    yield words[:end]
    if end < len(words):
        yield words


def _plain_singulars(word: str) -> list[str]:
    endings = (("ies", "y"), ("es", ""), ("men", "man"))
    return [word[: -len(e)] + new for e, new in endings if word.endswith(e)]


def _note(
    phrase: str, words: list[str], name: list[str], classes: tuple[str, ...], how: How
) -> str:
    if how in ("everything", "subject"):
        return ""
    phrase_part = " ".join(name)
    rest = [w for w in words if w not in name and w not in DETERMINERS and w not in MEASURES]
    rest = [w for w in rest if w != "of"]
    parts = []
    if rest:
        parts.append(f"Of {phrase!r} only {phrase_part!r} is understood: every match is taken.")
    if how in ("wordnet", "wide"):
        parts.append(f"{phrase_part!r} is searched as {', '.join(classes)}.")
    return " ".join(parts)
