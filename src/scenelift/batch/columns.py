"""Map the column names that people and other programs write to our own names.

image, file, filename, file_name, image_path …    photo, where there is no 'photo'
text_prompt, text, phrase, prompts …              prompt, where there is no 'prompt'
xmin, ymin, xmax, ymax; x, y, width, height …     box, where there is no 'box'
#note, _note                                      passed over
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from scenelift.coordinates import SIDES

__all__ = ["PASSED_OVER", "complaint_of", "known_names", "sides_of", "with_box"]

SYNONYMS = {
    "photo": (
        *("image", "file", "filename", "file_name", "image_path", "image_file", "image_name"),
        *("img", "path", "filepath", "file_path", "photo_path"),
    ),
    "prompt": ("text_prompt", "text", "phrase", "phrases", "prompts", "query"),
    "box": ("boxes",),
    "point": ("points",),
}
# What people of other languages write, to be asked whether they mean it.
HINTS = {
    "photo": (
        "picture",
        "bild",
        "datei",
        "imagen",
        "fichier",
        "immagine",
        "imagem",
        "图片",
        "写真",
    ),
    "prompt": ("suchwort", "begriff", "object", "texte", "texto", "label", "objet", "objeto"),
    "box": ("bbox", "rahmen", "rectangle"),
}
# Of people's notes, and pandas' own.
PASSED_OVER = ("#", "_", "unnamed:")


def _plain(name: str) -> str:
    """Normalise a column's name: lower case (Turkish capitals too), with underscores."""
    plain = name.strip().replace("İ", "I").lower()
    return plain.replace("\u0131", "i").replace(" ", "_").replace("-", "_")


def known_names(names: Iterable[str]) -> dict[str, str]:
    """Map a table's column names to ours; a name that is already one of ours stays.

    A synonym counts where it is the only one, and the column itself is not there. Columns of a
    box's sides keep their names (`with_box`), and so do those that `PASSED_OVER` tells.
    """
    plain = {name: _plain(name) for name in names}
    present = set(plain.values())
    columns: dict[str, str] = {}
    for column, others in SYNONYMS.items():
        among = present & set(others)
        if column not in present and len(among) == 1:
            columns[among.pop()] = column
    return {name: columns.get(short, short) for name, short in plain.items()}


def sides_of(names: Collection[str]) -> tuple[str, ...]:
    """Return the columns that hold the sides of the table's boxes, or () if it has none."""
    if "box" in names:
        return ()
    return next((sides for sides in SIDES if set(sides) <= set(names)), ())


def with_box(row: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a box that is spread over four cells, one for each side, into one cell."""
    sides = sides_of(row.keys())
    if not sides:
        return dict(row)
    cells = {name: str(row[name]).strip().replace(",", ".") for name in sides}
    rest = {name: cell for name, cell in row.items() if name not in sides}
    return rest | {"box": ", ".join(f"{name}={cell}" for name, cell in cells.items())}


def complaint_of(unknown: Collection[str], columns: Collection[str]) -> str:
    """Describe column names that we do not know, and suggest what to do about them."""
    texts: list[str] = []
    for name in unknown:
        hint = next((column for column, words in HINTS.items() if name in words), None)
        near = [hint] if hint else difflib.get_close_matches(name, columns, 1)
        texts.append(f"{name!r} (do you mean {near[0]!r}?)" if near else repr(name))
    return (
        f"{', '.join(texts)}; rename a column to ignore to '#note', or remove it. Columns are "
        f"{', '.join(columns)}"
    )
