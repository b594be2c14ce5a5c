"""Names masks: by the name of their file, or by the order of the phrases."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["name_from_file", "natural"]

# Words that tools put into file names and that say nothing of the object.
SAY_NOTHING = frozenset(
    {
        *("mask", "masks", "label", "labels", "object", "objects", "instance", "instances"),
        *("segmentation", "segmented", "seg", "alpha", "matte", "image", "img", "photo", "picture"),
        *("layer", "untitled", "copy", "dsc", "frame", "output", "out", "result", "binary", "bw"),
        *("class", "id", "ids", "gt", "annotation", "annotations", "task", "brush", "labelids"),
        *("arr", "array", "instanceids", "color", "colour", "gtfine"),
    }
)


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Build a sorting key by which 2.png comes before 10.png."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def name_from_file(file: Path, photo: Path | None = None) -> str:
    """Read a label: `03_red-mug.png` and `red mug.png` are a red mug; `mask_2.png` has none: "".

    Args:
        file: the mask's.
        photo: the photo's, whose name may be part of it: `desk_cup.png` beside `desk.jpg`.
    """
    stem = file.stem
    if photo is not None and len(photo.stem) > 1:
        stem = re.sub(rf"^{re.escape(photo.stem)}(?=$|[\W_])", "", stem, flags=re.IGNORECASE)
    words = [word for word in re.split(r"[\W_]+", stem) if word]
    return " ".join(word for word in words if _says_something(word))


def _says_something(word: str) -> bool:
    bare = word.casefold().rstrip("0123456789")
    if len(bare) < 2:
        return bool(bare) and not bare.isascii()  # one letter is no name, one ideograph may be
    return bare not in SAY_NOTHING and not re.fullmatch(r"[0-9a-f]{8,}", word.casefold())
