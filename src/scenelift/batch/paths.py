"""Find the files that a manifest names, also where another system wrote the names."""

from __future__ import annotations

import os
import re
import unicodedata
from urllib.parse import unquote

from scenelift.errors import InputError

__all__ = ["Finder"]


class Finder:
    """Looks files up relative to a manifest's folder.

    Letters of a name may be composed ("é") or not ("e" and an accent), as macOS writes them;
    separators may be those of Windows; a name may be in quotes, or a `file:` address; capitals may
    differ where just one file has the name but for them; marks that nobody sees may be in it.

    Args:
        folder: absolute path.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._listed: dict[str, dict[str, list[str]]] = {}

    def path(self, text: str) -> str:
        """Return the path that a text names, whether it exists or not."""
        # In text: a path object for each step would take most of the time for 100 000 rows.
        return os.path.normpath(os.path.join(self._folder, text))  # noqa: PTH118

    def find(self, text: str) -> tuple[str, str] | None:
        """Find the file that a text means, and its name as Python writes it; None if there is none.

        Raises:
            InputError: it is an address on the network.
        """
        if re.match(r"(?:https?|s3|gs|ftp)://", text):
            raise InputError(f"{text[:120]} is an address. Download the photo, and name its file.")
        name_text = text.strip().strip("\"'")
        if name_text.startswith("file://"):
            name_text = unquote(re.sub(r"^file://(?:localhost)?", "", name_text))
        visible = "".join(c for c in name_text if unicodedata.category(c) not in ("Cf", "Cc"))
        slashed = name_text.replace("\\", "/")
        for name in dict.fromkeys((text, name_text, slashed, unquote(slashed), visible)):
            path = self.path(name)
            if os.path.exists(path):  # noqa: PTH110
                return path, name
        name = name_text.replace("\\", "/")
        path = self._as_listed(self.path(name))
        return None if path is None else (path, name)

    def _as_listed(self, path: str) -> str | None:
        """Find an existing path that is spelled alike, by the listings of its folders."""
        parent, name = os.path.split(path)
        if parent == path or not name:
            return path
        folder = parent if os.path.isdir(parent) else self._as_listed(parent)  # noqa: PTH112
        if folder is None:
            return None
        names = self._names(folder).get(_alike(name), [])
        composed = unicodedata.normalize("NFC", name)
        same = [n for n in names if unicodedata.normalize("NFC", n) == composed] or names
        return os.path.join(folder, same[0]) if len(same) == 1 else None  # noqa: PTH118

    def _names(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listed:
            names: dict[str, list[str]] = {}
            try:
                for entry in os.scandir(folder):
                    names.setdefault(_alike(entry.name), []).append(entry.name)
            except OSError:
                pass  # no folder, or none that may be looked into
            self._listed[folder] = names
        return self._listed[folder]


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
