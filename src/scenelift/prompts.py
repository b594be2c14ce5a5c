"""Reading what a user asks for: phrases, boxes and points, from text to checked values."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from scenelift.errors import InputError
from scenelift.types import BoxPrompt, PointPrompt, Prompt

__all__ = [
    "MAX_PHRASES",
    "MAX_PHRASE_CHARACTERS",
    "check_phrases",
    "in_pixels",
    "parse_box",
    "parse_point",
    "parse_prompt_phrases",
    "show_box",
    "show_point",
]

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


def parse_point(text: str, *, positive: bool = True) -> PointPrompt:
    """`[name=]x,y` in pixels; `name#2=x,y` is on a second object of that name.

    Raises:
        InputError: it is not that.
    """
    label, _, numbers = text.rpartition("=")
    try:
        x, y = (float(v) for v in numbers.split(","))
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError("not finite")
    except ValueError as exc:
        raise InputError(
            f"{text!r} is not a point. Give x,y in pixels, for example 120,80 or mug=120,80."
        ) from exc
    return PointPrompt(point=(x, y), label=label.strip(), positive=positive)


def parse_prompt_phrases(texts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Phrases of one or more prompts, each of which may hold several, as people write lists.

    "cup; spoon", "cup, dining table", "杯子；勺子", lines, "cup . spoon ." (as Grounding DINO wants
    it) and '["cup", "spoon"]' are lists.

    Raises:
        InputError: a phrase is empty or too long, or there are too many.
    """
    phrases: list[str] = []
    for text in texts:
        parts = _listed(text)
        if not parts:
            raise InputError(
                "The prompt is empty. Name what to lift out of the photo, for example "
                '--prompt "chair", or draw a box with --box.'
            )
        phrases += parts
    return check_phrases(phrases)


def check_phrases(phrases: Sequence[str]) -> tuple[str, ...]:
    """Phrases that are told apart already, each once.

    Raises:
        InputError: one is empty, too long or no plain text, or there are too many.
    """
    for phrase in phrases:
        if not isinstance(phrase, str):
            raise InputError(f"A phrase is {phrase!r}, which is no text. Give words: 'chair'.")
        if not phrase.strip():
            raise InputError("A phrase is empty. Name what to lift out of the photo.")
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


def _listed(text: str) -> list[str]:
    """The phrases of one text."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        entries = _literal(text)
        if entries is not None:
            return [plain for entry in entries if (plain := " ".join(entry.split()))]
    if text.endswith(".") or " . " in text:
        # A full stop inside ("St. Bernard") divides only where one ends the whole.
        text = re.sub(r"\s*\.(\s+|$)" if text.endswith(".") else r"\s+\.\s+", ";", text)
    parts = re.split(r"[;,；，、\n\r]", text)
    return [plain for part in parts if (plain := " ".join(part.split()))]


def _literal(text: str) -> list[str] | None:
    """A list of texts in JSON or Python, None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list):
            entries = cast("list[Any]", value)
            if all(isinstance(entry, str) for entry in entries):
                return entries
    return None


def in_pixels(prompt: Prompt, width: int, height: int) -> tuple[Prompt, tuple[str, ...]]:
    """A prompt in the photo's own pixels, and what to tell of boxes that were not.

    Points are in pixels always. Boxes whose corners all lie within 0…1 are parts of the photo's
    width and height: in pixels they would lie in its first one.

    Raises:
        InputError: a box or a point lies outside the photo.
    """
    for set_point in prompt.points:
        x, y = set_point.point
        if not (0 <= x <= width and 0 <= y <= height):
            raise InputError(
                f"The point {x:g},{y:g} lies outside the photo, which is {width} × {height} pixels."
            )
    boxes: list[BoxPrompt] = []
    notes: list[str] = []
    for prompt_box in prompt.boxes:
        spoken = ",".join(f"{edge:g}" for edge in prompt_box.box)
        if min(prompt_box.box) >= 0 and max(prompt_box.box) <= 1:
            x0, y0, x1, y1 = prompt_box.box
            prompt_box = replace(prompt_box, box=(x0 * width, y0 * height, x1 * width, y1 * height))
            notes.append(f"The box {spoken} was taken for parts of the photo's width and height.")
        x0, y0, x1, y1 = prompt_box.box
        if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
            raise InputError(
                f"The box {spoken} lies outside the photo, which is {width} × {height} pixels."
            )
        boxes.append(prompt_box)
    return replace(prompt, boxes=tuple(boxes)), tuple(notes)


def show_box(box: BoxPrompt) -> str:
    """A box as `parse_box` reads it."""
    return _labelled(box.label, box.box)


def show_point(point: PointPrompt) -> str:
    """A point as `parse_point` reads it."""
    return _labelled(point.label, point.point)


def _labelled(label: str, values: Sequence[float]) -> str:
    numbers = ",".join(f"{v:g}" if float(f"{v:g}") == v else repr(v) for v in values)
    return f"{label}={numbers}" if label else numbers
