"""Chooses this photo's entry where a file of annotations has several photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from scenelift.errors import InputError, first_few
from scenelift.segment.given.canvas import Canvas
from scenelift.segment.given.shapes import file_name, original_name, stem_of

__all__ = ["entry_of_photo", "unclear_photo"]

E = TypeVar("E")


def entry_of_photo(
    entries: Sequence[E], name_of: Callable[[E], object], path: Path, canvas: Canvas
) -> E:
    """Return the entry that has the photo's name, or the only one.

    Raises:
        InputError: there are several, and not exactly one is named as the photo.
    """
    if len(entries) == 1:
        return entries[0]
    if canvas.photo is not None:
        own = original_name(canvas.photo)
        for same in (file_name, original_name, stem_of):
            hits = [e for e in entries if same(original_name(name_of(e))) == same(own)]
            if len(hits) == 1:
                return hits[0]
            if hits:
                break
    names = [str(name_of(entry) or "without a name") for entry in entries]
    raise unclear_photo(names, path, canvas)


def unclear_photo(names: Sequence[str], path: Path, canvas: Canvas) -> InputError:
    """Say that nobody can tell which of a file's photos is the one at hand."""
    name = canvas.photo.name if canvas.photo else "the photo"
    return InputError(
        f"{path.name} has annotations of {len(names)} photos ({first_few(names)}), and it is "
        f"unclear which of them is {name}. Give the photo the name that it has there, or a file "
        "with its annotations alone."
    )
