"""`instances.json`: masks as files that people can look at, edit and give back.

instances.json   [{"label", "score", "box": [x0, y0, x1, y1], "mask": file name}, …]
00_cup.png       mask: 255 inside, 0 outside, at the photo's size
overlay.png      the photo with numbered outlines
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenelift.io.animation import write_png
from scenelift.io.files import write_json
from scenelift.output.overlay import draw_overlay
from scenelift.segment.given import INSTANCES_NAME
from scenelift.types import Image, Segmentation, object_name

__all__ = ["write_instances"]


def write_instances(folder: Path, image: Image, segmentation: Segmentation) -> list[dict[str, Any]]:
    """Write masks, overlay and `instances.json`; return the entries of the last.

    Raises:
        OutputError: the folder cannot be written.
    """
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
            }
        )
    write_png(folder / "overlay.png", draw_overlay(image, segmentation.instances))
    write_json(folder / INSTANCES_NAME, entries)
    return entries
