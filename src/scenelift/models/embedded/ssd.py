"""SSD-MobileNetV2 at 300 px, twice: boxes of 23 Open Images classes, and of COCO's 80.

Shape letters: A anchors (1917), L labels (background, then 23, or COCO's 90 numbers).

Anchors and box coding are those of TensorFlow's object detection API
(https://arxiv.org/abs/1512.02325), with the settings of the models' pipelines: six layers, scales
0.2…0.95, the first layer reduced, coder scales 10, 10, 5, 5. The weights are Google's (Apache-2.0).
A view takes about 10 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image as Pillow

from scenelift.models.embedded.box_fusion import Detections, suppress
from scenelift.models.embedded.classes import CLASSES, COCO, OPEN_IMAGES
from scenelift.types import Box
from scenelift.weights import embedded
from scenelift.weights.onnx_session import session

__all__ = ["SSD", "anchors", "decode_boxes"]

SIDE = 300
STRIDES = (16, 32, 64, 128, 256, 512)
LOWEST_SCALE, HIGHEST_SCALE = 0.2, 0.95
ASPECTS = (1.0, 2.0, 0.5, 3.0, 1 / 3)
CENTRE_CODE, SIZE_CODE = 10.0, 5.0
SCORE_FLOOR = 0.1
DUPLICATE_IOU = 0.6
# COCO's categories have numbers up to 90, of which these were never used.
UNUSED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
NUMBERS = tuple(number for number in range(1, 91) if number not in UNUSED)
# The network for COCO is surer of itself than others: of its boxes of .7 to .9 24 of 31 are right,
# of NanoDet's 20 of 21 (docs/log.md).
COCO_TRUST = 0.8


class SSD:
    """Finds everyday classes in one view.

    Args:
        network: Input `image` float32 [1, 300, 300, 3] in −1…1; outputs `boxes`, of A times 4
            numbers, and `logits` [1, A, L], background first.
        classes: for each column of the logits that counts, which of CLASSES it is.
        trust: factor of the scores, so that they are as sure as other detectors'.
    """

    def __init__(
        self, network: InferenceSession, classes: Mapping[int, int], *, name: str, trust: float = 1
    ) -> None:
        self.name = name
        self._network, self._trust = network, trust
        self._columns = np.array(list(classes))
        self._classes = np.array(list(classes.values()))

    @classmethod
    def of_open_images(cls, weights: Path | None = None) -> SSD:
        """Load the weights for Open Images (boxes, desks, shoes… besides COCO's), on one thread.

        Raises:
            WeightsError: they are missing.
        """
        labels = embedded.path("ssd_oidv4", weights, file="labels.txt").read_text("utf-8")
        named = enumerate(labels.splitlines()[1:], start=1)
        classes = {column: CLASSES.index(OPEN_IMAGES[label]) for column, label in named}
        return cls(session("ssd_oidv4", weights, threads=1), classes, name="ssd-mobilenetv2-oidv4")

    @classmethod
    def of_coco(cls, weights: Path | None = None) -> SSD:
        """Load the weights for COCO, on one thread; raises WeightsError where they are missing."""
        classes = {number: CLASSES.index(n) for number, n in zip(NUMBERS, COCO, strict=True)}
        network = session("ssd_coco", weights, threads=1)
        return cls(network, classes, name="ssdlite-mobilenetv2-coco", trust=COCO_TRUST)

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        """Detect boxes inside a window of the photo, in pixels of the photo."""
        x0, y0, x1, y1 = window
        view = photo.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, box=window)
        network_input = np.asarray(view, np.float32)[None] / 127.5 - 1
        outputs = self._network.run(["boxes", "logits"], {"image": network_input})
        codes, logits = (np.asarray(output)[0] for output in outputs)
        codes = codes.reshape(-1, 4)
        scores = 1 / (1 + np.exp(-logits[:, self._columns]))  # [A, classes]
        score = scores.max(1)
        (rows,) = np.nonzero(score >= SCORE_FLOOR)
        boxes = decode_boxes(codes[rows], anchors()[rows])
        best = self._classes[scores[rows].argmax(1)]
        sure = (self._trust * score[rows]).astype(np.float32)
        detections = suppress(Detections(boxes, sure, best), DUPLICATE_IOU)
        to_photo = np.array([x1 - x0, y1 - y0] * 2, np.float32)
        boxes = detections.boxes * to_photo + np.array([x0, y0, x0, y0], np.float32)
        return Detections(boxes, detections.scores, detections.classes).clipped(window)


@cache
def anchors() -> NDArray[np.float32]:
    """List the prior boxes [A, 4]: centre x, y, width, height, in fractions of the input."""
    last = len(STRIDES) - 1
    scales = [
        LOWEST_SCALE + (HIGHEST_SCALE - LOWEST_SCALE) * i / last for i in range(len(STRIDES))
    ] + [1.0]
    priors = []
    for layer, stride in enumerate(STRIDES):
        scale, following = scales[layer], scales[layer + 1]
        if layer == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            shapes = [(scale, aspect) for aspect in ASPECTS]
            shapes.append((math.sqrt(scale * following), 1.0))
        cells = math.ceil(SIDE / stride)
        for row in range(cells):
            for column in range(cells):
                priors += [
                    (
                        (column + 0.5) / cells,
                        (row + 0.5) / cells,
                        size * math.sqrt(aspect),
                        size / math.sqrt(aspect),
                    )
                    for size, aspect in shapes
                ]
    return np.array(priors, np.float32)


def decode_boxes(
    codes: NDArray[np.float32],  # [N, 4]: offsets of centre y, x, log of height, width
    priors: NDArray[np.float32],  # [N, 4]: centre x, y, width, height
) -> NDArray[np.float32]:  # [N, 4]: x0, y0, x1, y1
    """Decode the network's codes into boxes, in the units of the priors."""
    centre = codes[:, 1::-1] / CENTRE_CODE * priors[:, 2:] + priors[:, :2]
    half = np.exp(codes[:, :1:-1] / SIZE_CODE) * priors[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], 1).astype(np.float32)
