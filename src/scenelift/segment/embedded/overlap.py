"""Assigns the pixels where two masks overlap to one of them.

Boxes are cut out one by one, so a spoon in front of a cup may be found twice: by itself, and as a
part of the cup. The smaller of two overlapping objects is mostly the one in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenelift.segment.filters import FilterSettings, clean_mask
from scenelift.types import Instance

__all__ = ["without_overlaps"]

# A mask that lies inside another by more than this share is worn or carried: taking it out would
# leave a hole.
CONTAINED = 0.85
# An object that would keep less than this share of its mask is left as it is.
KEEPS = 0.5


def without_overlaps(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Leave pixels that two objects share to the smaller; objects keep their order."""
    by_size = sorted(range(len(instances)), key=lambda k: int(instances[k].mask.sum()))
    masks = [instance.mask for instance in instances]
    for rank, large in enumerate(by_size):
        remaining = masks[large]
        for small in by_size[:rank]:
            intersection = instances[small].mask & remaining
            if 0 < intersection.sum() < CONTAINED * instances[small].mask.sum():
                remaining = remaining & ~intersection
        if remaining is not masks[large] and remaining.sum() >= KEEPS * masks[large].sum():
            masks[large] = clean_mask(remaining, FilterSettings())
    return tuple(
        instance if mask is instance.mask else _cut_to(instance, mask)
        for instance, mask in zip(instances, masks, strict=True)
    )


def _cut_to(instance: Instance, mask: np.ndarray) -> Instance:
    alpha = instance.alpha
    if alpha is not None:
        alpha = np.where(instance.mask & ~mask, np.float32(0), alpha)
    return replace(instance, mask=mask, alpha=alpha, box=Instance.box_of(mask))
