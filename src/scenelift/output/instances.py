"""`instances.json`: masks as files that people can view, edit and use as input again.

instances.json   [{"label", "score", "box": [x0, y0, x1, y1], "mask": file name, "sha256"}, …]
00_cup.png       mask: 255 inside, 0 outside, at the photo's size
overlay.png      the photo with numbered outlines
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from scenelift.errors import InputError
from scenelift.io.animation import write_png
from scenelift.io.files import sha256_of, write_json
from scenelift.output.folder import check_links
from scenelift.output.manifest import MANIFEST_NAME
from scenelift.output.overlay import draw_overlay
from scenelift.segment.given import INSTANCES_NAME
from scenelift.types import Image, Segmentation, object_name

__all__ = ["check_masks", "check_photo", "write_instances"]

OVERLAY_NAME = "overlay.png"
_MASK_NAME = re.compile(r"\d{2,}_[^/\\]*\.png")


def check_photo(folder: Path, photo: Path) -> None:
    """Refuse a folder in which masks or overlay would replace the photo.

    Raises:
        InputError: the photo lies there under the name of one of them, or a link does.
    """
    check_links(folder, _is_ours)
    real = photo.resolve()
    inside = real.parent == folder.resolve()
    if inside and (real.name == OVERLAY_NAME or _MASK_NAME.fullmatch(real.name)):
        raise InputError(
            f"{photo} might be replaced: masks and overlay are written to {folder}, under names "
            "like this one. Choose another --out, or move the photo."
        )


def check_masks(folder: Path) -> None:
    """Refuse a folder in which new masks would replace somebody's work.

    Raises:
        InputError: a mask is not the one that `instances.json` lists, or a scene is there.
    """
    if (folder / MANIFEST_NAME).is_file():
        raise InputError(
            f"{folder} holds a finished scene, of which the overlay would be replaced. Choose "
            "another --out for the masks."
        )
    for name, digest in _masks(folder).items():
        path = folder / name
        if digest and path.is_file() and sha256_of(path) != digest:
            raise InputError(
                f"{path} was changed since scenelift wrote it, and new masks would replace it. "
                f"Choose another --out; or go on: scenelift run PHOTO --masks-from {folder}."
            )


def _is_ours(name: str) -> bool:
    return name in (INSTANCES_NAME, OVERLAY_NAME) or bool(_MASK_NAME.fullmatch(name))


def write_instances(folder: Path, image: Image, segmentation: Segmentation) -> list[dict[str, Any]]:
    """Write masks, overlay and `instances.json`; return the entries of the last.

    Masks that an earlier `instances.json` lists, and this one does not, are removed.

    Raises:
        OutputError: the folder cannot be written.
    """
    earlier = set(_masks(folder))
    entries: list[dict[str, Any]] = []
    for index, instance in enumerate(segmentation.instances):
        name = f"{object_name(index, instance.label)}.png"
        write_png(folder / name, instance.mask.astype(np.uint8) * 255)
        entries.append(
            {
                "label": instance.label,
                "score": round(instance.score, 4),
                "box": [round(v, 1) for v in instance.box],
                "mask": name,
                "sha256": sha256_of(folder / name),
            }
        )
    write_png(folder / OVERLAY_NAME, draw_overlay(image, segmentation.instances))
    write_json(folder / INSTANCES_NAME, entries)
    # Last: until the new list is there, the old one says what may be removed.
    for name in earlier - {entry["mask"] for entry in entries}:
        (folder / name).unlink(missing_ok=True)
    return entries


def _masks(folder: Path) -> dict[str, str]:
    """Return our masks in a folder's `instances.json`: file name -> SHA-256, "" if not listed."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        entries = json.loads((folder / INSTANCES_NAME).read_bytes())
        listed = {e.get("mask"): str(e.get("sha256", "")) for e in entries if isinstance(e, dict)}
        return {n: d for n, d in listed.items() if isinstance(n, str) and _MASK_NAME.fullmatch(n)}
    return {}
