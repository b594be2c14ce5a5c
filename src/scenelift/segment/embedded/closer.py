"""Looks again at single boxes: the detectors see each of them enlarged, with what is around it.

In the whole photo a small or half-hidden thing gets a few cells of a detector, which then often
takes it for something else. What fills the view is judged better, so a second look tells which of
the weak boxes are worth something (docs/log.md). It takes a quarter of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from scenelift.models.embedded.box_fusion import Detections, iou
from scenelift.progress import Reporter
from scenelift.segment.embedded.detectors import (
    LONGEST_SIDE,
    Detector,
    detect_mirrored,
    of_agreeing,
)
from scenelift.types import Box

__all__ = ["CloserLook", "Scores"]

# A window's side, in longer sides of the box, and its least in pixels.
AROUND, NARROWEST = 2.5, 112
SAME = 0.5  # IoU from which a box of the second look is the one that it is about
# Looks at one photo: a crowd must not take minutes.
MOST_BOXES = 12


class Scores(NamedTuple):
    """What the detectors say of a box, looked at closely: 0…1 each.

    Attributes:
        own: best score of the classes that were asked for.
        other: best score of any other class.
    """

    own: float
    other: float


class CloserLook:
    """The second looks at one photo; the same box is looked at once.

    Args:
        detectors: those that saw the whole photo.
        pixels: uint8 [H, W, 3], sRGB.
        report: progress; raises Cancelled between boxes.
        workers: views that are looked at side by side.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        pixels: NDArray[np.uint8],
        report: Reporter,
        *,
        workers: int = 1,
    ) -> None:
        self._detectors, self._pixels, self._report = detectors, pixels, report
        self._workers = workers
        self._by_box: dict[Box, Detections] = {}

    def scores(self, box: Box, classes: Sequence[int]) -> Scores | None:
        """Look at a box in pixels of the photo; None after too many other boxes.

        Args:
            classes: those that it may show.
        """
        if box not in self._by_box:
            if len(self._by_box) == MOST_BOXES:
                return None
            self._report.check()
            self._by_box[box] = self._look(box)
        detections = self._by_box[box]
        here = detections.take(iou(detections.boxes, np.array(box, np.float32)) > SAME)
        of_classes = np.isin(here.classes, classes)
        return Scores(
            own=float(here.scores[of_classes].max(initial=0)),
            other=float(here.scores[~of_classes].max(initial=0)),
        )

    def _look(self, box: Box) -> Detections:
        photo, mirrored = self._views
        to_view = np.array([photo.width, photo.height], np.float64) / self._pixels.shape[1::-1]
        x0, y0, x1, y1 = (float(edge) for edge in np.array(box) * np.tile(to_view, 2))
        side = max(AROUND * max(x1 - x0, y1 - y0), NARROWEST)
        left, right = _span((x0 + x1) / 2, side, photo.width)
        top, bottom = _span((y0 + y1) / 2, side, photo.height)
        window = (left, top, right, bottom)
        with ThreadPoolExecutor(max_workers=self._workers) as pool:
            each = pool.map(
                lambda detector: detect_mirrored(detector, photo, mirrored, window),
                self._detectors,
            )
            fused = of_agreeing(list(each))
        boxes = fused.boxes / np.tile(to_view, 2).astype(np.float32)
        return Detections(boxes, fused.scores, fused.classes)

    @cached_property
    def _views(self) -> tuple[Pillow.Image, Pillow.Image]:
        """The photo and its mirror image, larger than the first look needs them."""
        photo = Pillow.fromarray(self._pixels)
        photo.thumbnail((2 * LONGEST_SIDE, 2 * LONGEST_SIDE), Pillow.Resampling.BILINEAR)
        return photo, ImageOps.mirror(photo)


def _span(middle: float, side: float, length: int) -> tuple[float, float]:
    """Place a window along one axis, within the photo."""
    side = min(side, float(length))
    low = min(max(middle - side / 2, 0.0), length - side)
    return low, low + side
