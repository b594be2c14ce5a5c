"""Compute metres from something whose height is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.compose.placed_object import PlacedObject
from scenelift.options import KnownLength
from scenelift.types import Instance

__all__ = ["Scale", "scale_from"]

SHAPE_ERROR = 0.03  # of a height: what a well-fitted shape is off by, from benchmarks/layout.py
PIXEL_ERROR = 1.5  # pixels by which a mask's upper and lower edges are off together


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The length of a scene unit in metres.

    Attributes:
        factor: metres in one scene unit.
        error: relative, one standard deviation.
        note: where it comes from, a plain sentence.
    """

    factor: float
    error: float
    note: str


def scale_from(
    lengths: Sequence[KnownLength],
    objects: Sequence[PlacedObject],
    instances: Sequence[Instance],
    up: NDArray[np.float64],
) -> Scale | None:
    """Compute the scale from known heights; None if no object has such a name.

    Args:
        lengths: heights, by label.
        objects: the objects in their final poses.
        instances: theirs, in the same order.
        up: against gravity, camera frame.
    """
    factors, errors, names = [], [], []
    for length in lengths:
        for o, instance in zip(objects, instances, strict=True):
            if length.label.casefold() not in (
                instance.label.casefold(),
                (instance.class_name or "").casefold(),
            ):
                continue
            height = float(np.ptp(o.surface() @ up))
            factors.append(length.metres / height)
            errors.append(math.hypot(SHAPE_ERROR, PIXEL_ERROR / np.ptp(instance.box[1::2])))
            names.append(f"{length.label} = {length.metres:g} m")
    if not factors:
        return None
    # Heights are off independently of each other; where they disagree by more, that is the error.
    weights = 1 / np.square(errors)
    factor = float(np.exp(np.average(np.log(factors), weights=weights)))
    spread = float(np.std(np.log(factors))) / math.sqrt(len(factors))
    error = max(1 / math.sqrt(float(weights.sum())), spread)
    names_text = ", ".join(dict.fromkeys(names))
    return Scale(
        factor=factor,
        error=error,
        note=f"Metres from {names_text}, good to about ±{100 * error:.0f} %.",
    )
