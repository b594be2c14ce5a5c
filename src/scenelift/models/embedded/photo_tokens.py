"""Windows of one photo that a head's backbone looked at, shared by all that ask the head."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenelift.models.embedded import Head, Window, crop

__all__ = ["PhotoTokens", "WindowTokens"]

PATCHES = (28, 28)
MOST_WINDOWS = 3  # that are kept beside the whole photo's; 5 MB each


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WindowTokens:
    """What the backbone says of a window of a photo.

    Attributes:
        window: of the photo.
        picture: uint8 [392, 392, 3], what the window shows.
        tokens: [1, 1 + 784, 384] of each of the backbone's levels.
    """

    window: Window
    picture: NDArray[np.uint8]
    tokens: Mapping[str, NDArray[np.float32]]

    @property
    def nbytes(self) -> int:
        return self.picture.nbytes + sum(level.nbytes for level in self.tokens.values())

    def grid(self, level: str) -> NDArray[np.float32]:  # [28, 28, 384]
        """The tokens of the patches at a level, without the class token."""
        return self.tokens[level][0, 1:].reshape(*PATCHES, -1)


class PhotoTokens:
    """The latest windows of one photo that the backbone looked at, and the whole photo.

    Args:
        head: its backbone looks; the tokens are for this head alone.
        pixels: uint8 [H, W, 3], sRGB.
    """

    def __init__(self, head: Head, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self._head = head
        self._latest: OrderedDict[Window, WindowTokens] = OrderedDict()
        self._lock = threading.Lock()
        height, width = pixels.shape[:2]
        self._photo: Window = (0.0, 0.0, float(width), float(height))

    @property
    def nbytes(self) -> int:
        with self._lock:
            return sum(part.nbytes for part in self._latest.values())

    def at(self, window: Window) -> WindowTokens:
        """Look at a window, unless it is one of the latest."""
        with self._lock:
            if window in self._latest:
                self._latest.move_to_end(window)
                return self._latest[window]
        picture = crop(self.pixels, window, PATCHES)
        window_tokens = WindowTokens(
            window=window, picture=picture, tokens=self._head.tokens(picture)
        )
        with self._lock:
            self._latest[window] = window_tokens
            if self._photo in self._latest:
                self._latest.move_to_end(self._photo)
            while len(self._latest) > MOST_WINDOWS + (self._photo in self._latest):
                self._latest.popitem(last=False)
        return window_tokens

    def at_photo(self) -> WindowTokens:
        """Look at the whole photo; what it says is kept as long as the photo is."""
        return self.at(self._photo)
