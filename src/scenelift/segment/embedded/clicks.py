"""Clicks of the embedded models: proposed boxes first, then points as the mask head learned them.

The surest box that the detectors propose and whose mask holds the first point is taken; where there
is none, the box that the mask head says for the points in the whole photo. Further points correct
its mask one after the other. Points that it then still contradicts take what is near and similar
with them.

Without DINOv2 there is no mask head: further points choose between proposals, and a box is drawn
around where features are like those at the points.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scenelift.models.embedded.box_fusion import Detections
from scenelift.progress import silent
from scenelift.segment.clicks import Clicks, obey_points
from scenelift.segment.embedded import detectors as detection
from scenelift.segment.embedded.detectors import Detector
from scenelift.segment.embedded.points import PointMasker, Windows
from scenelift.segment.embedded.refine import refine, resized
from scenelift.types import Box, Image, Instance, PointPrompt

if TYPE_CHECKING:
    from scenelift.models.embedded.features import PatchFeatures
    from scenelift.segment.embedded.segmenter import Masker

__all__ = ["EmbeddedClicker", "EmbeddedFeatures"]

# Boxes of this score may be what was clicked: far below what a phrase needs, since the point says
# where.
LEAST_SCORE = 0.3
# Masks that one click may cost; each takes two thirds of a second of one core.
MOST_PROPOSALS = 2
# A box that covers more of the photo than this is the background.
MOST_OF_PHOTO = 0.9
PATCHES = 36  # a side of a square photo
# Similar patches have features at an angle of this cosine or more; apart, DINOv2's patches of
# different things are below 0.4 mostly.
LEAST_SIMILAR, MOST_SIMILAR = 0.35, 0.75
MARGIN = 0.12  # of a region's longer side, around it, for its edges
CACHED_MASKS = 24
AROUND = 0.06  # of the photo's longer side: half a box around points that are like nothing else
# Of a click's distance to the mask's edge, chosen on `python -m benchmarks.clicks`.
DISC, REACH = 1.2, 1.5
SMALL = 0.15  # of the side of a square of a mask's size: corrections that leave it the same object


@dataclass(slots=True, eq=False)
class EmbeddedFeatures:
    """Features of a photo for clicks: proposed boxes, and a grid of DINOv2's features.

    Attributes:
        pixels: uint8 [H, W, 3].
        proposals: boxes of objects, the surest first.
        grid: float32 [rows, columns, C], features of unit length; None without DINOv2.
        masks: of boxes that were cut out, float16 within their windows.
        windows: what points were given in.
    """

    pixels: NDArray[np.uint8]
    proposals: Detections
    grid: NDArray[np.float32] | None
    masks: dict[Box, tuple[int, int, NDArray[np.float16]]] = field(default_factory=dict)
    windows: Windows = field(default_factory=Windows)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def nbytes(self) -> int:
        grid = 0 if self.grid is None else self.grid.nbytes
        mask_bytes = sum(part.nbytes for _, _, part in self.masks.values())
        return self.pixels.nbytes + grid + mask_bytes + self.windows.nbytes


class EmbeddedClicker:
    """A `Clicker` of the embedded models.

    Args:
        detectors: propose boxes.
        masker: cuts objects out of boxes.
        features: DINOv2, or None to go without.
        points: takes points as the mask head learned them, or None to go without.
        workers: views that detectors look at side by side.
    """

    name = "embedded"

    def __init__(
        self,
        detectors: Sequence[Detector],
        masker: Masker,
        features: PatchFeatures | None,
        *,
        points: PointMasker | None = None,
        workers: int = 1,
    ) -> None:
        self._detectors, self._masker = tuple(detectors), masker
        self._points = points
        self._features, self._workers = features, workers

    def look(self, image: Image) -> EmbeddedFeatures:
        """Propose boxes, and compute a grid of features."""
        proposals = detection.detect(self._detectors, image.pixels, silent(), workers=self._workers)
        proposals = proposals.take(proposals.scores >= LEAST_SCORE)
        grid = None
        if self._features is not None:
            grid = self._features.grid(np.ascontiguousarray(image.pixels), PATCHES)
            grid = grid / (np.linalg.norm(grid, axis=-1, keepdims=True) + 1e-6)
        order = np.argsort(-proposals.scores, kind="stable")
        return EmbeddedFeatures(image.pixels, proposals.take(order), grid)

    def release(self) -> None:
        """Do nothing: no weights are on a device."""

    def cut(self, features: EmbeddedFeatures, clicks: Clicks) -> NDArray[np.float32]:
        """A soft mask [H, W] of one object."""
        reach, answered, defining = REACH, 0, 0
        if clicks.mask is not None:
            alpha = clicks.mask.astype(np.float32)
            box = Instance.box_of(clicks.mask) if clicks.mask.any() else None
        elif clicks.box is not None:
            alpha, box = self._of_box(features, clicks.box), clicks.box
        else:
            first = [p for p in clicks.points if p.positive][:1]
            # Learned points correct better than another proposal would.
            requested = clicks.points if self._points is None else first
            defining = 1
            proposal = self._best_proposal(features, requested)
            if proposal is not None:
                alpha, box = proposal
                answered = int(clicks.points[0].positive)
            else:
                box = self._likely_box(features, clicks.points)
                alpha = self._of_box(features, box)
            on_it = [p.point for p in clicks.points if p.positive][:1]
            if not all(_at(alpha, point) >= 0.5 for point in on_it):
                # It is of something else: what is wrong with it may be anything.
                reach, answered = math.inf, 0
        if self._points is not None and box is not None:
            if answered < len(clicks.points):
                answer = self._points.corrected(
                    features.pixels,
                    features.windows,
                    clicks.points,
                    box,
                    self._rivals(features, box),
                    alpha,
                    answered,
                    defining,
                    own=clicks.mask is None,
                )
                alpha = answer if clicks.mask is None else _one_way(answer, alpha, clicks.points)
            reach = REACH
        return obey_points(_corrected(features, alpha, clicks.points, reach), clicks.points)

    def _best_proposal(
        self, features: EmbeddedFeatures, points: Sequence[PointPrompt]
    ) -> tuple[NDArray[np.float32], Box] | None:
        """Cut out the surest box whose mask obeys the points; None where no box's mask is right.

        A mask that is wrong at some of the points is better than none, if the first point is on it:
        such points ask for a correction.
        """
        on_it = [p.point for p in points if p.positive]
        # Boxes that hold all points on it; else those of the first, to which the others add.
        for some in (on_it, on_it[:1]) if len(on_it) > 1 else (on_it,):
            masks = self._proposed_masks(features, some, points)
            if masks:
                return max(masks, key=lambda pair: _obeyed(pair[0], points))
        return None

    def _likely_box(self, features: EmbeddedFeatures, points: Sequence[PointPrompt]) -> Box:
        """Find a box where no detector proposes one."""
        if self._points is not None:
            return self._points.box_of(features.pixels, features.windows, points)
        return _grown_box(features, points)

    def _proposed_masks(
        self,
        features: EmbeddedFeatures,
        on_it: Sequence[tuple[float, float]],
        points: Sequence[PointPrompt],
    ) -> list[tuple[NDArray[np.float32], Box]]:
        """Cut out the surest boxes that hold points; those whose masks hold the first of them."""
        height, width = features.pixels.shape[:2]
        masks, count = [], 0
        for row in features.proposals.boxes.tolist():
            box: Box = (row[0], row[1], row[2], row[3])
            share = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
            if share > MOST_OF_PHOTO or not all(_inside(point, box) for point in on_it):
                continue
            alpha = self._of_box(features, box)
            count += 1
            if all(_at(alpha, point) >= 0.5 for point in on_it[:1]):
                masks.append((alpha, box))
            if count == MOST_PROPOSALS or _obeyed(alpha, points) == len(points):
                break
        return masks

    def _rivals(self, features: EmbeddedFeatures, box: Box) -> list[Box]:
        """Choose proposed boxes of other objects."""
        sure = features.proposals.take(features.proposals.scores >= 0.4).boxes.tolist()
        boxes = [(b[0], b[1], b[2], b[3]) for b in sure]
        return [other for other in boxes if _iou(other, box) < 0.5]

    def _of_box(self, features: EmbeddedFeatures, box: Box) -> NDArray[np.float32]:
        """Cut out what is in a box; earlier masks are cached."""
        with features.lock:
            cached_mask = features.masks.get(box)
        if cached_mask is not None:
            alpha = np.zeros(features.pixels.shape[:2], np.float32)
            y0, x0, part = cached_mask
            alpha[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
            return alpha
        rivals = self._rivals(features, box)
        (alpha,) = self._masker.masks(features.pixels, [box], rivals, silent(), quick=True)
        rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
        if rows.size:
            y0, x0 = int(rows[0]), int(columns[0])
            part = alpha[y0 : rows[-1] + 1, x0 : columns[-1] + 1].astype(np.float16)
            with features.lock:
                features.masks[box] = (y0, x0, part)
                while len(features.masks) > CACHED_MASKS:
                    del features.masks[next(iter(features.masks))]
        return alpha


def _one_way(
    answer: NDArray[np.float32], original: NDArray[np.float32], points: Sequence[PointPrompt]
) -> NDArray[np.float32]:  # [H, W]
    """Keep points beside an object from adding to a given mask, and points on it from taking."""
    if not any(p.positive for p in points):
        return np.minimum(answer, original)
    if all(p.positive for p in points):
        return np.maximum(answer, original)
    return answer


def _inside(point: tuple[float, float], box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def _at(values: NDArray, point: tuple[float, float]) -> float:
    """Return the value [H, W] of the pixel that a point lies in."""
    height, width = values.shape
    return float(values[min(int(point[1]), height - 1), min(int(point[0]), width - 1)])


def _obeyed(alpha: NDArray[np.float32], points: Sequence[PointPrompt]) -> int:
    """Count the points that a mask is right about, or nearly so.

    A point near a mask's edge asks for a small correction, one far from it for another object.
    """
    near = SMALL * float(np.count_nonzero(alpha >= 0.5)) ** 0.5
    return sum(
        (_at(alpha, p.point) >= 0.5) == p.positive or _distance_to_edge(alpha, p) <= near
        for p in points
    )


def _iou(a: Box, b: Box) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(0.0, across) * max(0.0, down)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return intersection / max(1e-6, sum(areas) - intersection)


def _patch(features: EmbeddedFeatures, point: tuple[float, float]) -> tuple[int, int]:
    """Return row and column of the patch that a point lies in."""
    assert features.grid is not None
    rows, columns = features.grid.shape[:2]
    height, width = features.pixels.shape[:2]
    row, column = int(point[1] / height * rows), int(point[0] / width * columns)
    return min(row, rows - 1), min(column, columns - 1)


def _similarity(
    features: EmbeddedFeatures, points: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:  # [rows, columns], cosine to the likeliest of the points
    assert features.grid is not None
    alike = [features.grid @ features.grid[_patch(features, point)] for point in points]
    return np.max(alike, axis=0)


def _region(
    features: EmbeddedFeatures,
    points: Sequence[tuple[float, float]],
    others: Sequence[tuple[float, float]],
    within: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:  # [rows, columns]
    """Find patches connected with the points' that look more like them than like others."""
    alike = _similarity(features, points)
    cut = float(np.clip(_valley(alike), LEAST_SIMILAR, MOST_SIMILAR))
    similar = alike >= cut
    if others:
        similar &= alike > _similarity(features, others)
    if within is not None:
        similar &= within
    for point in points:
        similar[_patch(features, point)] = True
    parts = np.zeros(similar.shape, np.int32)
    ndimage.label(similar, output=parts)
    return np.isin(parts, [parts[_patch(features, point)] for point in points])


def _valley(values: NDArray[np.float32]) -> float:
    """Find the threshold that parts two kinds of values best (Otsu)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    low = sums / np.maximum(below, 1)
    high = (sums[-1] - sums) / np.maximum(above, 1)
    return float(middles[np.argmax(below * above * (low - high) ** 2)])


def _grown_box(features: EmbeddedFeatures, points: Sequence[PointPrompt]) -> Box:
    """Find a box around what looks like what the points are on."""
    height, width = features.pixels.shape[:2]
    on_it = [p.point for p in points if p.positive]
    x, y = [p[0] for p in on_it], [p[1] for p in on_it]
    around = AROUND * max(height, width)
    box = (min(x) - around, min(y) - around, max(x) + around, max(y) + around)
    if features.grid is not None:
        region = _region(features, on_it, [p.point for p in points if not p.positive])
        rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        high, wide = height / region.shape[0], width / region.shape[1]
        grown = (
            columns[0] * wide,
            rows[0] * high,
            (columns[-1] + 1) * wide,
            (rows[-1] + 1) * high,
        )
        if (grown[2] - grown[0]) * (grown[3] - grown[1]) < MOST_OF_PHOTO * width * height:
            box = grown
    return (
        max(0.0, box[0]),
        max(0.0, box[1]),
        min(float(width), box[2]),
        min(float(height), box[3]),
    )


def _corrected(
    features: EmbeddedFeatures,
    alpha: NDArray[np.float32],  # [H, W]
    points: Sequence[PointPrompt],
    reach: float,
) -> NDArray[np.float32]:  # [H, W]
    """Correct a mask around each point that it contradicts.

    A click is mostly in the middle of what is wrong, which begins at the mask's edge: the distance
    to it tells how large that is. A disc a little larger than that changes, and what looks like
    the point within `reach` times it.
    """
    height, width = alpha.shape
    for k, p in enumerate(points):
        if (_at(alpha, p.point) >= 0.5) == p.positive:
            continue
        radius = _distance_to_edge(alpha, p)
        away = _distances((height, width), p.point, 1, 1)
        change = (away <= DISC * radius).astype(np.float32)
        if features.grid is not None:
            rows, columns = features.grid.shape[:2]
            of_object = [q.point for q in points if q.positive != p.positive]
            if not p.positive and not of_object:
                of_object = _typical(features, alpha, p.point)
            same = [q.point for q in points[: k + 1] if q.positive == p.positive]
            inside = _coverage(alpha, (rows, columns))
            free = inside > 0.3 if not p.positive else inside < 0.7
            free &= _distances((rows, columns), p.point, width / columns, height / rows) <= (
                reach * radius
            )
            region = _region(features, [p.point], of_object, free)
            alike = _snap_to_edges(features, region, same)
            change = np.maximum(change, alike * (away <= reach * radius))
        alpha = np.maximum(alpha, change) if p.positive else np.minimum(alpha, 1 - change)
    return alpha


def _distances(
    shape: tuple[int, int], point: tuple[float, float], wide: float, high: float
) -> NDArray[np.float32]:
    """Compute each cell's distance to a point, in pixels; cells are `wide` and `high`."""
    x = (np.arange(shape[1], dtype=np.float32) + 0.5) * wide - point[0]
    y = (np.arange(shape[0], dtype=np.float32) + 0.5) * high - point[1]
    return np.hypot(x, y[:, None])


def _distance_to_edge(alpha: NDArray[np.float32], p: PointPrompt) -> float:
    """Compute how far a point that a mask contradicts is from where the mask is as it says."""
    rows, columns = np.nonzero((alpha >= 0.5) == p.positive)
    if not len(rows):
        return AROUND * max(alpha.shape)
    return float(np.hypot(columns + 0.5 - p.point[0], rows + 0.5 - p.point[1]).min())


def _coverage(alpha: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Compute the share of each patch that a mask covers."""
    return resized(alpha, (shape[1], shape[0]))


def _typical(
    features: EmbeddedFeatures, alpha: NDArray[np.float32], beside: tuple[float, float]
) -> list[tuple[float, float]]:
    """Choose a few points of a mask that look unlike a removed one: these are to stay."""
    assert features.grid is not None
    rows, columns = features.grid.shape[:2]
    height, width = alpha.shape
    inside = _coverage(alpha, (rows, columns)) > 0.8
    alike = np.where(inside, _similarity(features, [beside]), np.inf)
    order = np.argsort(alike, axis=None)[: max(1, int(inside.sum()) // 4)]
    order = [int(k) for k in order if np.isfinite(alike.flat[k])]
    picked = order[:: max(1, len(order) // 6)]
    return [
        ((k % columns + 0.5) * width / columns, (k // columns + 0.5) * height / rows)
        for k in picked
    ]


def _snap_to_edges(
    features: EmbeddedFeatures, region: NDArray[np.bool_], points: Sequence[tuple[float, float]]
) -> NDArray[np.float32]:  # [H, W]
    """Turn a region of patches into a mask that follows the photo's edges."""
    height, width = features.pixels.shape[:2]
    high, wide = height / region.shape[0], width / region.shape[1]
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    more = 1 + MARGIN * max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
    r0, r1 = max(0, int(rows[0] - more)), min(region.shape[0], math.ceil(rows[-1] + 1 + more))
    c0, c1 = max(0, int(columns[0] - more)), min(region.shape[1], math.ceil(columns[-1] + 1 + more))
    y0, y1, x0, x1 = round(r0 * high), round(r1 * high), round(c0 * wide), round(c1 * wide)
    crop = np.ascontiguousarray(features.pixels[y0:y1, x0:x1])
    coarse = np.where(region[r0:r1, c0:c1], 0.85, 0.1).astype(np.float32)
    around = ndimage.binary_dilation(region)[r0:r1, c0:c1].astype(np.float32)
    near = resized(around, (crop.shape[1], crop.shape[0])) > 0.5
    change = np.zeros((height, width), np.float32)
    change[y0:y1, x0:x1] = refine(crop, coarse, near)
    return change
