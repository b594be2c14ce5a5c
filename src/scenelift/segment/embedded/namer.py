"""Tells what boxes show, among ImageNet's thousand categories: EfficientNet-Lite on a photo.

The detectors know some ninety classes and draw boxes around much else, with low scores and wrong
names. The classifier looks at those boxes, and, cell by cell, at the whole photo.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image as Pillow

from scenelift.models.embedded import MEAN, STD, crop
from scenelift.progress import Reporter
from scenelift.weights import embedded
from scenelift.weights.onnx_session import session_of

__all__ = ["Namer", "session_with_inner"]

PATCHES = (19, 19)  # 266 pixels a side; the classifier was trained at 260
WHOLE = (384, 768)  # longer sides at which the whole photo is looked at
STRIDE = 32  # pixels a cell

# What the last nodes read: features before they are pooled, matrix and bias, as
# `weights.efficientnet` names them for Lite2's 23 blocks.
INNER = ("Clip_184_0", "Cast_187_0", "constant_131")
# Numbers of fields in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
GRAPH_OF_MODEL, OUTPUT_OF_GRAPH, NAME_OF_OUTPUT = 7, 12, 1


class Namer:
    """Names what boxes show; see the module.

    Args:
        network: Input `image` float32 [B, 3, H, W]; outputs `logits` [B, 1000] and the inputs of
            its last three nodes: features [B, 1280, H / 32, W / 32] before they are pooled, matrix
            [1280, 1000] and bias [1000].
    """

    artefact = "efficientnet"

    def __init__(self, network: InferenceSession) -> None:
        self._network = network
        self._inner = [output.name for output in network.get_outputs()][1:]

    @classmethod
    def load(cls, weights: Path | None, threads: int = 0) -> Self:
        """Load the installed weights.

        Raises:
            WeightsError: they are missing.
        """
        return cls(session_with_inner(embedded.path(cls.artefact, weights), threads))

    def chances(
        self, pixels: NDArray[np.uint8], boxes: NDArray[np.float32], report: Reporter
    ) -> NDArray[np.float32]:
        """Estimate how likely each box shows each category.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
            boxes: float32 [N, 4], in pixels.
            report: progress, one step a box; raises Cancelled between boxes.

        Returns:
            float32 [N, 1000] in 0…1.
        """
        chances = np.zeros((len(boxes), 1000), np.float32)
        for row, box in enumerate(report.track(boxes, len(boxes), "naming what the boxes show")):
            x0, y0, x1, y1 = (float(edge) for edge in box)
            # Stretched to a square and without a margin: of what is around a thing, a player or a
            # table, the classifier would say as much as of the thing.
            view = _normalised(crop(pixels, (x0, y0, x1, y1), PATCHES))
            (logits,) = self._network.run(["logits"], {"image": np.stack([view, view[..., ::-1]])})
            chances[row] = _softmax(np.asarray(logits), 1).mean(0)
        return chances

    def maps(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Estimate for the cells of the photo how likely each shows each category.

        Args:
            pixels: uint8 [H, W, 3], sRGB.

        Returns:
            float32 [1000, rows, columns] in 0…1, at two sizes of the photo.
        """
        height, width = pixels.shape[:2]
        maps = []
        for longest in WHOLE:
            scale = longest / max(height, width) / STRIDE
            columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
            picture = Pillow.fromarray(pixels).resize(
                (columns * STRIDE, rows * STRIDE), Pillow.Resampling.BILINEAR
            )
            outputs = self._network.run(self._inner, {"image": _normalised(picture)[None]})
            features, matrix, bias = (np.asarray(output) for output in outputs)
            logits = matrix.T @ features[0].reshape(len(matrix), -1) + bias[:, None]
            maps.append(_softmax(logits, 0).reshape(-1, *features.shape[2:]))
        return maps


@lru_cache(maxsize=2)
def session_with_inner(
    path: Path, threads: int, inner: tuple[str, str, str] = INNER
) -> InferenceSession:
    """Open the network with what its last nodes read as further outputs.

    They are declared in what follows the file's bytes: messages of Protocol Buffers that stand one
    after the other are one message
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins). That takes no further
    package's memory.
    """
    outputs = [_field(OUTPUT_OF_GRAPH, _field(NAME_OF_OUTPUT, name.encode())) for name in inner]
    model = b"".join([path.read_bytes(), *(_field(GRAPH_OF_MODEL, output) for output in outputs)])
    # The look at the whole photo takes 80 MB for a moment.
    return session_of(model, path, threads, keep_memory=False)


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of a message that is shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def _softmax(logits: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    chance = np.exp(logits - logits.max(axis, keepdims=True))
    return chance / chance.sum(axis, keepdims=True)


def _normalised(picture: Pillow.Image | NDArray[np.uint8]) -> NDArray[np.float32]:  # [3, H, W]
    scaled = np.asarray(picture, np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - MEAN) / STD).transpose(2, 0, 1))
