"""Find the program that encodes films."""

from __future__ import annotations

import shutil

from scenelift.errors import SetupError

__all__ = ["find_ffmpeg"]


def find_ffmpeg() -> str:
    """Find the ffmpeg program.

    Raises:
        SetupError: nowhere.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise SetupError(
            "MP4 needs ffmpeg, which is not installed (Debian: `apt install ffmpeg`). "
            "GIF and WebP need nothing: `--preview-format webp`."
        )
    return ffmpeg
