"""Cuts objects out of boxes: a trained head's opinion, joined by one learned from this photo.

The head (`mask_head`) has the say. Where the other opinion means the same object, the mean of both
is better than either on photos: patches outside a box are background, those in its middle probably
the object; a small classifier on DINOv2's features learns the difference in this one photo, then
relabels the box and learns again; what stands out to U²-Net-p joins in. The mask is then drawn to
the photo's edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from scenelift.errors import WeightsError
from scenelift.models.embedded.features import PatchFeatures
from scenelift.models.embedded.mask_head import MaskHead
from scenelift.models.embedded.photo_tokens import PhotoTokens
from scenelift.models.embedded.point_head import PointHead, takes_points
from scenelift.progress import Reporter
from scenelift.segment.embedded.points import PointMasker
from scenelift.segment.embedded.refine import over, refine, resized
from scenelift.segment.embedded.subject import SubjectFinder
from scenelift.types import Box

__all__ = ["BoxMasker"]

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in whole pixels

MARGIN = 0.3  # of the box's longer side is shown around it: the background to learn from
PATCHES = 34  # a side of a square crop
# Chosen among two dozen combinations on `python -m benchmarks.masks`.
DIMENSIONS = 16  # principal components of the features that the classifier sees
ROUNDS = 5
BACKGROUND_IN_BOX = 0.6  # weight of background in the box against that around it
# An object cut off by the photo's border goes on beyond it, by so much of the box's side.
CONTINUED = 0.3
AT_BORDER = 0.02  # of the photo's side: a box that ends nearer to the border is cut off
SPREAD = 0.3  # standard deviation of the guess that objects fill the middle of boxes
OVERHANG = 0.03  # of the longer side that a mask may reach over its box
AGREEMENT = 0.5  # IoU from which the two models are taken to mean the same object


class BoxMasker:
    """Cuts objects out of their boxes.

    Args:
        features: DINOv2.
        subject: U²-Net-p, or None to go without.
        head: the trained mask head, or None to go without.
    """

    def __init__(
        self,
        features: PatchFeatures,
        subject: SubjectFinder | None = None,
        head: MaskHead | None = None,
    ) -> None:
        self.features = features
        self._subject = subject
        self._head = head

    @classmethod
    def load(cls, weights: Path | None, threads: int = 0) -> BoxMasker:
        """Load the installed weights; those of U²-Net-p may be missing.

        Raises:
            WeightsError: those of DINOv2 are.
        """
        features, head = PatchFeatures.load(weights, threads), MaskHead.load(weights, threads)
        try:
            return cls(features, SubjectFinder.load(weights, threads), head)
        except WeightsError:
            return cls(features, head=head)

    @property
    def points(self) -> PointMasker | None:
        """The same mask head, with points, if it learned them."""
        if self._head is None or not takes_points(self._head.head):
            return None
        return PointMasker(PointHead(self._head.head))

    def photo_tokens(self, pixels: NDArray[np.uint8]) -> PhotoTokens | None:
        """Begin to look at a photo, for quick masks; None without a head."""
        return None if self._head is None else self._head.photo_tokens(pixels)

    def masks(
        self,
        pixels: NDArray[np.uint8],
        boxes: Sequence[Box],
        rivals: Sequence[Box],
        report: Reporter,
        *,
        photo_tokens: PhotoTokens | None = None,
    ) -> list[NDArray[np.float32]]:
        """Compute soft masks of the objects in some boxes.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            boxes: one an object, in pixels; what lies over the border is ignored.
            rivals: boxes of further objects, whose middles are none of these objects.
            report: progress, one step a box; raises Cancelled between boxes.
            photo_tokens: for clicks, which somebody waits for: look at each box once, or not at all
                where it was looked at, with the head's own features and without U²-Net-p: masks as
                good on photos (`python -m benchmarks.masks --quick`) for two fifths of the work.
                Without a head it changes nothing.

        Returns:
            float32 [H, W] in 0…1 for each box, 0 outside it but for a small overhang.
        """
        masks = []
        # The matrices are tiny: on busy cores, threads that wait for each other cost more than
        # the products themselves (half of the time on two cores).
        with threadpool_limits(limits=1, user_api="blas"):
            for index, box in enumerate(report.track(boxes, len(boxes), "cutting out objects")):
                others = [*boxes[:index], *boxes[index + 1 :], *rivals]
                masks.append(self._mask(pixels, box, others, report, photo_tokens))
        return masks

    def _mask(
        self,
        pixels: NDArray[np.uint8],
        box: Box,
        others: Sequence[Box],
        report: Reporter,
        photo_tokens: PhotoTokens | None,
    ) -> NDArray[np.float32]:
        mask = np.zeros(pixels.shape[:2], np.float32)
        box = _clipped(box, pixels.shape[1], pixels.shape[0])
        if box[0] >= box[2] or box[1] >= box[3]:
            return mask
        x0, y0, x1, y1 = window = _window(box, MARGIN, pixels.shape[1], pixels.shape[0])
        crop = np.ascontiguousarray(pixels[y0:y1, x0:x1])
        whole = _continued(box, pixels.shape[1], pixels.shape[0])
        allowed = _allowed(window, box)
        if self._head is not None and photo_tokens is not None:
            view = self._head.look(photo_tokens, box, others)
            seed = _seed(view.features.shape[:2], view.window, box, whole, others)
            grown = resized(_grow(view.features, seed), view.chance.shape).clip(0, 1)
            coarse = _agreed(
                over(view.chance, view.window, window), over(grown, view.window, window), allowed
            )
        else:
            grid = self.features.grid(crop, PATCHES)
            coarse = _grow(grid, _seed(grid.shape[:2], window, box, whole, others))
            if self._subject is not None:
                coarse = _agreed(coarse, self._subject.alpha(crop, report), allowed)
            if self._head is not None:
                view = self._head.look(self._head.photo_tokens(pixels), box, others)
                learned = over(view.chance, view.window, window)
                size = (learned.shape[1], learned.shape[0])
                coarse = _agreed(learned, resized(coarse, size).clip(0, 1), allowed)
        mask[y0:y1, x0:x1] = refine(crop, coarse, allowed)
        return mask


def _clipped(box: Box, width: int, height: int) -> Box:
    x0, y0, x1, y1 = box
    return max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))


def _window(box: Box, margin: float, width: int, height: int) -> Window:
    """Return the box and its surroundings in whole pixels of the photo."""
    x0, y0, x1, y1 = box
    more = margin * max(x1 - x0, y1 - y0)
    return (
        max(0, math.floor(x0 - more)),
        max(0, math.floor(y0 - more)),
        min(width, math.ceil(x1 + more)),
        min(height, math.ceil(y1 + more)),
    )


def _continued(box: Box, width: int, height: int) -> Box:
    """Continue the box as it may go on outside the photo."""
    x0, y0, x1, y1 = box
    more_x, more_y = CONTINUED * (x1 - x0), CONTINUED * (y1 - y0)
    near_x, near_y = AT_BORDER * width, AT_BORDER * height
    return (
        x0 - more_x * (x0 < near_x),
        y0 - more_y * (y0 < near_y),
        x1 + more_x * (x1 > width - near_x),
        y1 + more_y * (y1 > height - near_y),
    )


def _allowed(window: Window, box: Box) -> NDArray[np.bool_]:
    """Return the pixels of a window that the mask of a box may cover."""
    x0, y0, x1, y1 = box
    over = max(1.0, OVERHANG * max(x1 - x0, y1 - y0))
    x = np.arange(window[0], window[2]) + 0.5
    y = np.arange(window[1], window[3]) + 0.5
    columns, rows = (x > x0 - over) & (x < x1 + over), (y > y0 - over) & (y < y1 + over)
    return rows[:, None] & columns


def _seed(
    shape: tuple[int, ...], window: Box, box: Box, whole: Box, others: Sequence[Box]
) -> NDArray[np.float64]:  # [rows, columns]
    """Guess the chance that a patch is the object: 0 outside the box."""
    x = window[0] + (np.arange(shape[1]) + 0.5) / shape[1] * (window[2] - window[0])
    y = (window[1] + (np.arange(shape[0]) + 0.5) / shape[0] * (window[3] - window[1]))[:, None]
    inside = (x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])
    if not inside.any():  # a box between the centres of patches
        inside = abs(x - (box[0] + box[2]) / 2) <= abs(x - (box[0] + box[2]) / 2).min()
        inside = inside & (abs(y - (box[1] + box[3]) / 2) <= abs(y - (box[1] + box[3]) / 2).min())
    chance = 0.25 + 0.65 * _bump(x, y, whole)
    area = _area(box)
    for other in others:
        if _area(other) < area:  # a larger one may well be behind
            chance = chance * (1 - 0.7 * _bump(x, y, other))
    return np.where(inside, chance, 0)


def _bump(x: NDArray, y: NDArray, box: Box) -> NDArray:
    """Compute weights that are 1 in the middle of a box and fall off towards its edges."""
    u = (x - (box[0] + box[2]) / 2) / (box[2] - box[0])
    v = (y - (box[1] + box[3]) / 2) / (box[3] - box[1])
    return np.exp(-(u**2 + v**2) / (2 * SPREAD**2))


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _grow(
    grid: NDArray[np.float32],  # [rows, columns, C]
    seed: NDArray[np.float64],  # [rows, columns], 0 outside the box
) -> NDArray[np.float32]:  # [rows, columns]
    """Learn the object's look from a first guess, relabel, and learn again."""
    x = _principal(grid.reshape(-1, grid.shape[-1]))
    first = chance = seed.ravel()
    inside = first > 0
    labels = np.r_[np.ones(len(x)), np.zeros(len(x))]
    learned = chance
    for _ in range(ROUNDS):
        # Every patch is an example of both, in parts.
        weights = np.r_[
            np.where(inside, chance**2, 0),
            np.where(inside, BACKGROUND_IN_BOX * (1 - chance) ** 2, 1),
        ]
        learned = _logistic(np.vstack([x, x]), labels, weights)(x)
        chance = np.where(inside, 0.75 * learned + 0.25 * first, 0)
    return (learned * inside).reshape(seed.shape).astype(np.float32)


def _principal(x: NDArray) -> NDArray[np.float64]:
    """Find the strongest components of some vectors [N, C], scaled together to unit variance."""
    x = x.astype(np.float64) - x.mean(0)
    _, axes = np.linalg.eigh(x.T @ x)
    projected = x @ axes[:, -DIMENSIONS:]
    return projected / (projected.std() + 1e-6)


def _logistic(x: NDArray, labels: NDArray, weights: NDArray, ridge: float = 1e-2):
    """Fit a weighted logistic regression by Newton's method; returns the fitted chance."""
    x = np.hstack([x, np.ones((len(x), 1))])
    weights = weights / weights.mean()
    penalty = ridge * weights.sum()
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = _sigmoid(x @ beta)
        gradient = x.T @ (weights * (p - labels)) + penalty * beta
        curvature = (x.T * (weights * p * (1 - p) + 1e-6)) @ x + penalty * np.eye(len(beta))
        step = np.linalg.solve(curvature, gradient)
        beta -= step
        if abs(step).max() < 1e-4:
            break
    return lambda z: _sigmoid(np.hstack([z, np.ones((len(z), 1))]) @ beta)


def _sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x.clip(-30, 30)))


def _agreed(
    coarse: NDArray[np.float32],  # [h, w]
    salient: NDArray[np.float32],  # [H, W]
    allowed: NDArray[np.bool_],  # [H, W]
) -> NDArray[np.float32]:  # [H, W]
    """Average two opinions if they mean the same object, else return the first."""
    height, width = salient.shape
    first = resized(coarse, (width, height)).clip(0, 1)
    a, b = (first > 0.5) & allowed, (salient > 0.5) & allowed
    same = (a & b).sum() > AGREEMENT * (a | b).sum()
    return np.where(same, (first + salient) / 2, first).astype(np.float32)
