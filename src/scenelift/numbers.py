"""Checks numbers that a caller gives: of the right type and within range, or refused by name."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from scenelift.errors import InputError

__all__ = ["checked_number", "wrong_type"]

N = TypeVar("N", int, float)


def checked_number(
    value: Any, kind: type[N], word: str, low: float | None = None, high: float | None = None
) -> N:
    """Return a number as `kind`, or refuse it: 7.0 becomes 7, and NumPy's numbers Python's.

    Args:
        value: what came.
        kind: int or float.
        word: what it is called.
        low, high: the least and the largest that is allowed; None for any.

    Raises:
        InputError: it is no number, no whole one, or out of range.
    """
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    noun = "a whole number" if kind is int else "a number"
    span = f", {_range(low, high)}" if low is not None or high is not None else ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(word, value, noun + span)
    if not math.isfinite(value) or (kind is int and value != int(value)):
        raise InputError(f"{word} is {value}; expected {noun}{span}.")
    if (low is not None and value < low) or (high is not None and value > high):
        raise InputError(f"{word} is {value}; expected {_range(low, high)}.")
    return kind(value)


def wrong_type(word: str, value: Any, expected: str) -> InputError:
    """Build the error for a value of another type."""
    text = repr(value)
    short = f"{text[:60]}…" if len(text) > 60 else text
    return InputError(f"{word} is {short}, a {type(value).__name__}; expected {expected}.")


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{low} or more" if low is not None else f"at most {high}"
    return f"{low} to {high}"
