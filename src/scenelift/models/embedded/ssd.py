"""SSD-MobileNetV2 at 300 px: boxes of 23 Open Images classes in about 10 ms a view.

Shape letters: A anchors (1917), L labels (24: background, then the 23).

Anchors and box coding are those of TensorFlow's object detection API
(https://arxiv.org/abs/1512.02325), with the settings of the model's pipeline: six layers, scales
0.2…0.95, the first layer reduced, coder scales 10, 10, 5, 5. The weights are Google's (Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image as Pillow

from scenelift.models.embedded.box_fusion import Detections, suppress
from scenelift.models.embedded.classes import CLASSES, OPEN_IMAGES
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


class SSD:
    """Finds everyday classes of Open Images (boxes, desks, shoes… besides COCO's) in one view.

    Args:
        network: Input `image` float32 [1, 300, 300, 3] in −1…1; outputs `boxes`
            [1, A, 4] and `logits` [1, A, L].
        labels: the labels file, one a line, background first.
    """

    name = "ssd-mobilenetv2-oidv4"

    def __init__(self, network: InferenceSession, labels: Sequence[str]) -> None:
        self._network = network
        # Column of the network's output -> index into CLASSES.
        self._classes = np.array([CLASSES.index(OPEN_IMAGES[label]) for label in labels[1:]])

    @classmethod
    def load(cls, weights: Path | None = None) -> SSD:
        """Load the installed weights, on one thread; raises WeightsError where they are missing."""
        labels = embedded.path("ssd_oidv4", weights, file="labels.txt").read_text("utf-8")
        return cls(session("ssd_oidv4", weights, threads=1), labels.splitlines())

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        """Detect boxes inside a window of the photo, in pixels of the photo."""
        x0, y0, x1, y1 = window
        view = photo.resize((SIDE, SIDE), Pillow.Resampling.BILINEAR, box=window)
        network_input = np.asarray(view, np.float32)[None] / 127.5 - 1
        outputs = self._network.run(["boxes", "logits"], {"image": network_input})
        codes, logits = (np.asarray(output)[0] for output in outputs)
        scores = 1 / (1 + np.exp(-logits[:, 1:]))  # [A, L - 1], without the background
        score = scores.max(1)
        (rows,) = np.nonzero(score >= SCORE_FLOOR)
        boxes = decode_boxes(codes[rows], anchors()[rows])
        detections = Detections(boxes, score[rows], self._classes[scores[rows].argmax(1)])
        detections = suppress(detections, DUPLICATE_IOU)
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
