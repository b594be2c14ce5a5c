"""Write pictures as PNG, packed once: a texture goes into several files of a scene."""

from __future__ import annotations

import hashlib
import io
import threading
from concurrent.futures import CancelledError, Future

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

__all__ = ["png_bytes"]

REMEMBERED = 128 << 20  # bytes of files


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Pack a picture as PNG; one that was packed lately is not packed again.

    Packing takes longer than all else of a scene's files. Threads that ask for one picture at the
    same time wait for the first.

    Args:
        pixels: uint8 [H, W, 3] sRGB, [H, W, 4] with alpha, or [H, W].
    """
    return _LATELY.packed(pixels)


class _Lately:
    """The files packed lately, by their pictures' content; the last one used is at the end."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._files: dict[bytes, Future[bytes]] = {}

    def packed(self, pixels: NDArray[np.uint8]) -> bytes:
        shape = repr(pixels.shape).encode()
        key = hashlib.blake2b(np.ascontiguousarray(pixels).data, person=shape[:16]).digest()
        with self._lock:
            packed_file = self._files.pop(key, None)
            future = self._files[key] = packed_file or Future()
        if packed_file is None:
            try:
                file = io.BytesIO()
                PillowImage.fromarray(pixels).save(file, "PNG")
                future.set_result(file.getvalue())
            finally:
                future.cancel()  # where there is no result, so that nobody waits for one
                self._forget()
        try:
            return future.result()
        except CancelledError:
            return self.packed(pixels)  # it failed elsewhere, and will tell why here

    def _forget(self) -> None:
        """Drop the entries of failed pictures, and the oldest ones if there are too many."""
        with self._lock:
            total = 0
            for key, future in reversed(list(self._files.items())):
                if not future.done():
                    continue
                total += 0 if future.cancelled() else len(future.result())
                if future.cancelled() or total > self._limit:
                    del self._files[key]


_LATELY = _Lately(REMEMBERED)
