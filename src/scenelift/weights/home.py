"""Chooses where this installation keeps what it downloads."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["scenelift_home", "weights_folder"]


def scenelift_home() -> Path:
    """Return the folder of downloads: `SCENELIFT_HOME`, else the user's cache."""
    home = os.environ.get("SCENELIFT_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("scenelift"))


def weights_folder(weights: Path | None = None) -> Path:
    """Return the folder of all weights: the one the user names, else the one in the cache."""
    return scenelift_home() / "weights" if weights is None else weights
