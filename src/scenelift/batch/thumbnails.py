"""Draw small pictures for the summary: the objects in the photo, and the finished scene."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import PIL.Image

from scenelift.io.files import write_bytes

__all__ = ["THUMBNAIL_SIZE", "write_thumbnail"]

# Photo with outlines on the left, the scene on the right.
THUMBNAIL_SIZE = (400, 150)
BACKGROUND = (244, 245, 247)


def write_thumbnail(scene: Path, path: Path) -> None:
    """Write the JPEG of a finished scene's folder; missing pictures leave a gap."""
    width, height = THUMBNAIL_SIZE
    sheet = PIL.Image.new("RGB", THUMBNAIL_SIZE, BACKGROUND)
    for column, name in enumerate(("overlay.png", "preview.png")):
        with (
            suppress(FileNotFoundError),
            PIL.Image.open(scene / name, formats=["PNG"]) as picture,
        ):
            small = picture.convert("RGB")
            small.thumbnail((width // 2 - 2, height))
            left = column * (width // 2 + 1) + (width // 2 - 1 - small.width) // 2
            sheet.paste(small, (left, (height - small.height) // 2))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=82)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
