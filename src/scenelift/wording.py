"""Looks things up by the names that people use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

__all__ = ["find_by_name", "names_table"]

T = TypeVar("T")


def names_table(groups: Mapping[T, str]) -> dict[str, T]:
    """Map names to values, from each value's space-separated names ("cell-phone" is two words)."""
    return {
        name.replace("-", " "): value for value, names in groups.items() for name in names.split()
    }


def find_by_name(table: Mapping[str, T], *names: str | None) -> T | None:
    """Return the value of the first name that the table knows, else None.

    A phrase is looked up whole, then without its first words ("red coffee mug" → "mug"), each in
    the singular too.
    """
    for name in names:
        words = (name or "").lower().replace("_", " ").replace("-", " ").split()
        for start in range(len(words)):
            phrase = " ".join(words[start:])
            for form in (phrase, phrase.removesuffix("s"), phrase.removesuffix("es")):
                if form in table:
                    return table[form]
    return None
