"""Finds the noun that an English phrase is about: "two dogs facing the camera" → dogs.

The noun phrase ends where circumstances begin: at a preposition ("cup on the table"), a pronoun
("the chair she sits on"), a verb ("man kicking a ball") or a second article. What is left of verbs
and places at its end is dropped ("cup left of the plate", "wine glass half full"). Nothing after
that is looked at: who asks for a unicorn on a horse does not want the horse.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["DETERMINERS", "MEASURES", "alternatives", "noun_phrase", "split_words"]

DETERMINERS = frozenset(
    {
        *("a", "an", "the", "this", "that", "these", "those", "every", "each", "all", "any"),
        *("some", "both", "my", "your", "his", "her", "its", "our", "their", "another", "other"),
        *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
        *("many", "several", "few", "lots", "whole", "entire", "single", "only"),
    }
)
# "pair of scissors" asks for scissors, "cup of coffee" for a cup: after these words, what follows
# "of" is the thing that is meant.
MEASURES = frozenset(
    {
        *("bunch", "couple", "crowd", "flock", "group", "herd", "kind", "lot", "number", "pack"),
        *("pair", "photo", "picture", "piece", "pile", "row", "set", "slice", "stack", "type"),
        *("all", "any", "both", "each", "many", "one", "some"),
    }
)
REQUESTS = frozenset(
    {
        *("please", "find", "show", "lift", "take", "get", "give", "cut", "extract", "segment"),
        *("detect", "select", "pick", "want", "need", "can", "could", "you", "i", "me", "out"),
    }
)
# Where the noun phrase ends and its circumstances begin.
CIRCUMSTANCES = frozenset(
    {
        *("on", "in", "at", "with", "without", "near", "behind", "under", "beneath", "over"),
        *("above", "below", "beside", "between", "before", "from", "by", "for", "inside"),
        *("next", "that", "which", "who", "to", "of", "is", "are", "against", "across", "along"),
        *("around", "beyond", "down", "off", "onto", "into", "out", "outside", "past", "through"),
        *("toward", "towards", "underneath", "up", "upon", "amid", "among", "alongside", "atop"),
        *("opposite", "like", "while", "whose", "where", "when", "was", "were", "has", "have"),
        *("i", "you", "he", "she", "it", "they", "we", "someone", "somebody"),
        *("sitting", "standing", "riding", "wearing", "holding", "walking", "running", "lying"),
        *("sleeping", "parked", "hanging", "eating", "drinking", "playing", "carrying"),
        *("driving", "flying", "looking", "facing", "leaning", "covered", "filled"),
    }
)
# What may stand after the noun and before its circumstances.
PLACES = frozenset(
    {
        *("left", "right", "top", "bottom", "front", "back", "middle", "center", "centre", "first"),
        *("second", "third", "last", "leftmost", "rightmost", "full", "empty", "half", "open"),
        *("upright", "alone", "together", "visible", "here", "there", "please", "no", "number"),
        *("and", "or", "nearest", "closest"),
    }
)
VOWELS = frozenset("aeiouy")
IRREGULAR_PARTICIPLES = frozenset(
    {
        *("bent", "bought", "bound", "broken", "built", "caught", "cut", "drawn"),
        *("driven", "eaten", "fallen", "found", "frozen", "given", "grown", "held"),
        *("hidden", "hung", "kept", "laid", "left", "lit", "lost", "made", "put"),
        *("ridden", "sat", "seen", "set", "shown", "shut", "sold", "stood", "taken"),
        *("thrown", "told", "torn", "worn", "woven", "written"),
    }
)


def split_words(phrase: str) -> list[str]:
    """Split a phrase into lower-case words; commas, "&" and "/" count as "and"."""
    text = re.sub(r"[,;&/+]", " and ", phrase.lower())
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text)


def alternatives(words: list[str]) -> list[list[str]]:
    """Split at "and" and "or", before any circumstance."""
    parts: list[list[str]] = [[]]
    for word in _before_circumstances(words):
        if word in ("and", "or"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def noun_phrase(
    words: list[str], *, is_searchable: Callable[[list[str]], bool], is_noun: Callable[[str], bool]
) -> list[str]:
    """Find the part of a phrase that ends with its head noun.

    Args:
        words: as `split_words` gives them.
        is_searchable: whether the last words of a noun phrase name what can be looked for.
        is_noun: whether a word, or words joined by blanks, name a thing that can be seen.
    """
    words = _without_articles(_without_request(words))
    if "of" in words:
        before, after = words[: words.index("of")], words[words.index("of") + 1 :]
        singular = before[-1].removesuffix("s") if before else ""
        is_measure = bool({*before[-1:], singular} & MEASURES)
        if after and (not before or (is_measure and before == _before_circumstances(before))):
            return noun_phrase(after, is_searchable=is_searchable, is_noun=is_noun)
    words = _before_circumstances(words)
    words = _before_verb(words, is_searchable, is_noun)
    while len(words) > 1 and not is_searchable(words) and _may_follow(words[-1], is_noun):
        words = words[:-1]
    return words


def _without_request(words: list[str]) -> list[str]:
    """Drop "please find me" where an article follows: "lift door" is a thing."""
    start = next((i for i, word in enumerate(words) if word not in REQUESTS), 0)
    return words[start:] if words[start : start + 1] and words[start] in DETERMINERS else words


def _without_articles(words: list[str]) -> list[str]:
    while words and words[0] in DETERMINERS and len(words) > 1:
        words = words[1:]
    return words


def _before_circumstances(words: list[str]) -> list[str]:
    # A circumstance in first place belongs to the noun: "sleeping cat", "parked car".
    for i, word in enumerate(words):
        is_second = word in DETERMINERS and words[i - 1] not in ("and", "or")
        if i and (word in CIRCUMSTANCES or is_second):
            return words[:i]
    return words


def _before_verb(
    words: list[str], is_searchable: Callable[[list[str]], bool], is_noun: Callable[[str], bool]
) -> list[str]:
    """Cut "man kicking ball" before its verb, and leave "old dining table" whole."""
    for i in range(1, len(words) - 1):
        if not _is_participle(words[i], is_noun) or not is_searchable(words[:i]):
            continue
        if is_noun(" ".join(words[i : i + 2])) or is_searchable(words[: i + 1]):
            continue
        # "cup painted blue", but "cup shaped lamp".
        if words[i].endswith("ing") or not is_searchable(words):
            return words[:i]
    return words


def _may_follow(word: str, is_noun: Callable[[str], bool]) -> bool:
    return word in PLACES or word in DETERMINERS or word.isdigit() or _is_participle(word, is_noun)


def _is_participle(word: str, is_noun: Callable[[str], bool]) -> bool:
    """Tell whether a word is a verb's form and no thing, as "building" and "bed" are."""
    if word in IRREGULAR_PARTICIPLES:
        return True
    stem = word.removesuffix("ing").removesuffix("ed")  # "string" and "shed" have none
    return stem != word and bool(VOWELS & set(stem)) and not is_noun(word)
