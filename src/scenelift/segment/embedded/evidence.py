"""What a classifier of ImageNet's thousand categories says of boxes, for and against a word.

It looks twice: at the whole photo, where every cell of its last features is classified by itself
and so tells where things are, and closely at those boxes that are worth it. A word's evidence in a
box is the geometric mean of both and of the detectors' score. Whether another word has more is
measured against how many of the thousand categories each of them has.

Shape letters: N boxes, K categories (1000), W words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scenelift.progress import Reporter
from scenelift.segment.embedded.categories import CATEGORIES, PARTLY
from scenelift.segment.embedded.named import NAMED
from scenelift.segment.embedded.vocabulary import Reading

__all__ = ["Evidence", "Naming", "categories_of", "coverage"]

# Boxes that are looked at closely for a word, of those that its map is in; 24 find as much as all.
MOST_BOXES = 24
# A box for which another word has three times the evidence does not show the word.
LEAST_SHARE = 0.33
SURROUNDINGS = 1.6  # a box's sides with what is around it

OTHERS: dict[str, tuple[int, ...]] = NAMED | PARTLY | CATEGORIES
"""The categories of everything that has a word: what a box may show instead."""


class Naming(Protocol):
    """Tells what a photo shows, among K categories."""

    def chances(
        self, pixels: NDArray[np.uint8], boxes: NDArray[np.float32], report: Reporter
    ) -> NDArray[np.float32]:
        """Estimate how likely each box [N, 4] shows each category, [N, K] in 0…1."""
        ...

    def maps(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Estimate the same for cells of the whole photo, [K, rows, columns] at several sizes."""
        ...


class Evidence:
    """The classifier's evidence in one photo; what it has looked at it does not look at again.

    Args:
        namer: the classifier.
        pixels: uint8 [H, W, 3], sRGB.
        report: progress; raises Cancelled between boxes.
    """

    def __init__(self, namer: Naming, pixels: NDArray[np.uint8], report: Reporter) -> None:
        self._namer, self._pixels, self._report = namer, pixels, report
        self._size = (pixels.shape[1], pixels.shape[0])
        self._by_box: dict[bytes, NDArray[np.float32]] = {}

    @cached_property
    def _maps(self) -> list[NDArray[np.float32]]:
        return self._namer.maps(self._pixels)

    def scores(
        self,
        boxes: NDArray[np.float32],  # [N, 4], in pixels of the photo
        detected: NDArray[np.float32],  # [N], scores of the detectors, for whatever class
        word: Sequence[int],
    ) -> NDArray[np.float32]:  # [N] in 0…1
        """Estimate how sure a word is in each box, 0 where it is not worth a look."""
        scores = np.zeros(len(boxes), np.float32)
        enclosed = self.enclosed(boxes, word) * detected
        rows = np.argsort(-enclosed, kind="stable")[:MOST_BOXES]
        scores[rows] = np.sqrt(self.close(boxes[rows], word) * enclosed[rows])
        share, _ = self.shares(boxes[rows], word)
        scores[rows[share < LEAST_SHARE]] = 0
        return scores

    def enclosed(
        self, boxes: NDArray[np.float32], word: Sequence[int]
    ) -> NDArray[np.float32]:  # [N] in 0…1
        """Measure how well boxes enclose what the whole photo's maps show of a word."""
        return coverage(self._maps, boxes, self._size, [word])[:, 0]

    def close(
        self, boxes: NDArray[np.float32], word: Sequence[int]
    ) -> NDArray[np.float32]:  # [N] in 0…1
        """Estimate how likely boxes show a word, looked at closely."""
        return self._chances(boxes)[:, list(word)].sum(1)

    def shares(
        self,
        boxes: NDArray[np.float32],  # [N, 4]
        word: Sequence[int],
    ) -> tuple[NDArray[np.float32], list[str]]:  # [N], [N]
        """Compare the evidence for a word with that for the likeliest other word, and name it.

        Above 1 the word wins. Each is measured against its share of the categories: one chance in
        ten says nothing of a dog, with a hundred breeds, and much of a jug.
        """
        others = [name for name, group in OTHERS.items() if not set(group) & set(word)]
        words = [word, *(OTHERS[name] for name in others)]
        chances = self._chances(boxes)
        prior = np.array([len(group) for group in words], np.float32) / chances.shape[1]
        enclosed = coverage(self._maps, boxes, self._size, words)
        evidence = np.sqrt(_sums(chances.T, words).T * enclosed / prior)
        rivals = evidence[:, 1:].argmax(1)
        share = evidence[:, 0] / np.maximum(evidence[:, 1:].max(1), 1e-9)
        return share, [others[rival] for rival in rivals]

    def _chances(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:  # [N, K]
        keys = [box.tobytes() for box in boxes]
        fresh = [row for row, key in enumerate(keys) if key not in self._by_box]
        chances = self._namer.chances(self._pixels, boxes[fresh], self._report)
        self._by_box |= {keys[row]: chance for row, chance in zip(fresh, chances, strict=True)}
        return np.stack([self._by_box[key] for key in keys])


def categories_of(
    reading: Reading, of_classes: Mapping[str, tuple[int, ...]] = CATEGORIES
) -> tuple[int, ...]:
    """List the classifier's categories for what a reading means; none for "everything"."""
    if reading.how == "everything":
        return ()
    words = [NAMED[name] for name in reading.names] or [
        of_classes.get(name, ()) for name in reading.classes
    ]
    return tuple(dict.fromkeys(category for word in words for category in word))


def _sums(chances: NDArray[np.float32], words: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Sum the chances of each word's categories: [K, ...] → [W, ...]."""
    return np.stack([chances[list(word)].sum(0) for word in words])


def coverage(
    maps: Sequence[NDArray[np.float32]],  # [K, rows, columns] each, over the whole photo
    boxes: NDArray[np.float32],  # [N, 4], in pixels of the photo
    size: tuple[int, int],  # width and height of the photo
    words: Sequence[Sequence[int]],
) -> NDArray[np.float32]:  # [N, W] in 0…1
    """Measure how well boxes enclose what the maps show of words.

    The geometric mean of two shares, on the map that says most: of the word in the box, and of what
    the box and its surroundings have of the word, inside it. A part of a thing lacks the second, a
    box much too large the first.
    """
    best = np.zeros((len(boxes), len(words)), np.float32)
    more = (boxes[:, 2:] - boxes[:, :2]) * np.float32((SURROUNDINGS - 1) / 2)
    around = np.concatenate([boxes[:, :2] - more, boxes[:, 2:] + more], 1).astype(np.float32)
    for chances in maps:
        of_words = _sums(chances, words)
        mass, area = _inside(of_words, boxes, size)
        nearby, _ = _inside(of_words, around, size)
        share = mass / np.maximum(area, 1e-9)[:, None]
        best = np.maximum(best, np.sqrt(share * mass / np.maximum(nearby, 1e-9)))
    return best


def _inside(
    values: NDArray[np.float32],  # [W, rows, columns], over the photo
    boxes: NDArray[np.float32],  # [N, 4]
    size: tuple[int, int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [N, W], [N]
    """Integrate maps over boxes, in cells; also the boxes' areas within the photo."""
    across = _cells(boxes[:, 0], boxes[:, 2], values.shape[2], size[0])
    down = _cells(boxes[:, 1], boxes[:, 3], values.shape[1], size[1])
    mass = np.einsum("nr,wrc,nc->nw", down, values, across, optimize=True)
    return mass.astype(np.float32), (down.sum(1) * across.sum(1)).astype(np.float32)


def _cells(
    low: NDArray[np.float32], high: NDArray[np.float32], count: int, length: int
) -> NDArray[np.float32]:  # [N, count]
    """Measure the share of each cell along one axis that lies between two edges."""
    edges = np.linspace(0, length, count + 1, dtype=np.float32)
    shared = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    return np.clip(shared, 0, None) * np.float32(count / length)
