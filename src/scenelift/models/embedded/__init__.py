"""The trained heads of the embedded default: depth, masks and shapes from DINOv2's tokens.

A head may come with adapters of the backbone, `NAME_adapter.safetensors` beside `NAME.onnx`: then
its tokens are its own. `README.md` beside this file is the model card; `scenelift.training` made
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from scenelift.models.embedded.backbone import adapted_session
from scenelift.weights import embedded
from scenelift.weights.onnx_session import last_run, session_at
from scenelift.weights.shipped import adapters_beside, check_shipped

__all__ = ["CELLS", "MEAN", "PATCH", "STD", "Head", "crop", "version"]

PATCH = 14  # pixels of the backbone
CELLS = 8  # pixels a patch of the photo and hints that a head sees beside the tokens
LEVELS = ["h2", "h5", "h8", "feat"]
# Of the photos that the networks learned from: ImageNet's.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
GREY = (124, 116, 104)  # the mean, where a window reaches beyond the photo

VERSIONS = {"depth": 6, "mask": 3, "shape": 7}
# Without its adapters such a head answers, but wrongly.
ADAPTED = ("depth", "shape")

Window = tuple[float, float, float, float]


def version(name: str) -> str:
    """A head's version, for stage keys and manifests."""
    return f"{name} head {VERSIONS[name]}"


def shipped(name: str) -> Path:
    """Return the file of a head."""
    return Path(__file__).parent / f"{name}.onnx"


def shipped_adapters(name: str) -> Path:
    """Return the file of a head's adapters of the backbone; those of `ADAPTED` have one."""
    return adapters_beside(shipped(name))


class Head:
    """A head and the backbone before it.

    Args:
        backbone: ONNX session of DINOv2, as it is or with this head's adapters.
        head: that of the head.
    """

    def __init__(self, backbone: Any, head: Any) -> None:
        self._backbone, self._head = backbone, head

    @classmethod
    def load(cls, name: str, weights: Path | None = None, threads: int = 0) -> Head:
        """Load "depth", "mask" or "shape".

        Args:
            weights: folder of all weights in place of the cache; the backbone is there.
            threads: for one operator; 0 is one a core.

        Raises:
            WeightsError: one of the files is missing or damaged.
        """
        backbone, path = embedded.path("dinov2", weights), shipped(name)
        check_shipped(path)
        if name in ADAPTED:
            adapters = shipped_adapters(name)
            check_shipped(adapters)
            session = adapted_session(backbone, adapters, threads)
        else:
            session = session_at(backbone, threads)
        return cls(session, session_at(path, threads))

    def run(
        self, picture: NDArray[np.uint8], hints: NDArray[np.float32], *, last: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the backbone and the head.

        Args:
            picture: uint8 [14h, 14w, 3], sRGB.
            hints: float32 [E, 8h, 8w], as the head's training task defines them.
            last: of several; afterwards the memory that they needed is given back.

        Returns:
            Output channels by pixel [P, H, W], and numbers for the picture [G].
        """
        return self.answer(picture, self.tokens(picture, last=last), hints, last=last)

    @property
    def hints(self) -> int:
        """The channels of hints that the head takes."""
        return next(i.shape[1] for i in self._head.get_inputs() if i.name == "hints")

    def tokens(
        self, picture: NDArray[np.uint8], *, last: bool = False
    ) -> dict[str, NDArray[np.float32]]:  # [1, 1 + hw, 384] each
        """Run the backbone alone: the class token and those of the patches at each of `LEVELS`.

        They are for this head, and for others without adapters if it has none.
        """
        feeds = {"image": _normalised(picture)}
        tokens = self._backbone.run(LEVELS, feeds, last_run() if last else None)
        return dict(zip(LEVELS, tokens, strict=True))

    def answer(
        self,
        picture: NDArray[np.uint8],
        tokens: Mapping[str, NDArray[np.float32]],
        hints: NDArray[np.float32],
        *,
        last: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the head on what its own backbone said of a picture; see `run`."""
        rows, columns = (side // PATCH * CELLS for side in picture.shape[:2])
        small = Pillow.fromarray(picture).resize((columns, rows), Pillow.Resampling.BILINEAR)
        feeds = dict(tokens) | {"photo": _normalised(np.asarray(small)), "hints": hints[None]}
        options = last_run() if last else None
        pixels, numbers = self._head.run(["pixels", "picture"], feeds, options)
        return pixels[0], numbers[0]


def _normalised(picture: NDArray[np.uint8]) -> NDArray[np.float32]:  # [1, 3, H, W]
    x = (np.asarray(picture, np.float32) / np.float32(255) - MEAN) / STD
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def crop(
    pixels: NDArray[np.uint8], window: Window, patches: tuple[int, int]
) -> NDArray[np.uint8]:  # [14h, 14w, 3]
    """Resample a window of a photo for the backbone; grey where it reaches beyond the photo.

    Args:
        window: x0, y0, x1, y1 in continuous pixel coordinates.
        patches: rows and columns.
    """
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = window
    left, top = max(0, int(np.ceil(-x0))), max(0, int(np.ceil(-y0)))
    right, bottom = max(0, int(np.ceil(x1 - width))), max(0, int(np.ceil(y1 - height)))
    # Only the window's part of the photo, with a margin for the resampling filter.
    a, b = max(0, int(x0) - 4), max(0, int(y0) - 4)
    c, d = min(width, int(x1) + 5), min(height, int(y1) + 5)
    part = Pillow.fromarray(np.ascontiguousarray(pixels[b:d, a:c]))
    if left or top or right or bottom:
        canvas = Pillow.new("RGB", (part.width + left + right, part.height + top + bottom), GREY)
        canvas.paste(part, (left, top))
        part = canvas
    x, y = x0 - a + left, y0 - b + top
    box = (
        max(0.0, x),
        max(0.0, y),
        min(float(part.width), x + x1 - x0),
        min(float(part.height), y + y1 - y0),
    )
    size = (patches[1] * PATCH, patches[0] * PATCH)
    return np.asarray(part.resize(size, Pillow.Resampling.BILINEAR, box=box))
