"""Splits one text into the phrases in it, as people write lists. `docs/prompts.md` has the rules.

    cup; spoon    cup, spoon    cup | spoon    杯子、勺子    كوب، ملعقة    cup • spoon    lines
    1. cup 2. spoon    - cup    * cup    (a) cup    ① cup ② spoon
    cup . spoon .    ["cup", "spoon"]    ('cup', 'spoon')    [cup, spoon]
    cup and spoon    cup & spoon    cup + spoon    cup / spoon    cup or spoon

What stands in quotes is one phrase, whatever is in it; brackets within a phrase hold it together.
"""

from __future__ import annotations

import ast
import html
import itertools
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any, cast

from scenelift.errors import InputError

__all__ = ["clean_phrase", "each_once", "split_phrases"]

OPENING, CLOSING = "\"'`“„‘‚«‹「『《", "\"'`”“’‘»›」』》"
PAIRS = {
    **{mark: mark for mark in "\"'`"},
    **{"“": "”", "„": "“”", "‘": "’", "‚": "‘’", "«": "»", "‹": "›"},
    **{"「": "」", "『": "』", "《": "》"},
}
# Of any script; each means the same in all of them.
SEPARATORS = ";,|；，、､｜،؛፣፤᠂।。｡•‣◦▪●\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
# A full stop after one of these ends no phrase.
ABBREVIATIONS = r"(?:St|Mt|Mr|Mrs|Ms|Dr|Jr|Sr|No|vs|approx|[A-Z])"
NUMBER = r"\(?(\d{1,2}|[a-z])[.):、．）]"
BULLET = re.compile(r"^(?:[-*+–—‐·○☐☑✓✔➢→>]\s+|\[[ xX]\]\s*)+")
ENCLOSED = re.compile(r"[①-⒵⓪-⓿❶-➓㈠-㈩㊀-㊉]")  # numbers and letters in circles and brackets
BRACKETS = {"(": ")", "[": "]", "{": "}", "（": "）", "［": "］", "【": "】"}
# Names under which programs have phrases.
FIELDS = frozenset({"prompt", "prompts", "phrase", "phrases", "text", "text_prompt"})
# As web pages write "&" and quotes; the semicolon divides nothing.
ENTITY = re.compile(r"&(?:amp|quot|apos|lt|gt|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
NUMERAL = re.compile(r"\d,\d")  # "a 1,000 piece puzzle"
TRAILING = " \t.!?…:。！？"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words after which "and" joins what describes one thing ("black and white cat").
DESCRIBING = _words(
    """black white red green blue yellow orange brown grey gray pink purple violet beige golden
    gold silver turquoise cyan magenta navy teal maroon ivory cream dark light bright pale
    big small large little tiny huge tall short long wide narrow high low thick thin heavy deep
    round square oval flat old new young modern antique vintage clean dirty empty full open closed
    hot cold warm wet dry soft hard smooth rough shiny matte clear transparent
    wooden wood metal metallic plastic glass leather ceramic steel iron brass copper paper cotton
    wool woollen stone concrete striped spotted dotted checked plain colourful colorful
    left right upper lower top bottom front back inner outer first second
    dining living sleeping hand arts trial"""
)
# Words with which a phrase says where or with what; "and" may then join what follows them.
RELATING = _words(
    """with without of between in on under above below beside near behind by for from to at around
    holding wearing carrying containing"""
)
# What is one thing, or one dish, in English.
FIXED = _words(
    """salt-pepper mac-cheese macaroni-cheese fish-chips bow-arrow mortar-pestle pestle-mortar
    bread-butter ham-cheese ham-eggs bacon-eggs rice-beans butter-jelly cookies-cream gin-tonic
    ball-chain nut-bolt nuts-bolts hook-loop horse-cart horse-carriage hammer-sickle
    skull-crossbones stars-stripes lost-found tom-jerry h-m m-m m-ms b-b r-b q-a"""
)
JOINTS = re.compile(r"\s+(?:and/or|and|or|AND|OR)\s+|\s+[&+/]\s+|(?<=[^\W\d]{2})/(?=[^\W\d]{2})")
MOST_WORDS = 4  # of a short noun phrase


def split_phrases(text: str) -> list[str]:
    """Split one text into its phrases, in their order, none of them empty."""
    text = _plain(ENTITY.sub(lambda entity: html.unescape(entity[0]), text)).strip()
    parts = _listed_literal(text)
    if parts is None:
        text = _without_brackets(text)
        parts = [piece for line in _numbered(text) for piece in _divided(line)]
    phrases = (clean_phrase(part) for part in parts)
    return [phrase for phrase in phrases if _says_something(phrase)]


def _says_something(phrase: str) -> bool:
    """Whether there is a letter, a digit or a symbol in a phrase, and more than "etc."."""
    return phrase.casefold() != "etc" and any(unicodedata.category(c)[0] in "LNS" for c in phrase)


def clean_phrase(text: str) -> str:
    """Strip bullets, quotes around it, and full stops at its end from a phrase or a label."""
    phrase = " ".join(_plain(text).split())
    while True:
        before = phrase
        phrase = BULLET.sub("", phrase).strip(TRAILING.strip() + " ¿¡") if phrase else ""
        phrase = _without_quotes(phrase)
        if phrase == before:
            return phrase


def _plain(text: str) -> str:
    """Compose a text's letters, and drop invisible marks."""
    composed = unicodedata.normalize("NFC", text.replace("\\n", "\n").replace("\\t", "\t"))
    return "".join(c for c in composed if unicodedata.category(c) != "Cf")


def _without_quotes(phrase: str) -> str:
    if len(phrase) > 1 and phrase[-1] in PAIRS.get(phrase[0], ""):
        inner = phrase[1:-1]
        return phrase if phrase[0] in inner or phrase[-1] in inner else inner
    # One that lost its other half; 24" is a length, dogs' and an s before ' is a genitive.
    if phrase[:1] and phrase[0] in OPENING and not set(PAIRS[phrase[0]]) & set(phrase[1:]):
        return phrase[1:]
    if phrase and phrase[-1] in CLOSING and re.fullmatch(r"[^\"'`“”„‘’«»]*[^\d\W]", phrase[:-1]):
        return phrase if phrase[-1] in "'’" and phrase[-2] in "sS" else phrase[:-1]
    return phrase


def _listed_literal(text: str) -> list[str] | None:
    """Read the texts of a list in JSON or Python; None where it is neither."""
    if not (text[:1] in ("[", "(", "{") and text[-1:] in ("]", ")", "}")):
        return None
    # NumPy prints no commas, and Python would join what then stands side by side.
    python = re.sub(r"(['\"])\s+(?=['\"])", r"\1,", text)
    python = f"[{python[1:-1]}]" if python[0] == "{" else python
    for read, written in ((json.loads, text), (ast.literal_eval, python)):
        try:
            value = read(written)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, dict):
            value = _of_fields(cast("dict[Any, Any]", value))
        if isinstance(value, list | tuple):
            entries = cast("list[Any]", value)
            if all(isinstance(entry, str) for entry in entries):
                return list(entries)
    return None


def _of_fields(fields: dict[Any, Any]) -> list[Any]:
    """Read the phrases of a JSON object, by its one field's name.

    Raises:
        InputError: it has others.
    """
    if fields.keys() <= FIELDS and len(fields) == 1:
        (value,) = fields.values()
        return cast("list[Any]", value) if isinstance(value, list) else [value]
    raise InputError(
        f"The prompt is {str(fields)[:80]!r}, an object of JSON. Give its phrases: 'cup; spoon' or "
        '["cup", "spoon"].'
    )


def _without_brackets(text: str) -> str:
    """Strip the brackets of a list as YAML and people write it, "[cup, spoon]"."""
    inner = text[1:-1]
    if text[:1] + text[-1:] in ("[]", "()", "{}") and not re.search(r"[\[\](){}]", inner):
        return inner
    if text[:1] in ("[", "{") and BRACKETS[text[0]] not in text:  # one lost its other half
        return text[1:]
    if text[-1:] in ("]", "}") and not set("[{") & set(text):
        return text[:-1]
    return text


def each_once(phrases: Iterable[str]) -> tuple[str, ...]:
    """Drop phrases that occurred before, whatever their case."""
    unique: dict[str, str] = {}
    for phrase in phrases:
        unique.setdefault(phrase.casefold(), phrase)
    return tuple(unique.values())


def _numbered(text: str) -> list[str]:
    """Split numbered or dashed lists into items, line by line; others are left as they are."""
    lines: list[str] = []
    for line in re.split(r"[\n\r\x85\u2028\u2029]", text):
        line = line.strip()
        marks = list(re.finditer(rf"(?:^|(?<=[\s;,]))-?{NUMBER}\s*", line))
        first = marks[0] if marks and marks[0].start() == 0 else None
        if first is not None and _is_mark(first, line):
            counted = [m for m in marks if _is_mark(m, line)]
            series = [counted[0]]
            for mark in counted[1:]:
                if _place(mark[1]) == _place(series[-1][1]) + 1:
                    series.append(mark)
            ends = [m.start() for m in series[1:]] + [len(line)]
            lines += [line[m.end() : end] for m, end in zip(series, ends, strict=True)]
        elif re.match(r"[-*–—+]\s", line):
            mark = re.escape(line[0])
            lines += re.split(rf"(?:^|\s){mark}\s+", line)
        elif ENCLOSED.match(line):
            lines += ENCLOSED.split(line)
        else:
            lines.append(line)
    return lines


def _is_mark(mark: re.Match[str], line: str) -> bool:
    """Whether a number or a letter with its dot begins an item: a blank or a letter follows."""
    after = line[mark.end() :]
    letter_alone = mark[1].isalpha() and not mark[0].strip().endswith(")")
    return bool(after) and not letter_alone and not after[0].isdigit()


def _place(mark: str) -> int:
    return int(mark) if mark.isdecimal() else ord(mark)


def _divided(text: str) -> list[str]:
    """Split a text at its separators, but not inside quotes."""
    parts: list[str] = []
    for piece in _outside_quotes(text):
        if piece[:1] and piece[0] in OPENING and _without_quotes(piece) != piece:
            parts.append(piece)
            continue
        for sentence in _sentences(piece):
            parts += _joined_by_and(sentence)
    return parts


def _outside_quotes(text: str) -> list[str]:
    """Split at separators; quotes that stand around a whole piece protect what is in them."""
    pieces: list[str] = []
    start = at = 0
    while at < len(text):
        mark = text[at]
        if mark in PAIRS and not text[start:at].strip():
            ends = [e for c in PAIRS[mark] if (e := _end_of_quote(text, at, c)) is not None]
            if ends:
                pieces.append(text[at : min(ends) + 1])
                start = at = min(ends) + 1
                continue
        if mark in BRACKETS and text[start:at].strip():
            at = max(at, text.find(BRACKETS[mark], at))  # cup (red, big)
        if mark in SEPARATORS and not NUMERAL.match(text, max(at - 1, 0)):
            pieces.append(text[start:at])
            start = at + 1
        at += 1
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if piece.strip()]


def _end_of_quote(text: str, at: int, closing: str) -> int | None:
    """Find the end of a quote: a separator, another quote or the end follows it."""
    end = text.find(closing, at + 1)
    while end != -1:
        after = text[end + 1 :].lstrip(" .!?")
        if not after or after[0] in SEPARATORS or after[0] in PAIRS or text[end + 1] == ".":
            return end
        end = text.find(closing, end + 1)
    return None


def _sentences(text: str) -> list[str]:
    """Split a text at full stops, as Grounding DINO is asked ("cup . spoon .").

    A full stop inside ("St. Bernard") divides only where one ends the whole.
    """
    if not text.endswith("."):
        return re.split(r"\s+\.\s+", text)
    parts = [""]
    for piece in re.split(r"(\s*\.(?:\s+|$))", text):
        if not piece.strip().startswith(".") or re.search(rf"\b{ABBREVIATIONS}$", parts[-1]):
            parts[-1] += piece
        else:
            parts.append("")
    return parts


def _joined_by_and(text: str) -> list[str]:
    """Split short noun phrases that "and", "or", "&", "+" or "/" joins; return other text as it is.

    It stays whole where the words around describe one thing ("black and white cat"), are one
    ("salt and pepper"), or hang on a preposition ("man with hat and coat").
    """
    text = re.sub(r"^(?:and|or|&)\s+(?=\w)|(?<=\w)\s+(?:and|or|&)$", "", text)  # as ", and cup"
    parts = JOINTS.split(text)
    if len(parts) == 1 or any(sum(map(p.count, "([")) != sum(map(p.count, ")]")) for p in parts):
        return [text]
    words = [[w.strip(".").casefold() for w in part.split()] for part in parts]
    if not all(0 < len(phrase) <= MOST_WORDS for phrase in words):
        return [text]
    for before, after in itertools.pairwise(words):
        if RELATING & set(before) or before[-1] in DESCRIBING:
            return [text]
        if f"{before[-1]}-{after[0]}" in FIXED:
            return [text]
    return [re.sub(r"^(?:both|either)\s+", "", part) for part in parts]
