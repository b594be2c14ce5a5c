"""Sets of detected boxes: suppress duplicates of one view, fuse what many views agree on.

Shape letter: N boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.types import Box

__all__ = ["Detections", "fuse", "iou", "suppress"]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes found in a photo.

    Attributes:
        boxes: float32 [N, 4], x0, y0, x1, y1 in pixels of the photo.
        scores: float32 [N] in 0…1.
        classes: int64 [N], indices into `classes.CLASSES`.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        parts = [cls.none(), *parts]
        return cls(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.classes for p in parts]),
        )

    def take(self, rows: NDArray) -> Detections:
        """Select the boxes of an index or boolean array."""
        return Detections(self.boxes[rows], self.scores[rows], self.classes[rows])

    def clipped(self, window: Box) -> Detections:
        """Cut the boxes to a window, and drop those that lie outside it."""
        low, high = np.array(window[:2] * 2, np.float32), np.array(window[2:] * 2, np.float32)
        inside = Detections(np.clip(self.boxes, low, high), self.scores, self.classes)
        return inside.take((inside.boxes[:, 2:] - inside.boxes[:, :2]).min(1, initial=np.inf) > 0)


def iou(a: NDArray, b: NDArray) -> NDArray[np.float32]:  # [..., 4], [..., 4] -> [...]
    """Compute intersection over union of boxes; shapes broadcast."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.clip(sides, 0, None).prod(-1)
    areas = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1)
    return (overlap / np.maximum(areas - overlap, 1e-9)).astype(np.float32)


def suppress(detections: Detections, max_iou: float, *, across_classes: bool = False) -> Detections:
    """Drop boxes that overlap a better one (greedy non-maximum suppression). Best first."""
    order = np.argsort(-detections.scores, kind="stable")
    best_rows = []
    while order.size:
        best, rest = order[0], order[1:]
        best_rows.append(best)
        rival = iou(detections.boxes[best], detections.boxes[rest]) > max_iou
        if not across_classes:
            rival &= detections.classes[rest] == detections.classes[best]
        order = rest[~rival]
    return detections.take(np.array(best_rows, np.int64))


def fuse(
    parts: Sequence[Detections],
    combine: Callable[[NDArray[np.float32]], float],
    min_iou: float = 0.55,
) -> Detections:
    """Fuse boxes of one class that overlap into one, averaged by their scores.

    Clustering after https://arxiv.org/abs/1910.13302 (its IoU of 0.55 too): best boxes first, each
    joins the cluster whose fused box it overlaps most.

    Args:
        parts: what each view, window or detector found in the same photo.
        combine: score of a cluster from the best score that each part gives it: float32
            [len(parts)], 0 where a part has no such box.
        min_iou: from which overlap on two boxes are the same object.
    """
    together = Detections.concatenate(parts)
    part_of = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    members: list[list[int]] = []
    fused = np.zeros((len(together), 4), np.float32)  # row k: box of cluster k
    classes = np.zeros(len(together), np.int64)
    for row in np.argsort(-together.scores, kind="stable"):
        overlap = iou(fused[: len(members)], together.boxes[row])
        overlap[classes[: len(members)] != together.classes[row]] = 0
        cluster = int(overlap.argmax()) if len(members) else 0
        if not len(members) or overlap[cluster] < min_iou:
            cluster = len(members)
            members.append([])
            classes[cluster] = together.classes[row]
        members[cluster].append(row)
        rows = members[cluster]
        fused[cluster] = np.average(together.boxes[rows], axis=0, weights=together.scores[rows])

    scores = np.zeros(len(members), np.float32)
    for cluster, rows in enumerate(members):
        best = np.zeros(len(parts), np.float32)
        np.maximum.at(best, part_of[rows], together.scores[rows])
        scores[cluster] = combine(best)
    count = len(members)
    order = np.argsort(-scores, kind="stable")
    return Detections(fused[:count], scores, classes[:count]).take(order)
