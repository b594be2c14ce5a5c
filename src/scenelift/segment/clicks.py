"""Masks from points: what a segmenter may offer besides, and a prompt's points as objects.

A `Clicker` looks at a photo once; then each click costs the mask alone.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from scenelift.errors import InputError
from scenelift.progress import Reporter
from scenelift.segment.base import Segmenter
from scenelift.stages import digest
from scenelift.types import (
    Box,
    BoxPrompt,
    Dropped,
    Image,
    Instance,
    PointPrompt,
    Prompt,
    Segmentation,
)

__all__ = [
    "Clicker",
    "Clicks",
    "FeatureCache",
    "Features",
    "TakesClicks",
    "clicker_of",
    "obey_points",
    "segment_prompt",
]

# Of the union, from which a found object is the one that was clicked.
SAME_OBJECT = 0.5
CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clicks:
    """The points, the box and the mask that the user gave for one object.

    Attributes:
        points: on it, and beside it, in pixels of the picture that is worked at.
        box: around it, or None.
        mask: bool [H, W] to start from, or None.
    """

    points: tuple[PointPrompt, ...] = ()
    box: Box | None = None
    mask: NDArray[np.bool_] | None = None


class Features(Protocol):
    """A clicker's features of a photo."""

    @property
    def nbytes(self) -> int:
        """The bytes that it takes, on whatever device."""
        ...


class Clicker(Protocol):
    """Cuts out the object that points are on."""

    name: str

    def look(self, image: Image) -> Any:
        """Compute what all clicks on a photo share: `Features` of its own kind."""
        ...

    def cut(self, features: Any, clicks: Clicks) -> NDArray[np.float32]:
        """A soft mask [H, W] in 0…1 of one object; 0.5 and more is inside."""
        ...

    def release(self) -> None:
        """Free the device for what comes next, where its memory is limited."""
        ...


@runtime_checkable
class TakesClicks(Protocol):
    """A segmenter that answers clicks."""

    @property
    def clicker(self) -> Clicker | None:
        """The segmenter's clicker, None where the loaded model takes no clicks."""
        ...


@runtime_checkable
class AnswersPoints(Protocol):
    """A segmenter whose `segment` answers the prompt's points; `segment_prompt` does for others."""

    takes_points: bool


@runtime_checkable
class HasObjects(Protocol):
    """A segmenter with objects of its own, which no phrase has to name."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What they are called, each label once."""
        ...


class FeatureCache:
    """Features of the latest photos, by the photos' digests.

    Args:
        most_bytes: of all features together; the last photo's are held whatever they take.
    """

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most = most_bytes
        self._features: OrderedDict[tuple[str, str], Features] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """The bytes of all features."""
        return sum(features.nbytes for features in self._features.values())

    def look(self, clicker: Clicker, image: Image, key: str | None = None) -> Features:
        """Return the features of a photo: cached ones, or new ones.

        Args:
            key: digest of the photo where the caller knows it.
        """
        entry = (clicker.name, key or digest(image.pixels))
        with self._lock:
            if entry in self._features:
                self._features.move_to_end(entry)
                return self._features[entry]
        features = clicker.look(image)
        with self._lock:
            self._features[entry] = features
            while len(self._features) > 1 and self.nbytes > self._most:
                self._features.popitem(last=False)
        return features


def clicker_of(segmenter: Segmenter) -> Clicker:
    """Return the clicker of a segmenter.

    Raises:
        InputError: it takes none.
    """
    clicker = segmenter.clicker if isinstance(segmenter, TakesClicks) else None
    if clicker is None:
        raise InputError(
            f"The segmenter {segmenter.name!r} takes no points. Draw a box, or choose --segmenter "
            "sam3, grounded-sam2 or embedded."
        )
    return clicker


def obey_points(
    alpha: NDArray[np.float32],  # [H, W]
    points: Sequence[PointPrompt],
) -> NDArray[np.float32]:  # [H, W]
    """Add a small disc to a mask at each point that it contradicts: every click has an effect."""
    height, width = alpha.shape
    radius = max(1.5, 0.006 * max(height, width))
    alpha = alpha.copy()
    for p in points:
        x, y = p.point
        column, row = min(int(x), width - 1), min(int(y), height - 1)
        if (alpha[row, column] >= 0.5) == p.positive:
            continue
        x0, x1 = max(0, int(x - radius)), min(width, int(x + radius) + 1)
        y0, y1 = max(0, int(y - radius)), min(height, int(y + radius) + 1)
        across, down = np.arange(x0, x1) + 0.5, np.arange(y0, y1)[:, None] + 0.5

        def far(q: PointPrompt, across: NDArray = across, down: NDArray = down) -> NDArray:
            return (across - q.point[0]) ** 2 + (down - q.point[1]) ** 2

        disc = far(p) <= radius**2
        for other in points:  # each has what is nearer to it
            if other.positive != p.positive:
                disc &= far(p) < far(other)
        alpha[y0:y1, x0:x1][disc] = p.positive
        alpha[row, column] = p.positive
    return alpha


def segment_prompt(
    segmenter: Segmenter, image: Image, prompt: Prompt, report: Reporter
) -> Segmentation:
    """Find everything that a prompt names: by the segmenter, and by points.

    Raises:
        InputError: the segmenter takes no points, or one belongs to no object.
    """
    if not prompt.points or (isinstance(segmenter, AnswersPoints) and segmenter.takes_points):
        return segmenter.segment(image, prompt, report)
    clicker = clicker_of(segmenter)
    objects, rest, loose = _split_prompt(prompt)
    segmentation = Segmentation(instances=())
    if rest.phrases or rest.boxes or (isinstance(segmenter, HasObjects) and segmenter.labels):
        segmentation = segmenter.segment(image, rest, report)
    threshold = prompt.mask_threshold or 0.5
    features = FeatureCache().look(clicker, image)
    clicked: list[Instance] = []
    for label, clicks in report.track(objects, len(objects), "cutting out what was clicked"):
        instance = _instance(clicker.cut(features, clicks), label, threshold)
        if instance is None:
            raise InputError(
                f"The mask of {label!r} is empty: its negative points remove all of it. "
                "Remove one of them."
            )
        clicked.append(instance)
    unclicked, dropped = _without_clicked(segmentation.instances, clicked)
    for p in loose:
        unclicked = _corrected(unclicked, p, clicker, features, threshold)
    clicker.release()
    instances = sorted([*clicked, *unclicked], key=lambda i: (-i.score, -int(i.mask.sum())))
    return replace(
        segmentation, instances=tuple(instances), dropped=(*segmentation.dropped, *dropped)
    )


def _split_prompt(
    prompt: Prompt,
) -> tuple[list[tuple[str, Clicks]], Prompt, list[PointPrompt]]:
    """Split a prompt: objects with points by label, the rest, and points on the rest's objects."""
    groups: dict[str, list[PointPrompt]] = {}
    for p in prompt.points:
        groups.setdefault(p.label.casefold(), []).append(p)
    boxes: dict[str, BoxPrompt] = {}
    for prompt_box in prompt.boxes:
        if prompt_box.positive and prompt_box.label.casefold() in groups:
            boxes.setdefault(prompt_box.label.casefold(), prompt_box)
    only = prompt.phrases[0] if len(prompt.phrases) == 1 else "object"
    objects, loose = [], []
    for key, points in groups.items():
        if key not in boxes and not any(p.positive for p in points):
            loose += points
            continue
        box = boxes[key].box if key in boxes else None
        label = re.sub(r"#\d+$", "", points[0].label).strip() or only
        objects.append((label, Clicks(points=tuple(points), box=box)))
    rest = replace(
        prompt, points=(), boxes=tuple(b for b in prompt.boxes if b not in boxes.values())
    )
    names = {phrase.casefold() for phrase in prompt.phrases}
    for p in loose:
        if p.label and p.label.casefold() not in names:
            x, y = p.point
            raise InputError(
                f"The negative point {x:g},{y:g} names {p.label!r}, but no object is called so: "
                f"give a --point, a --box or a --prompt of that name too."
            )
    return objects, rest, loose


def _instance(alpha: NDArray[np.float32], label: str, threshold: float) -> Instance | None:
    mask = alpha >= threshold
    if not mask.any():
        return None
    return Instance(mask=mask, alpha=alpha, label=label, score=1.0, box=Instance.box_of(mask))


def _without_clicked(
    instances_of_phrases: Sequence[Instance], clicked: Sequence[Instance]
) -> tuple[list[Instance], list[Dropped]]:
    """Drop objects of the segmenter that were clicked as well."""
    unclicked, dropped = [], []
    for instance in instances_of_phrases:
        double = next((c for c in clicked if _overlap(instance, c) > SAME_OBJECT), None)
        if double is None:
            unclicked.append(instance)
            continue
        dropped.append(
            Dropped.of(
                instance,
                f"it is the object that was clicked as {double.label!r}",
                double_of=double.label,
            )
        )
    return unclicked, dropped


def _overlap(a: Instance, b: Instance) -> float:
    return float((a.mask & b.mask).sum() / max(1, (a.mask | b.mask).sum()))


def _corrected(
    instances_of_phrases: Sequence[Instance],
    beside: PointPrompt,
    clicker: Clicker,
    features: Features,
    threshold: float,
) -> list[Instance]:
    """Cut a negative point's part out of objects of its name that it is on."""
    x, y = beside.point
    corrected = []
    for instance in instances_of_phrases:
        height, width = instance.mask.shape
        on_it = instance.mask[min(int(y), height - 1), min(int(x), width - 1)]
        same_label = not beside.label or beside.label.casefold() == instance.label.casefold()
        if on_it and same_label:
            alpha = clicker.cut(features, Clicks(points=(beside,), mask=instance.mask))
            remainder = _instance(alpha, instance.label, threshold)
            if remainder is not None:
                remainder = replace(remainder, score=instance.score, class_name=instance.class_name)
                corrected.append(remainder)
        else:
            corrected.append(instance)
    return corrected
