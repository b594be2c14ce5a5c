"""Reads names, classes and scores from the arrays beside a stack of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.io.arrays import read_arrays
from scenelift.segment.given.layers import Layer, Layers
from scenelift.segment.given.yolo import class_names

__all__ = ["with_facts"]

LABELS = ("labels", "label", "names", "name", "class_names", "phrases", "classes", "categories")
CLASSES = ("class_ids", "class_id", "category_ids", "pred_classes", "gt_classes", *LABELS)
SCORES = ("scores", "score", "confidences", "confidence", "conf")
# Numbers and names of a thousand masks are small; what is larger is no such list.
MOST = 1000


def with_facts(
    layers: Layers, file: Path, names: Sequence[str], count: int | None = None
) -> Layers:
    """Give the layers of a stack the names and scores that the file has for them.

    Args:
        layers: of the stack; their key is their place in it.
        file: .npz.
        names: of its other arrays.
        count: how many masks the stack has, None for an array of numbers.

    Raises:
        InputError: there are more or fewer names, classes or scores than masks.
    """
    arrays: dict[str, NDArray[Any]] = {}
    notes = list(layers.notes)
    for name in names:
        if name not in (*CLASSES, *SCORES):
            continue
        try:
            arrays |= read_arrays(file, lambda _, name=name: (name,))
        except InputError:
            notes.append(f"its {name} hold Python objects, which are not read.")
    texts = next((arrays[n] for n in LABELS if n in arrays and arrays[n].dtype.kind in "US"), None)
    numbers = next(
        (arrays[n] for n in CLASSES if n in arrays and arrays[n].dtype.kind in "iu"), None
    )
    scores = next((arrays[n] for n in SCORES if n in arrays and arrays[n].dtype.kind == "f"), None)
    called = class_names(file.parent) if texts is None and numbers is not None else {}
    if texts is not None and numbers is not None and texts.size != count:
        called = dict(enumerate(map(_text, texts.ravel()[:MOST].tolist())))  # of all classes
        texts = None
    for what, values in (("names", texts), ("class numbers", numbers), ("scores", scores)):
        if count is not None and values is not None and values.size != count:
            raise InputError(
                f"{file.name} has {values.size} {what} for {count} masks: it is unclear which "
                "belong together. Give one for each mask, or none."
            )
    result: list[Layer] = []
    for number, layer in enumerate(layers.layers):
        place = layer.key if isinstance(layer.key, int) else number
        label = _text(_entry(texts, place)) or called.get(_entry(numbers, place), "")
        score = _entry(scores, place)
        if score is None or not 0 <= score <= 1:
            score = 1.0
        result.append(replace(layer, name=label or layer.name, score=float(score)))
    return Layers(layers=tuple(result), notes=tuple(notes), is_photo=layers.is_photo)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _entry(values: NDArray[Any] | None, place: int) -> Any:
    """Return one entry of a list, None where there is no list or it ends before."""
    if values is None or values.size > MOST:
        return None
    flat = np.ravel(values)
    return flat[place].item() if place < len(flat) else None
