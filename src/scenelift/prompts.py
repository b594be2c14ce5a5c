"""Reading what a user asks for: phrases and boxes, from text to checked values."""

from __future__ import annotations

from scenelift.errors import InputError
from scenelift.types import BoxPrompt

__all__ = ["MAX_PHRASES", "MAX_PHRASE_CHARACTERS", "parse_box", "parse_prompt_phrases"]

MAX_PHRASES = 32


MAX_PHRASE_CHARACTERS = 200


def parse_box(text: str, *, positive: bool = True) -> BoxPrompt:
    """`[name=]x0,y0,x1,y1` in pixels.

    Raises:
        InputError: it is not that, or the box is empty.
    """
    label, _, numbers = text.rpartition("=")
    try:
        x0, y0, x1, y1 = (float(v) for v in numbers.split(","))
    except ValueError as exc:
        raise InputError(
            f"{text!r} is not a box. Give x0,y0,x1,y1 in pixels, for example 40,60,220,300 or "
            "mug=40,60,220,300."
        ) from exc
    if not (x1 > x0 and y1 > y0):
        raise InputError(f"The box {text!r} is empty: x1 must exceed x0 and y1 must exceed y0.")
    return BoxPrompt(box=(x0, y0, x1, y1), label=label.strip(), positive=positive)


def parse_prompt_phrases(texts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Phrases of one or more prompts: each may hold several, separated by semicolons.

    Raises:
        InputError: a phrase is empty or too long, or there are too many.
    """
    phrases: list[str] = []
    for text in texts:
        parts = [" ".join(part.split()) for part in text.split(";")]
        if not any(parts):
            raise InputError(
                "The prompt is empty. Name what to lift out of the photo, for example "
                '--prompt "chair", or draw a box with --box.'
            )
        phrases += [part for part in parts if part]
    for phrase in phrases:
        if len(phrase) > MAX_PHRASE_CHARACTERS:
            raise InputError(
                f"A phrase has {len(phrase)} characters ({phrase[:40]!r}…); up to "
                f"{MAX_PHRASE_CHARACTERS} are read. Name the objects in a few words each."
            )
        if not phrase.isprintable():
            raise InputError(f"The phrase {phrase!r} has control characters. Use plain words.")
    unique = tuple(dict.fromkeys(phrases))
    if len(unique) > MAX_PHRASES:
        raise InputError(
            f"{len(unique)} phrases were given; up to {MAX_PHRASES} are looked for in one run."
        )
    return unique
