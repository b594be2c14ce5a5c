"""Clicks of the embedded models: sure boxes first, else points as the mask head learned them.

The surest box that the detectors propose and whose mask holds the first point is taken; where there
is none, what the mask head says that the point is on: roughly in the whole photo, then closely.
Further points correct it one after the other. A point that the mask then still contradicts changes
what is near it and of its colour: never so much that the object is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.progress import silent
from scenelift.segment.clicks import Clicks, obey_points
from scenelift.segment.embedded import detectors as detection
from scenelift.segment.embedded.detectors import Detector
from scenelift.segment.embedded.points import SMALL, Answer, PointMasker
from scenelift.types import Box, Image, Instance, PointPrompt

if TYPE_CHECKING:
    from scenelift.segment.embedded.segmenter import Masker

__all__ = ["EmbeddedClicker", "EmbeddedFeatures"]

# Proposals that are believed before the learned points: the score at least, and the share of the
# photo at most. On `python -m benchmarks.clicks --scenes` weaker and larger ones were mostly wrong.
SURE, MOST_OF_PHOTO = 0.5, 0.6
RIVAL = 0.4  # score from which a proposal is another object
# Masks that one click may cost; each takes half a second of one core.
MOST_PROPOSALS = 2
CACHED_MASKS, CACHED_ANSWERS = 24, 32  # .2 MB an answer
DISC = 1.2  # of a click's distance to the mask's edge: what it may change by colour
COLOURS_APART = 25.0, 90.0  # of 442: what is nearer is one colour, what is farther is two


@dataclass(slots=True, eq=False)
class EmbeddedFeatures:
    """Features of a photo for clicks: proposed boxes, and what the backbone said of its windows.

    Attributes:
        proposals: boxes of objects, the surest first.
        photo_tokens: of the photo.
        masks: of boxes that were cut out, float16 within their windows.
        answers: to points, by what they began with and the points that are answered.
    """

    proposals: Detections
    photo_tokens: PhotoTokens
    masks: dict[Box, tuple[int, int, NDArray[np.float16]]] = field(default_factory=dict)
    answers: dict[Hashable, Answer] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The photo [H, W, 3]."""
        return self.photo_tokens.pixels

    @property
    def nbytes(self) -> int:
        with self.lock:
            mask_bytes = sum(part.nbytes for _, _, part in self.masks.values())
            answer_bytes = sum(answer.chance.nbytes for answer in self.answers.values())
        return self.pixels.nbytes + self.photo_tokens.nbytes + mask_bytes + answer_bytes

    def answer(self, key: Hashable) -> Answer | None:
        """Return the answer that is kept for some points."""
        with self.lock:
            return self.answers.get(key)

    def keep_answer(self, key: Hashable, answer: Answer) -> None:
        """Keep an answer, and no more than the latest."""
        with self.lock:
            self.answers[key] = answer
            while len(self.answers) > CACHED_ANSWERS:
                del self.answers[next(iter(self.answers))]


class EmbeddedClicker:
    """A `Clicker` of the embedded models.

    Args:
        detectors: propose boxes.
        masker: cuts objects out of boxes.
        points: takes points as the mask head learned them.
        workers: views that detectors look at side by side.
    """

    name = "embedded"

    def __init__(
        self,
        detectors: Sequence[Detector],
        masker: Masker,
        points: PointMasker,
        *,
        workers: int = 1,
    ) -> None:
        self._detectors, self._masker = tuple(detectors), masker
        self._points, self._workers = points, workers

    def look(self, image: Image) -> EmbeddedFeatures:
        """Propose boxes, and look at the whole photo."""
        proposals = detection.detect(self._detectors, image.pixels, silent(), workers=self._workers)
        proposals = proposals.take(proposals.scores >= RIVAL)
        order = np.argsort(-proposals.scores, kind="stable")
        photo_tokens = self._points.photo_tokens(image.pixels)
        photo_tokens.at_photo()
        return EmbeddedFeatures(proposals.take(order), photo_tokens)

    def release(self) -> None:
        """Do nothing: no weights are on a device."""

    def cut(self, features: EmbeddedFeatures, clicks: Clicks) -> NDArray[np.float32]:
        """A soft mask [H, W] of one object."""
        if clicks.mask is not None:
            alpha = self._of_mask(features, clicks.mask, clicks.points)
        else:
            alpha = self._of_points(features, clicks.box, clicks.points)
        return obey_points(_corrected(features.pixels, alpha, clicks.points), clicks.points)

    def _of_mask(
        self,
        features: EmbeddedFeatures,
        mask: NDArray[np.bool_],
        points: Sequence[PointPrompt],
    ) -> NDArray[np.float32]:  # [H, W]
        """Correct a mask that was given; no answer is kept."""
        alpha = mask.astype(np.float32)
        if not mask.any():
            return alpha
        answer = self._points.begin(alpha, Instance.box_of(mask))
        for count in range(1, len(points) + 1):
            answer = self._next(features, answer, points[:count])
        return _one_way(self._points.drawn(features.pixels, answer), alpha, points)

    def _of_points(
        self, features: EmbeddedFeatures, box: Box | None, points: Sequence[PointPrompt]
    ) -> NDArray[np.float32]:  # [H, W]
        """Cut out a box, or else what the first point is on, and correct it by the other points."""
        on_it = [p for p in points if p.positive] or [*points]
        if box is not None:
            start, answered = (self._of_box(features, box), box), 0
        else:
            start = self._sure_proposal(features, on_it[0])
            # The answer to the first point is behind it, unless a point beside it came before.
            answered = int(points[0].positive)
        if start is None:
            answer = self._on_photo(features, on_it[0])
        elif answered == len(points):
            return start[0]
        else:
            answer = self._points.begin(*start)
        for count in range(answered + 1, len(points) + 1):
            some = tuple(points[:count])
            key = box, on_it[0], some
            cached_answer = features.answer(key)
            if cached_answer is None:
                defining = box is None and count == 1
                cached_answer = self._next(features, answer, some, defining=defining)
                features.keep_answer(key, cached_answer)
            answer = cached_answer
        return self._points.drawn(features.pixels, answer)

    def _next(
        self,
        features: EmbeddedFeatures,
        answer: Answer,
        points: Sequence[PointPrompt],
        *,
        defining: bool = False,
    ) -> Answer:
        """Correct an answer by the last of some points."""
        rivals = _rivals(features, answer.box)
        return self._points.corrected(
            features.photo_tokens, answer, points, rivals, defining=defining
        )

    def _on_photo(self, features: EmbeddedFeatures, point: PointPrompt) -> Answer:
        """Cut out what a point is on, wherever in the photo that may be."""
        answer = features.answer(point)
        if answer is None:
            photo_tokens = features.photo_tokens
            box = self._points.box_of(photo_tokens, point)
            answer = self._points.first(photo_tokens, box, _rivals(features, box), point)
            features.keep_answer(point, answer)
        return answer

    def _sure_proposal(
        self, features: EmbeddedFeatures, point: PointPrompt
    ) -> tuple[NDArray[np.float32], Box] | None:
        """Cut out the surest box whose mask holds a point; None where there is none."""
        height, width = features.pixels.shape[:2]
        sure = features.proposals.take(features.proposals.scores >= SURE)
        count = 0
        for row in sure.boxes.tolist():
            box: Box = (row[0], row[1], row[2], row[3])
            share = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
            if share > MOST_OF_PHOTO or not _inside(point.point, box):
                continue
            alpha = self._of_box(features, box)
            if alpha[_pixel(point, height, width)] >= 0.5:
                return alpha, box
            count += 1
            if count == MOST_PROPOSALS:
                break
        return None

    def _of_box(self, features: EmbeddedFeatures, box: Box) -> NDArray[np.float32]:
        """Cut out what is in a box; earlier masks are cached."""
        pixels = features.pixels
        with features.lock:
            cached_mask = features.masks.get(box)
        if cached_mask is not None:
            alpha = np.zeros(pixels.shape[:2], np.float32)
            y0, x0, part = cached_mask
            alpha[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
            return alpha
        rivals = _rivals(features, box)
        (alpha,) = self._masker.masks(
            pixels, [box], rivals, silent(), photo_tokens=features.photo_tokens
        )
        rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
        if rows.size:
            y0, x0 = int(rows[0]), int(columns[0])
            part = alpha[y0 : rows[-1] + 1, x0 : columns[-1] + 1].astype(np.float16)
            with features.lock:
                features.masks[box] = (y0, x0, part)
                while len(features.masks) > CACHED_MASKS:
                    del features.masks[next(iter(features.masks))]
        return alpha


def _rivals(features: EmbeddedFeatures, box: Box) -> list[Box]:
    """Choose proposed boxes of other objects."""
    boxes = features.proposals.boxes
    apart = boxes[iou(boxes, np.array(box, np.float32)) < 0.5]
    return [(b[0], b[1], b[2], b[3]) for b in apart.tolist()]


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


def _corrected(
    pixels: NDArray[np.uint8],
    alpha: NDArray[np.float32],  # [H, W]
    points: Sequence[PointPrompt],
) -> NDArray[np.float32]:  # [H, W]
    """Correct a mask around each point that it contradicts.

    A click is mostly in the middle of what is wrong, which begins at the mask's edge: the distance
    to it tells how large that is. Not where it is a part that stands off, as a leg behind a box: so
    no more changes than a small correction may.
    """
    alpha = alpha.copy()
    for p in points:
        inside = alpha >= 0.5
        if inside[_pixel(p, *pixels.shape[:2])] == p.positive or not inside.any():
            continue
        rows, columns = np.nonzero(inside if p.positive else ~inside)
        to_edge = np.hypot(columns + 0.5 - p.point[0], rows + 0.5 - p.point[1]).min(initial=np.inf)
        radius = DISC * min(float(to_edge), SMALL * float(np.count_nonzero(inside)) ** 0.5)
        alpha[_same_colour(pixels, p, radius)] = p.positive
    return alpha


def _pixel(p: PointPrompt, height: int, width: int) -> tuple[int, int]:
    """Return row and column of the pixel that a point lies in."""
    return min(int(p.point[1]), height - 1), min(int(p.point[0]), width - 1)


def _same_colour(
    pixels: NDArray[np.uint8], p: PointPrompt, radius: float
) -> NDArray[np.bool_]:  # [H, W]
    """Find what is connected with a point by its colour, of what is near it."""
    row, column = _pixel(p, *pixels.shape[:2])
    reach = int(radius) + 1
    y0, x0 = max(0, row - reach), max(0, column - reach)
    part = (slice(y0, row + reach + 1), slice(x0, column + reach + 1))
    picture = pixels[part].astype(np.float32)
    colours = np.zeros_like(picture)
    ndimage.gaussian_filter(picture, (0.7, 0.7, 0), output=colours)
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    near = np.hypot(x + (x0 + 0.5 - p.point[0]), y + (y0 + 0.5 - p.point[1])) <= radius
    steps = np.linalg.norm(colours - colours[row - y0, column - x0], axis=-1)
    cut = float(np.clip(threshold_otsu(steps[near]), *COLOURS_APART)) if near.any() else 0.0
    numbers = np.zeros(near.shape, np.int32)
    ndimage.label((steps <= cut) & near, output=numbers)
    alike = (numbers > 0) & (numbers == numbers[row - y0, column - x0])
    change = np.zeros(pixels.shape[:2], bool)
    change[part] = np.asarray(ndimage.binary_closing(alike, iterations=2), bool) & near
    change[row, column] = True
    return change
