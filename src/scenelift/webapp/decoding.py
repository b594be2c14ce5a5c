"""Decodes uploads in processes of their own: `python -m scenelift.webapp.decoding --bytes N`.

A stranger's photo may be made to cost memory or time. A child has a limit on both; what goes
beyond is a photo that cannot be used, and the server does not notice.

A child reads a JSON line for each photo, {"folder", "max_pixels"}, and answers with a line,
{"width", "height"} or {"problem"}. It ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import queue
import resource
import signal
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from scenelift.errors import ImageError
from scenelift.webapp.folders import JobFolder

__all__ = ["DECODED_AT_ONCE", "Decoder", "check_photo", "main"]

# A photo being decoded takes up to some hundred megabytes.
DECODED_AT_ONCE = 2
SHOWN_SIDE, THUMBNAIL_SIDE = 2048, 320
# Of memory: decoded as RGBA, once more while it is turned or laid on white, and some rows between.
BYTES_A_PIXEL, OTHER_BYTES = 16, 384 * 2**20
MIB = 2**20

# What Pillow's decoders let slip for files that were damaged just so: a TIFF without a size is a
# TypeError (found by benchmarks/hostile.py).
DECODER_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, NotImplementedError)
DAMAGED = "The photo is damaged. Copy or export it again, as JPEG for example."


class Decoder:
    """Checks photos in child processes, which are started when first needed.

    Args:
        max_pixels: of a photo.
        seconds: that one may take.
    """

    def __init__(self, *, max_pixels: int, seconds: float = 60.0) -> None:
        self._max_pixels, self._seconds = max_pixels, seconds
        self._idle: queue.LifoQueue[subprocess.Popen[str]] = queue.LifoQueue()
        self._turns = threading.Semaphore(DECODED_AT_ONCE)

    def check(self, folder: JobFolder) -> tuple[int, int]:
        """Check a photo as `check_photo` does. Waits for its turn, so call it from a thread.

        Raises:
            ImageError: it is no usable photo, or costs more than any.
        """
        with self._turns:
            child = self._child()
            answer = self._ask(child, folder)
            if answer is None:
                child.kill()
                self._let_go(child)
                raise ImageError(
                    "The photo takes more memory or time to decode than any photo should. Export "
                    "it again, as JPEG for example."
                )
            self._idle.put(child)
        if "problem" in answer:
            raise ImageError(answer["problem"])
        return answer["width"], answer["height"]

    def close(self) -> None:
        """End the children."""
        with suppress(queue.Empty):
            while True:
                child = self._idle.get_nowait()
                child.kill()
                self._let_go(child)

    def _child(self) -> subprocess.Popen[str]:
        with suppress(queue.Empty):
            while True:
                child = self._idle.get_nowait()
                if child.poll() is None:
                    return child
                self._let_go(child)
        most = OTHER_BYTES + BYTES_A_PIXEL * self._max_pixels
        return subprocess.Popen(
            [sys.executable, "-m", "scenelift.webapp.decoding", "--bytes", str(most)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, child: subprocess.Popen[str], folder: JobFolder) -> dict[str, Any] | None:
        """Ask a child; None where it died or took too long."""
        assert child.stdin is not None
        assert child.stdout is not None
        timer = threading.Timer(self._seconds, child.kill)
        timer.start()
        try:
            line = {"folder": str(folder.path), "max_pixels": self._max_pixels}
            child.stdin.write(json.dumps(line) + "\n")
            child.stdin.flush()
            return json.loads(child.stdout.readline())
        except (OSError, ValueError):
            return None
        finally:
            timer.cancel()

    @staticmethod
    def _let_go(child: subprocess.Popen[str]) -> None:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        child.wait()


def check_photo(folder: JobFolder, max_pixels: int) -> tuple[int, int]:
    """Decode the photo as the worker will, and write the pictures that browsers show of it.

    Returns:
        Width and height as the models see it.

    Raises:
        ImageError: it is no usable photo.
    """
    # Pillow and numpy come with the first upload, not with the server's start.
    import PIL.Image

    from scenelift.geometry.photo_size import photo_size
    from scenelift.io.image import read_image

    try:
        _check_header(folder.photo, max_pixels)
        image = read_image(folder.photo, detail=False)
        picture = PIL.Image.fromarray(image.pixels)
        for path, side in ((folder.display_photo, SHOWN_SIDE), (folder.thumbnail, THUMBNAIL_SIDE)):
            picture.thumbnail((side, side), reducing_gap=2.0)
            picture.save(path, "JPEG", quality=88)
    except ImageError as exc:
        # It was stored under our name; the user knows it by another.
        raise ImageError(str(exc).replace("photo ", "The photo ", 1)) from exc
    except DECODER_ERRORS as exc:
        raise ImageError(DAMAGED) from exc
    return photo_size(image)


def _check_header(photo: Path, max_pixels: int) -> None:
    """Refuse a photo by the size in its header, before a pixel is decoded."""
    import PIL.Image

    from scenelift.io.image import known_formats

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PIL.Image.open(photo, formats=known_formats()) as picture:
                width, height = picture.size
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return  # read_image says what is wrong with it
    if width * height > max_pixels:
        raise ImageError(
            f"The photo is {width} × {height} = {width * height / 1e6:.0f} megapixels; this "
            f"server takes {max_pixels / 1e6:.0f}. Reduce it first."
        )


def main() -> None:
    """Answer one line after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m scenelift.webapp.decoding", description=__doc__
    )
    parser.add_argument("--bytes", type=int, required=True, help="of memory, beyond the libraries'")
    args = parser.parse_args()
    # Ctrl-C reaches every process of a terminal; we end with the server's pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import scenelift.io.image as reader  # what it maps is not the photo's

    assert reader
    with suppress(OSError, ValueError):  # no such file, or no such limit, on other systems
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + args.bytes, resource.RLIM_INFINITY))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            width, height = check_photo(JobFolder(Path(request["folder"])), request["max_pixels"])
            answer = {"width": width, "height": height}
        except ImageError as exc:
            answer = {"problem": str(exc)}
        except MemoryError:
            answer = {
                "problem": "The photo takes more memory to decode than any photo should. Export it "
                "again, as JPEG for example."
            }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
