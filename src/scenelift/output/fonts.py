"""Find an installed font that has a label's letters.

Pillow's own font has Latin letters only: anything else would be drawn as empty boxes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import PIL.ImageFont

__all__ = ["font_for"]

Font = PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont

# By how much of the world's writing they cover; the first that has all letters is taken.
FAMILIES = (
    *("DejaVuSans", "NotoSans-Regular", "NotoSansCJK-Regular", "NotoSansCJKsc-Regular"),
    *("NotoSansCJKjp-Regular", "SourceHanSans", "wqy-microhei", "wqy-zenhei", "DroidSansFallback"),
    *("Arial Unicode", "PingFang", "Hiragino Sans GB", "AppleSDGothicNeo", "GeezaPro"),
    *("msyh", "simsun", "msgothic", "YuGothR", "malgun", "segoeui", "arial", "Nirmala"),
    *("NotoSansArabic-Regular", "NotoSansHebrew-Regular", "NotoSansDevanagari-Regular"),
    *("NotoSansThai-Regular", "unifont"),
)
MISSING = "\U0010fffe"  # no font has it, so that it is drawn as what stands for missing letters


@lru_cache(maxsize=64)
def font_for(text: str, size: int) -> Font | None:
    """Find a font that has every letter of a text; None if this machine has none.

    Args:
        text: a label.
        size: in pixels.
    """
    ours = PIL.ImageFont.load_default(size)
    if text.isascii() or _has_glyphs(ours, text):
        return ours
    for file in _installed():
        try:
            font = PIL.ImageFont.truetype(str(file), size)
        except OSError:
            continue
        if _has_glyphs(font, text):
            return font
    return None


def _has_glyphs(font: Font, text: str) -> bool:
    """Return whether a font has every letter: a missing one is drawn as the placeholder."""

    def bitmap(letter: str) -> bytes:
        mask: Any = font.getmask(letter)
        return bytes(mask)

    lacking = bitmap(MISSING)
    return all(bitmap(c) != lacking for c in set(text) if not c.isspace())


@lru_cache(maxsize=1)
def _installed() -> tuple[Path, ...]:
    """Return the files of known fonts that are installed, in the order of `FAMILIES`."""
    fonts: dict[str, Path] = {}
    for folder in _folders():
        for parent, _, files in os.walk(folder):
            for name in files:
                stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a path for each is slower
                if suffix.lower() in (".ttf", ".otf", ".ttc"):
                    fonts.setdefault(stem.casefold(), Path(parent) / name)
    return tuple(fonts[f.casefold()] for f in FAMILIES if f.casefold() in fonts)


def _folders() -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts"
    elif sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
        yield from (home / ".fonts", home / ".local/share/fonts")
