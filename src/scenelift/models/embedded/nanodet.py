"""NanoDet-g at 416 px: boxes of COCO's 80 classes in about 20 ms a view.

Shape letters: A anchors of one level, K classes (80).

Decoding after NanoDet (https://github.com/RangiLyu/nanodet, Apache-2.0): an anchor-free head on
strides 8, 16 and 32. Each cell gives one score a class and, for each side of its box, a
distribution over 0…10 strides ("generalised focal loss", https://arxiv.org/abs/2006.04388); the
distance to that side is the distribution's mean.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image as Pillow

from scenelift.models.embedded.box_fusion import Detections, suppress
from scenelift.types import Box
from scenelift.weights.onnx_session import session

__all__ = ["NanoDet", "decode_level"]

SIDE = 416
STRIDES = (8, 16, 32)
BINS = 11
# The network saw blue, green, red. Feeding it RGB in 0…1 loses a good part of the objects.
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
STD = np.array([57.375, 57.12, 58.395], np.float32)
SCORE_FLOOR = 0.1
DUPLICATE_IOU = 0.6


class NanoDet:
    """Finds the 80 classes of COCO in one view.

    Args:
        network: Input `image` float32 [1, 3, 416, 416]; for each stride s, outputs
            `scores_s` [1, A, 80] and `bins_s` [1, A, 44].
    """

    name = "nanodet-g"

    def __init__(self, network: InferenceSession) -> None:
        self._network = network

    @classmethod
    def load(cls, weights: Path | None = None) -> NanoDet:
        """Load the installed weights; raises WeightsError where they are missing.

        It runs on one thread: a second one takes as much time as it gives to a network this small.
        Views are looked at side by side instead.
        """
        return cls(session("nanodet", weights, threads=1))

    def detect(self, photo: Pillow.Image, window: Box) -> Detections:
        """Detect boxes inside a window of the photo, in pixels of the photo."""
        x0, y0, x1, y1 = window
        scale = min(SIDE / (x1 - x0), SIDE / (y1 - y0))
        width = max(1, round((x1 - x0) * scale))
        height = max(1, round((y1 - y0) * scale))
        view = photo.resize((width, height), Pillow.Resampling.BILINEAR, box=window)
        canvas = np.zeros((SIDE, SIDE, 3), np.float32)  # black around it, as in training
        canvas[:height, :width] = np.asarray(view)[..., ::-1]
        network_input = np.ascontiguousarray(((canvas - MEAN) / STD).transpose(2, 0, 1)[None])

        names = [f"{kind}_{stride}" for stride in STRIDES for kind in ("scores", "bins")]
        outputs = [np.asarray(o) for o in self._network.run(names, {"image": network_input})]
        levels = [
            decode_level(scores[0], bins[0], stride)
            for scores, bins, stride in zip(outputs[::2], outputs[1::2], STRIDES, strict=True)
        ]
        detections = suppress(Detections.concatenate(levels), DUPLICATE_IOU)
        to_photo = np.array([(x1 - x0) / width, (y1 - y0) / height] * 2, np.float32)
        boxes = detections.boxes * to_photo + np.array([x0, y0, x0, y0], np.float32)
        return Detections(boxes, detections.scores, detections.classes).clipped(window)


def decode_level(
    scores: NDArray[np.float32],  # [A, K] in 0…1
    bins: NDArray[np.float32],  # [A, 4 * BINS] logits: left, top, right, bottom
    stride: int,
) -> Detections:
    """Decode one level's boxes above the score floor, in pixels of the network's input."""
    best = scores.argmax(1)
    score = scores.max(1)
    (rows,) = np.nonzero(score >= SCORE_FLOOR)
    logits = bins[rows].reshape(-1, 4, BINS)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    reach = weights @ np.arange(BINS, dtype=np.float32) * stride  # [kept, 4]
    cells = SIDE // stride
    centres = (np.stack([rows % cells, rows // cells], 1) + 0.5) * stride
    boxes = np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], 1)
    return Detections(boxes.astype(np.float32), score[rows], best[rows])
