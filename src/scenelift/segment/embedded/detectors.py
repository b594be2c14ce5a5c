"""Detects boxes: every detector looks at several views, and what they agree on is fused.

One view of a small network misses a third of the objects. Mirroring the photo tells accidents from
objects, four overlapping tiles show small ones larger, and detectors that were built or trained
differently mend each other's gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from scenelift.models.embedded.box_fusion import Detections, fuse
from scenelift.progress import Reporter
from scenelift.types import Box

__all__ = [
    "LONGEST_SIDE",
    "Detector",
    "detect",
    "detect_mirrored",
    "detect_twice",
    "of_agreeing",
    "windows",
]

# The networks see 416 and 300 px; beyond this, resizing views only costs time.
LONGEST_SIDE = 1333
# Enlarging a tile helps also where the networks see every pixel of the whole photo (docs/log.md).
SHORTEST_SIDE_FOR_TILES = 320
TILE = 0.6  # side of a tile in parts of the photo: neighbours share a fifth
# How much of what a detector's score lacks to 1 others add, who together are as sure as can be.
AGREEMENT = 0.4
# A box that ends this near to an inner edge of a tile (in parts of the tile) is a cut-off object.
CUT_OFF = 0.02


# Below this score of one view a box is no evidence of its class.
LEAST_SCORE = 0.2


class Detector(Protocol):
    """Finds boxes in one view of a photo."""

    name: str

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        """Detect boxes inside a window of the photo, in pixels of the photo."""
        ...


def detect(
    detectors: Sequence[Detector],
    pixels: NDArray[np.uint8],  # [H, W, 3]
    report: Reporter,
    *,
    workers: int = 1,
) -> Detections:
    """Detect everything that the detectors find, best first, in pixels of the photo.

    Scores are not probabilities: 0.4 and more is worth showing.

    Args:
        detectors: those that are installed.
        pixels: the photo, of any size.
        report: progress; raises Cancelled between views.
        workers: views that are looked at side by side.
    """
    return detect_twice(detectors, pixels, report, workers=workers)[0]


def detect_twice(
    detectors: Sequence[Detector],
    pixels: NDArray[np.uint8],  # [H, W, 3]
    report: Reporter,
    *,
    workers: int = 1,
) -> tuple[Detections, Detections]:
    """Detect as `detect`, and also with the boxes that no detector believes in.

    The second is for whoever knows better what a box shows: there are four times as many.
    """
    height, width = pixels.shape[:2]
    photo = Pillow.fromarray(pixels)
    photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Pillow.Resampling.BILINEAR)
    mirrored = ImageOps.mirror(photo)
    views = windows(photo.width, photo.height)

    def look(job: tuple[Detector, Box]) -> list[Detections]:
        detector, window = job
        pair = _both_ways(detector, photo, mirrored, window)
        fused = []
        for least in (LEAST_SCORE, 0.0):
            both = fuse([part.take(part.scores >= least) for part in pair], np.mean)
            fused.append(both.take(~_cut_off(both.boxes, window, photo.size)))
        return fused

    jobs = [(detector, window) for detector in detectors for window in views]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        detections = report.track(pool.map(look, jobs), len(jobs), "looking for objects")
        of_jobs = list(detections)
    to_photo = np.array([width / photo.width, height / photo.height] * 2, np.float32)
    sure, faint = (
        _of_detectors([look[kind] for look in of_jobs], len(views), to_photo) for kind in (0, 1)
    )
    return sure, faint


def detect_mirrored(
    detector: Detector, photo: Pillow.Image, mirrored: Pillow.Image, window: Box
) -> Detections:
    """Detect in one window of a photo and of its mirror image, in pixels of the photo."""
    return fuse(_both_ways(detector, photo, mirrored, window), np.mean)


def of_agreeing(of_detectors: Sequence[Detections]) -> Detections:
    """Fuse what several detectors say of the same view."""
    return fuse(of_detectors, _agreement)


def _both_ways(
    detector: Detector, photo: Pillow.Image, mirrored: Pillow.Image, window: Box
) -> list[Detections]:
    """Detect in a window of a photo, and of its mirror image, each in pixels of the photo."""
    plain, (x0, y0, x1, y1) = detector.detect(photo, window), window
    other = detector.detect(mirrored, (photo.width - x1, y0, photo.width - x0, y1))
    boxes = _mirror_boxes(other.boxes, photo.width)
    return [plain, Detections(boxes, other.scores, other.classes)]


def _of_detectors(
    of_jobs: Sequence[Detections], views: int, to_photo: NDArray[np.float32]
) -> Detections:
    """Fuse the views of each detector, then the detectors."""
    of_detectors = [
        fuse(of_jobs[start : start + views], np.max) for start in range(0, len(of_jobs), views)
    ]
    fused = of_agreeing(of_detectors)
    return Detections(fused.boxes * to_photo, fused.scores, fused.classes)


def windows(width: int, height: int) -> list[Box]:
    """List the whole photo, and four overlapping tiles where it is large enough for them."""
    whole = (0.0, 0.0, float(width), float(height))
    if min(width, height) < SHORTEST_SIDE_FOR_TILES:
        return [whole]
    left, top = width * (1 - TILE), height * (1 - TILE)
    tiles = [(x, y, x + width * TILE, y + height * TILE) for y in (0.0, top) for x in (0.0, left)]
    return [whole, *tiles]


def _agreement(scores: NDArray[np.float32]) -> float:  # [detectors]
    """Combine the detectors' scores: the best, raised by others; a miss counts little."""
    best = float(scores.max())
    others = float(scores.sum()) - best
    return best + (1 - best) * AGREEMENT * min(others, 1.0)


def _mirror_boxes(boxes: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored


def _cut_off(
    boxes: NDArray[np.float32],  # [N, 4]
    window: Box,
    size: tuple[int, int],  # width and height of the photo
) -> NDArray[np.bool_]:  # [N]
    """Find boxes that end at an edge of the window which is not an edge of the photo."""
    width, height = size
    x0, y0, x1, y1 = window
    margin = np.array([x1 - x0, y1 - y0] * 2, np.float32) * CUT_OFF
    inner = np.array([x0 > 0, y0 > 0, x1 < width - 0.5, y1 < height - 0.5])
    at_edge = np.abs(boxes - np.array(window, np.float32)) < margin
    return np.any(at_edge & inner, axis=1)
