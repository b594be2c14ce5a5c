"""Reads numbers that people and programs write as text: 0.5, 0,5, 50%, 7.0; one rule everywhere."""

from __future__ import annotations

import math
import re

from scenelift.errors import InputError
from scenelift.options.definition import OptionField

__all__ = ["expected_value", "number_of_text"]

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
SHARE = re.compile(r"(\d+(?:[.,]\d+)?)\s*[%％]")


def number_of_text(f: OptionField, text: str) -> int | float:
    """Read the number that a text gives for an option.

    A share (a number that is at most 1) may be in per cent.

    Raises:
        InputError: it is none, not within the option's limits, or may mean two numbers.
    """
    text = text.strip()
    if f.plain is int and re.fullmatch(r"\d{1,3}([.,]\d{3})+", text):
        whole = re.sub("[.,]", "", text)
        raise InputError(
            f"{f.name} is {text!r}, where the separator can mean thousands or a fraction; write "
            f"{whole}, or the number that is meant, without separators"
        )
    if f.plain is int and re.fullmatch(r"\d+(?:[.,]\d+)?[eE]\+?\d+", text):
        raise InputError(
            f"{f.name} is {text!r}, which a spreadsheet has rounded; format the column as a number "
            "without decimals, or write all its digits"
        )
    most = f.option.le
    share = SHARE.fullmatch(text) if f.plain is float and most is not None and most <= 1 else None
    plain = (share[1] if share else text).replace(",", ".", 1)
    # Sheets write comma and point in one number for thousands only, which was refused above.
    number = float(plain) if NUMBER.fullmatch(plain) else math.nan
    number = number / 100 if share else number
    least = 0 if f.option.zero_is_none else f.option.ge
    within = math.isfinite(number) and (least is None or number >= least)
    within = within and (most is None or number <= most)
    if not within or (f.plain is int and number != int(number)):
        raise InputError(f"{f.name} is {text[:60]!r}; expected {expected_value(f)}")
    # By its digits where it has no fraction: a float would round large ones.
    return (
        number if f.plain is float else int(plain) if plain.lstrip("+-").isdigit() else int(number)
    )


def expected_value(f: OptionField) -> str:
    """Describe the values of an option, for a message."""
    spec = f.option
    if f.choices:
        return f"one of {', '.join(f.choices)}"
    kinds = {bool: "yes or no", int: "a whole number", float: "a number"}
    kind = kinds.get(f.plain, "a text")
    if spec.ge is None:
        return kind
    zero = "0 (no limit), or " if spec.zero_is_none else ""
    return f"{zero}{kind} from {spec.ge}" + ("" if spec.le is None else f" to {spec.le}")
