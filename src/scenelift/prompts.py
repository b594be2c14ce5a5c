"""Reads what a user asks for: phrases, boxes and points, from text to checked values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from scenelift.coordinates import boxes_of, may_be_thousands, points_of
from scenelift.errors import InputError
from scenelift.phrases import each_once, split_phrases
from scenelift.types import Box, BoxPrompt, PointPrompt, Prompt

__all__ = [
    "MAX_PHRASES",
    "MAX_PHRASE_CHARACTERS",
    "are_parts",
    "box_in_pixels",
    "check_phrases",
    "in_pixels",
    "parse_boxes",
    "parse_points",
    "parse_prompt_phrases",
    "show_box",
    "show_point",
]

MAX_PHRASES = 32
MAX_PHRASE_CHARACTERS = 200
# Models write boxes of parts that reach a little over the photo's edge.
PART_SLACK = 0.02
LEAST_SIDE = 2.0  # pixels of a box; nothing smaller is cut out


def parse_boxes(value: Any, *, positive: bool = True) -> tuple[BoxPrompt, ...]:
    """Read the boxes of a text such as `[name=]x0,y0,x1,y1`, or of any form of `coordinates`.

    Args:
        positive: of boxes that do not say themselves whether they are meant.

    Raises:
        InputError: one is none, or empty.
    """
    return tuple(
        BoxPrompt(
            box=cast("Box", d.numbers),
            label=d.label,
            positive=positive if d.positive is None else d.positive,
        )
        for d in boxes_of(value)
    )


def parse_points(value: Any, *, positive: bool = True) -> tuple[PointPrompt, ...]:
    """Read points such as `[name=]x,y`; `name#2=x,y` is on a second object of that name.

    Args:
        positive: of points that do not say themselves whether they are on the object.

    Raises:
        InputError: one is none.
    """
    return tuple(
        PointPrompt(
            point=cast("tuple[float, float]", d.numbers),
            label=d.label,
            positive=positive if d.positive is None else d.positive,
        )
        for d in points_of(value)
    )


def parse_prompt_phrases(texts: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """Split one or more prompts into phrases; each may hold several, as people write lists.

    `phrases` states how a list is told.

    Raises:
        InputError: a phrase is empty or too long, or there are too many.
    """
    phrases: list[str] = []
    for text in texts:
        parts = split_phrases(text)
        if not parts:
            raise InputError(
                "The prompt is empty. Name what to lift out of the photo, for example "
                '--prompt "chair", point at it with --point, or draw a box with --box.'
            )
        phrases += parts
    return check_phrases(phrases)


def check_phrases(phrases: Sequence[str]) -> tuple[str, ...]:
    """Check phrases that are separate already, and drop repeated ones.

    Raises:
        InputError: one is empty, too long or no plain text, or there are too many.
    """
    for phrase in phrases:
        if not isinstance(phrase, str):
            raise InputError(f"A phrase is {phrase!r}, which is not a text. Give words: 'chair'.")
        if not phrase.strip():
            raise InputError("A phrase is empty. Name what to lift out of the photo.")
        if len(phrase) > MAX_PHRASE_CHARACTERS:
            raise InputError(
                f"A phrase has {len(phrase)} characters ({phrase[:40]!r}…); up to "
                f"{MAX_PHRASE_CHARACTERS} are read. Name the objects in a few words each."
            )
        if not phrase.isprintable():
            raise InputError(f"The phrase {phrase!r} has control characters. Use plain words.")
    unique = each_once(phrases)
    if len(unique) > MAX_PHRASES:
        raise InputError(
            f"{len(unique)} phrases were given; up to {MAX_PHRASES} are looked for in one run."
        )
    return unique


def in_pixels(prompt: Prompt, width: int, height: int) -> tuple[Prompt, tuple[str, ...]]:
    """Convert a prompt to the photo's own pixels; also returns notes on boxes and points in parts.

    A box whose corners all lie within 0…1 is in parts of the photo's width and height: in pixels
    it would lie in its first one. So are points that all lie there and are not all whole numbers.

    Raises:
        InputError: a box or a point lies outside the photo, a box is too small for either, or
            some points are parts and some are pixels.
    """
    points, notes = _points_in_pixels(prompt.points, width, height)
    boxes: list[BoxPrompt] = []
    for prompt_box in prompt.boxes:
        box, note = box_in_pixels(prompt_box.box, width, height)
        boxes.append(replace(prompt_box, box=box))
        notes += [note] if note else []
    return replace(prompt, boxes=tuple(boxes), points=points), tuple(notes)


def _points_in_pixels(
    points: Sequence[PointPrompt], width: int, height: int
) -> tuple[tuple[PointPrompt, ...], list[str]]:
    in_parts = [p for p in points if are_parts(p.point)]
    if not in_parts:
        for p in points:
            x, y = p.point
            if not (0 <= x <= width and 0 <= y <= height):
                raise InputError(
                    f"The point {_edges(p.point)} lies outside the photo, which is {width} × "
                    f"{height} pixels."
                )
        return tuple(points), []
    beyond = [p for p in points if not all(0 <= v <= 1 for v in p.point)]
    if beyond:
        raise InputError(
            f"The point {_edges(in_parts[0].point)} is a part of the photo's width and height, or "
            f"in its first pixel, and {_edges(beyond[0].point)} is in pixels. Give all points in "
            f"pixels (the photo has {width} × {height}), or all within 0…1."
        )
    named = ", ".join(_edges(p.point) for p in points)
    was = "The points {} were" if len(points) > 1 else "The point {} was"
    return tuple(replace(p, point=(p.point[0] * width, p.point[1] * height)) for p in points), [
        f"{was.format(named)} taken for parts of the photo's width and height."
    ]


def are_parts(numbers: Sequence[float]) -> bool:
    """Whether coordinates are fractions of the photo: all within 0…1, and not all whole."""
    return all(0 <= v <= 1 for v in numbers) and any(v != round(v) for v in numbers)


def box_in_pixels(box: Box, width: int, height: int) -> tuple[Box, str]:
    """Convert a box to the photo's own pixels; with a note where it was in parts or reaches beyond.

    Raises:
        InputError: it lies outside the photo, or is too small.
    """
    x0, y0, x1, y1 = box
    if min(box) >= -PART_SLACK and max(box) <= 1 + PART_SLACK:
        x0, y0, x1, y1 = (min(max(v, 0.0), 1.0) for v in box)
        note = f"The box {_edges(box)} was taken for parts of the photo's width and height."
        return (x0 * width, y0 * height, x1 * width, y1 * height), note
    if x0 >= width or y0 >= height or x1 <= 0 or y1 <= 0:
        raise InputError(
            f"The box {_edges(box)} lies outside the photo, which is {width} × {height} pixels."
        )
    if x1 - x0 < LEAST_SIDE or y1 - y0 < LEAST_SIDE:
        raise InputError(
            f"The box {_edges(box)} is {x1 - x0:g} × {y1 - y0:g} pixels, too small for an object. "
            f"Give all corners in pixels (the photo has {width} × {height}), or all within 0…1, as "
            "parts of it."
        )
    over = max(-x0 / width, -y0 / height, x1 / width - 1, y1 / height - 1)
    if over > PART_SLACK:
        return box, (
            f"The box {_edges(box)} reaches beyond the photo, which is {width} × {height} pixels: "
            "what lies inside was used."
        )
    return box, ""


def _edges(numbers: Sequence[float]) -> str:
    return ",".join(f"{v:g}" for v in numbers)


def show_box(box: BoxPrompt) -> str:
    """Write a box as `parse_boxes` reads it."""
    return _labelled(box.label, box.box)


def show_point(point: PointPrompt) -> str:
    """Write a point as `parse_points` reads it."""
    return _labelled(point.label, point.point)


def _labelled(label: str, values: Sequence[float]) -> str:
    texts = [f"{v:g}" if float(f"{v:g}") == v else repr(v) for v in values]
    numbers = ",".join(map(repr, values) if may_be_thousands(texts) else texts)
    return f"{label}={numbers}" if label else numbers
